"""Membership: the intervals of a room's log that are due to a person."""

from collections.abc import Iterable
from dataclasses import dataclass

from core.domain.runs import Run, Runs, normalise

FOREVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Interval:
    """Postings `since < offset <= until` of `room` are due; an open interval has no `until` yet."""

    room: str
    since: int
    until: int | None = None

    @property
    def run(self) -> Run:
        return self.since + 1, FOREVER if self.until is None else self.until


def due_runs(intervals: Iterable[Interval], room: str, through: int = FOREVER) -> Runs:
    """The offsets of `room` up to `through` that are due by the intervals, as runs."""
    return normalise(
        (first, min(last, through))
        for first, last in (interval.run for interval in intervals if interval.room == room)
    )
