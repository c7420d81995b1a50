"""Retention: what the log lets go of. Offsets are never used again: what is gone lies at or below the room's floor."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Prune:
    """Drop the oldest postings of `room`: at most `limit`, from `floor` + 1 on, up to the first that is not older
    than `before` or whose notification is being changed at this moment. The floor rises to the last one dropped.

    With them go notifications that no posting speaks of any more, their idempotency keys included, threads whose
    newest entry was dropped, and intervals that ended before something that was dropped came.

    Result: how many postings were dropped; None, and nothing was done, if the room's floor is not `floor`: another
    server is at it.
    """

    room: str
    floor: int
    before: datetime
    limit: int


@dataclass(frozen=True, slots=True)
class ClearExpired:
    """Make the content empty of at most `limit` notifications that expired at or before `before`, the longest
    expired first. Their postings stay. Result: how many were cleared.
    """

    before: datetime
    limit: int


Chore = Prune | ClearExpired
