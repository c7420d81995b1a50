"""The pruning job: lets go of what is old in small batches with rests between them, so that publishing does not feel it."""

import asyncio
import logging
import time
from datetime import datetime, timedelta
from typing import cast

from core.domain import clock
from core.domain.errors import Retryable
from core.domain.retention import Chore, ClearExpired, Prune
from core.ports.log import Log, Unit
from core.ports.retention import Retention

BATCH = 100
"""Postings or contents in one transaction: what it adds to the publishes that share it stays at a few milliseconds."""
REST = 9
"""How many times as long as a batch took nothing is done after it. Waiting counts: where the database is busy, the job
slows down with it.
"""
_ROOMS_A_PAGE = 1_000

_logger = logging.getLogger(__name__)


class RetentionService:
    """Runs on every server, and one at a time works on a room: who finds that its floor has moved leaves off until
    the next turn.

    `pruned` and `cleared` count the postings dropped and the contents emptied from here.
    """

    def __init__(self, log: Log, retention: Retention, keep: timedelta) -> None:
        self._log = log
        self._retention = retention
        self._keep = keep
        self.pruned = 0
        self.cleared = 0

    async def turn(self) -> None:
        """Empty what has expired and drop what is older than `keep`, until there is nothing left."""
        try:
            await self._clear()
            await self._prune(clock.now() - self._keep)
        except Retryable as error:
            _logger.warning("retention put off", extra={"reason": str(error)})

    async def _clear(self) -> None:
        cleared = BATCH
        while cleared == BATCH:
            cleared = await self._do(ClearExpired(clock.now(), BATCH)) or 0
            self.cleared += cleared

    async def _prune(self, before: datetime) -> None:
        last: str | None = ""
        while last is not None:
            page = await self._retention.old_rooms(before, last, _ROOMS_A_PAGE)
            for room, floor in page.floors.items():
                if not await self._prune_room(room, floor, before):
                    return
            last = page.last

    async def _prune_room(self, room: str, floor: int, before: datetime) -> bool:
        """Drop all that is old there; False when another server is at it."""
        dropped: int | None = BATCH
        while dropped == BATCH:
            dropped = await self._do(Prune(room, floor, before, BATCH))
            if dropped is None:
                return False
            floor += dropped
            self.pruned += dropped
        return True

    async def _do(self, chore: Chore) -> int | None:
        started = time.monotonic()
        committed = await self._log.commit(Unit("retention", chore=chore))
        await asyncio.sleep(REST * (time.monotonic() - started))
        return cast("int | None", committed.results[0])
