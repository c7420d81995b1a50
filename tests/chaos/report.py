"""The table and the breaches, as text."""

from collections.abc import Iterable

from tests.chaos.history import History
from tests.chaos.verdict import Row, Verdict

_HEAD = (
    "fault",
    "times",
    "accepted",
    "due",
    "shown",
    "lost",
    "doubled",
    "out of order",
    "leaked",
    "p50",
    "p99",
    "longest",
)
_NAMED = 5


def report(history: History, verdict: Verdict) -> str:
    lines = [*_table([_HEAD, *(_cells(row) for row in (*verdict.rows[1:], verdict.total))]), ""]
    lines.append("Lags are from the publisher's answer to the screen, in seconds.")
    if verdict.told:
        lines.append(f"Told that they would not come (a new epoch): {verdict.told}.")
    lines += (*_memory(history), *history.notes)
    if not verdict.breaches:
        lines.append("Every promise was kept.")
    for name, found in verdict.breaches.items():
        lines.append(f"BROKEN, {name}: {len(found)}")
        lines.extend(f"  {one}" for one in found[:_NAMED])
        if len(found) > _NAMED:
            lines.append(f"  and {len(found) - _NAMED} more")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    counts = (
        row.times,
        row.accepted,
        row.due,
        row.shown,
        row.lost,
        row.doubled,
        row.out_of_order,
        row.leaked,
    )
    lags = (row.lag_s(0.5), row.lag_s(0.99), row.lag_s(1))
    return (row.fault, *map(str, counts), *(f"{lag:.2f}" for lag in lags))


def _table(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for number, row in enumerate(rows):
        if number in (1, len(rows) - 1):
            yield "-" * (sum(widths) + 2 * len(widths) - 2)
        yield f"{row[0]:<{widths[0]}}  " + "  ".join(
            f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)
        )


def _memory(history: History) -> Iterable[str]:
    """Of each server, the life that was longest."""
    for server in sorted({process.server for process in history.processes.values()}):
        lives = [process for process in history.processes.values() if process.server == server]
        longest = max(lives, key=lambda life: len(life.rss))
        yield (
            f"Memory of server {server}, of {len(lives)} lives the longest: {longest.settled >> 20} MB at first, "
            f"{max(longest.rss) >> 20} MB at most, {longest.rss[-1] >> 20} MB at last."
        )
