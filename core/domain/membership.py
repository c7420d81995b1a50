"""Membership: the intervals of a room's log that are due to a person."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.domain.principals import User
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


@dataclass(frozen=True, slots=True)
class RoomChanges:
    """Who moved in a room since its counter was lower, and the counter now.

    `moved` maps user ids to all that is due to them in the room.
    """

    members: int
    moved: Mapping[str, Runs]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person may hear at one moment: None for nobody, their intervals in the rooms asked for, and which of
    the credentials asked for are over.
    """

    user: User | None
    intervals: tuple[Interval, ...]
    ended: frozenset[str]


def due_runs(intervals: Iterable[Interval], room: str, through: int = FOREVER) -> Runs:
    """The offsets of `room` up to `through` that are due by the intervals, as runs."""
    return normalise(
        (first, min(last, through))
        for first, last in (interval.run for interval in intervals if interval.room == room)
    )


def entered_at(intervals: Iterable[Interval], room: str) -> int | None:
    """Where the present membership of the room begins, None without one."""
    return next((i.since for i in intervals if i.room == room and i.until is None), None)
