"""What was measured, round by round, and how it is told."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from benchmarks import http, inbox, log, retention

RATIOS = (
    ("log: 64 outstanding ÷ one by one", log.OUTSTANDING[64], log.ONE_BY_ONE),
    ("log: 400 outstanding ÷ one by one", log.OUTSTANDING[400], log.ONE_BY_ONE),
    ("http: 100 a request ÷ one a request", http.BATCHED, http.SINGLE),
    ("http: one a request ÷ GET /me", http.SINGLE, http.ME),
    *(
        (
            f"inbox: unread of 1,000,000 ÷ of 1,000 postings, {case}",
            inbox.p50_of(inbox.unread(case, inbox.SIZES[-1])),
            inbox.p50_of(inbox.unread(case, inbox.SIZES[0])),
        )
        for case in inbox.CASES
    ),
    (
        "retention: p99 while it prunes ÷ without",
        retention.p99_of(retention.PRUNING),
        retention.p99_of(retention.ALONE),
    ),
    (
        "drain: p99 while it prunes ÷ before and after",
        retention.p99_of(retention.DRAINING),
        retention.p99_of(retention.BEFORE),
    ),
)
Row = tuple[str, ...]


class Results:
    """Values by name and by stand, one for each round. Ratios are of values of the same round."""

    def __init__(self, stands: Iterable[str]) -> None:
        self.stands = tuple(stands)
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, stand: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._values[name, stand].append(value)
        for name, above, below in RATIOS:
            if above in values and below in values:
                self._values[name, stand].append(values[above] / values[below])

    def rows(self) -> Iterator[Row]:
        """A row for each measure, ratios first; in it, for each stand, the median and the range."""
        ratios = [name for name, _, _ in RATIOS]
        names = dict.fromkeys(name for name, _ in self._values)
        for name in sorted(names, key=lambda name: name not in ratios):
            yield name, *(_told(self._values.get((name, stand), [])) for stand in self.stands)

    def range(self, name: str, stand: str) -> tuple[float, float, float] | None:
        """The median, the least and the most of one measure; None when it was not measured."""
        values = self._values.get((name, stand))
        return (statistics.median(values), min(values), max(values)) if values else None


def _told(values: list[float]) -> str:
    if not values:
        return "–"
    told = [_number(value) for value in (statistics.median(values), min(values), max(values))]
    return f"{told[0]} ({told[1]}–{told[2]})" if len(values) > 1 else told[0]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
