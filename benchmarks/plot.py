"""Bars with their ranges, as SVG that reads on light and on dark pages."""

import math
from collections.abc import Mapping
from html import escape

Range = tuple[float, float, float]
"""Median, least and most."""

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 720, 300, 56, 56, 32
_COLOURS = ("#2563eb", "#d97706", "#7c3aed", "#6b7280")
_TEXT = "#6b7280"
_FONT = f'font-family="system-ui, sans-serif" font-size="12" fill="{_TEXT}"'


def bars(title: str, groups: Mapping[str, Mapping[str, Range]]) -> str:
    """A group for each key, in it a bar for each series, with a line from the least to the most."""
    series = list(dict.fromkeys(name for group in groups.values() for name in group))
    top = _round_up(max(most for group in groups.values() for _, _, most in group.values()))
    floor, share = _HEIGHT - _BOTTOM, (_HEIGHT - _BOTTOM - _TOP) / top
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" {_FONT}>',
        f"<title>{escape(title)}</title>",
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for number, name in enumerate(series):
        x = _LEFT + number * 160
        parts += [
            f'<rect x="{x}" y="28" width="10" height="10" fill="{_COLOURS[number]}"/>',
            f'<text x="{x + 16}" y="37">{escape(name)}</text>',
        ]
    for step in range(5):
        value, y = top * step / 4, floor - top * step / 4 * share
        parts += [
            f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_TEXT}" stroke-opacity=".25"/>',
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>',
        ]
    wide = (_WIDTH - _LEFT) / len(groups)
    bar = wide * 0.8 / len(series)
    for place, (label, group) in enumerate(groups.items()):
        begin = _LEFT + place * wide + wide * 0.1
        parts.append(
            f'<text x="{begin + wide * 0.4:.1f}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(label)}</text>'
        )
        for number, name in enumerate(series):
            if name in group:
                parts += _bar(group[name], begin + number * bar, bar, floor, share, _COLOURS[number])
    return "\n".join([*parts, "</svg>", ""])


def _bar(values: Range, x: float, width: float, floor: float, share: float, colour: str) -> tuple[str, str]:
    median, least, most = (floor - value * share for value in values)
    middle = x + width / 2
    return (
        f'<rect x="{x:.1f}" y="{median:.1f}" width="{width * 0.9:.1f}" height="{floor - median:.1f}" fill="{colour}"/>',
        f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{least:.1f}" y2="{most:.1f}" stroke="{_TEXT}" stroke-width="2"/>',
    )


def _round_up(value: float) -> float:
    """To a number whose quarters read well."""
    unit = 10.0 ** math.floor(math.log10(value))
    return next(unit * step for step in (1, 2, 4, 6, 8, 10) if unit * step >= value)
