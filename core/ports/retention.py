"""Retention: where something is old enough to be dropped."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class OldRooms:
    """A page of the walk over all rooms: those whose oldest posting is old enough, with their floors.

    `last` is where the next page begins, None at the end of the walk.
    """

    floors: Mapping[str, int]
    last: str | None


class Retention(Protocol):
    """Reads for the pruning job. What it finds it drops by `Prune`, through the log."""

    async def old_rooms(self, before: datetime, after: str, limit: int) -> OldRooms:
        """Look at the next `limit` rooms by name behind `after`, for postings older than `before`.

        Costs a step into the primary key for each room looked at. Raises `Unavailable`.
        """
