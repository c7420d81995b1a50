"""Acknowledged positions on SQL, gathered in memory and written in chunks."""

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from itertools import islice

from sqlalchemy import Connection, case, select

from core.domain import clock
from core.domain.errors import Unavailable
from core.domain.positions import Acknowledged, Position
from core.store import tables
from core.store.database import CommitUnknownError, Database
from core.store.dialects import among, insert

FLUSH_INTERVAL_S = 5.0
_CHUNK_ROWS = 500
_MAX_PENDING_ROWS = 100_000

_logger = logging.getLogger(__name__)


class SqlPositions:
    """`core.ports.inbox.Positions`: the newest acknowledgement per person and room; `flush` writes them.

    Pending rows are bounded: while the database is away, the oldest are dropped; the next acknowledgement of the
    same client carries them again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: dict[tuple[str, str], tuple[int, datetime]] = {}

    def acknowledge(self, user_id: str, position: Position) -> None:
        at = clock.now()
        for room, offset in position.items():
            known = self._pending.pop((user_id, room), (0, at))
            self._pending[user_id, room] = (max(offset, known[0]), at)
        while len(self._pending) > _MAX_PENDING_ROWS:
            del self._pending[next(iter(self._pending))]

    def forget(self) -> None:
        """Drop what is not written yet: it belongs to an epoch that is over."""
        self._pending.clear()

    def noted(self, user_id: str, rooms: Sequence[str]) -> Acknowledged:
        return {room: self._pending[user_id, room] for room in rooms if (user_id, room) in self._pending}

    async def flush(self) -> None:
        """Write what is pending, in chunks; it stays pending, and known, until it is written."""
        while self._pending:
            chunk = dict(islice(self._pending.items(), _CHUNK_ROWS))
            try:
                await self._database.write(partial(_save, chunk=chunk))
            except (Unavailable, CommitUnknownError) as error:
                _logger.warning("positions not written", extra={"rows": len(chunk), "reason": str(error)})
                return
            for key, written in chunk.items():
                if self._pending.get(key) is written:
                    del self._pending[key]


def _save(connection: Connection, chunk: dict[tuple[str, str], tuple[int, datetime]]) -> None:
    statement = insert(connection, tables.position)
    stored, new = tables.position.c.acked_offset, statement.excluded.acked_offset
    newest = statement.on_conflict_do_update(
        index_elements=["user_id", "room"],
        set_={
            "acked_offset": case((stored > new, stored), else_=new),
            "acked_at": statement.excluded.acked_at,
        },
    )
    room = tables.room.c
    names = sorted({name for _, name in chunk})
    heads = {
        row.name: row.head
        for row in connection.execute(select(room.name, room.head).where(among(connection, room.name, names)))
    }
    rows = [
        {"user_id": user_id, "room": name, "acked_offset": min(offset, heads[name]), "acked_at": at}
        for (user_id, name), (offset, at) in sorted(chunk.items())
        if name in heads
    ]
    if rows:
        connection.execute(newest, rows)
