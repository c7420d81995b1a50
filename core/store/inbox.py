"""The inbox on SQL: what is due to a person over their rooms, newest first, and how much of it is unread."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, and_, select

from core.domain import clock, runs
from core.domain.inbox import (
    MAX_UNREAD,
    InboxCounts,
    InboxFilter,
    InboxItem,
    InboxPage,
    InboxState,
    Missed,
    Receipt,
)
from core.domain.notifications import Kind
from core.domain.positions import Acknowledged, Position
from core.domain.runs import Runs
from core.store import tables
from core.store.database import Database
from core.store.dialects import among
from core.store.due import due_by_room
from core.store.items import items
from core.store.newest import count_rows, newest_rows, receipts_for
from core.store.reading import reading_of
from core.store.since import Since, since_of_many, states_of_many, versions_of_many
from core.store.unread import count_between

_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c


class SqlInbox:
    """`core.ports.inbox.Inbox` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, user_id: str, rooms: Sequence[str], wanted: InboxFilter, cursor: str | None, limit: int
    ) -> InboxPage:
        work = partial(_page, user_id=user_id, rooms=rooms, wanted=wanted, cursor=cursor, limit=limit)
        return await self._database.browse(work, snapshot=True)

    async def item(self, user_id: str, rooms: Sequence[str], notification_id: str) -> InboxItem | None:
        work = partial(_item, user_id=user_id, rooms=rooms, notification_id=notification_id)
        return await self._database.read(work, snapshot=True)

    async def state(self, user_id: str, rooms: Sequence[str]) -> InboxState:
        return await self._database.load(states_of_many, Since(user_id, rooms), snapshot=True)

    async def version(self, user_id: str) -> int:
        return await self._database.load(versions_of_many, user_id)

    async def counts(self, user_id: str, rooms: Sequence[str]) -> InboxCounts:
        return await self._database.browse(partial(_counts, user_id=user_id, rooms=rooms), snapshot=True)

    async def locate(
        self, user_id: str, rooms: Sequence[str], notification_ids: Iterable[str]
    ) -> dict[str, Runs]:
        ids = tuple(notification_ids)
        work = partial(_locate, user_id=user_id, rooms=rooms, notification_ids=ids)
        return await self._database.read(work, snapshot=True)

    async def since(
        self, user_id: str, rooms: Sequence[str], after: Position, through: Position | None = None
    ) -> tuple[InboxState, Missed]:
        asked = Since(user_id, rooms, after=after, through=through)
        state, missed, _ = await self._database.load(since_of_many, asked, snapshot=True)
        return state, missed

    async def since_acknowledged(
        self, user_id: str, rooms: Sequence[str], noted: Acknowledged, through: Position | None = None
    ) -> tuple[InboxState, Missed, datetime | None]:
        asked = Since(user_id, rooms, noted=noted, through=through)
        return await self._database.load(since_of_many, asked, snapshot=True)


def _page(
    connection: Connection,
    user_id: str,
    rooms: Sequence[str],
    wanted: InboxFilter,
    cursor: str | None,
    limit: int,
) -> InboxPage:
    chosen = [
        room
        for room in rooms
        if wanted.room in (None, room)
        and (wanted.project is None or f"{room}:".startswith(f"project:{wanted.project}:"))
    ]
    reading = reading_of(connection, user_id, chosen, *receipts_for(wanted))
    ids = list(newest_rows(connection, user_id, reading, wanted, limit + 1, cursor))
    shown = items(connection, user_id, reading.due, ids[:limit], history=wanted.thread is not None)
    return InboxPage(shown, ids[limit - 1] if len(ids) > limit else None)


def _item(
    connection: Connection, user_id: str, rooms: Sequence[str], notification_id: str
) -> InboxItem | None:
    due = due_by_room(connection, user_id, rooms)
    found = items(connection, user_id, due, [notification_id])
    return found[0] if found and found[0].notification.is_shown_at(clock.now()) else None


def _locate(
    connection: Connection, user_id: str, rooms: Sequence[str], notification_ids: Sequence[str]
) -> dict[str, Runs]:
    due = due_by_room(connection, user_id, rooms)
    sent = connection.execute(
        select(_posting.room, _posting.offset, _posting.notification_id).where(
            among(connection, _posting.notification_id, notification_ids),
            among(connection, _posting.room, due),
            _posting.kind == Kind.NOTIFICATION.value,
        )
    )
    meant = [row for row in sent if runs.contains(due[row.room], row.offset)]
    behind = connection.execute(_behind(connection, due, {row.notification_id for row in meant}))
    offsets: dict[str, list[int]] = {}
    for room, offset in (*((row.room, row.offset) for row in meant), *behind):
        if runs.contains(due[room], offset):
            offsets.setdefault(room, []).append(offset)
    return {room: runs.of_offsets(found) for room, found in offsets.items()}


def _behind(connection: Connection, rooms: Iterable[str], notification_ids: Iterable[str]) -> Select[Any]:
    """Where the notifications' threads stand at something older: it is behind them in the same row of the inbox."""
    older = tables.posting.alias("older")
    return (
        select(older.c.room, older.c.offset)
        .join(tables.room_thread, _thread.thread == _notification.thread)
        .join(older, and_(older.c.room == _thread.room, older.c.offset == _thread.last_offset))
        .where(among(connection, _notification.id, notification_ids), among(connection, _thread.room, rooms))
        .where(older.c.notification_id < _notification.id)
    )


def _counts(connection: Connection, user_id: str, rooms: Sequence[str]) -> InboxCounts:
    reading = reading_of(connection, user_id, rooms, *Receipt)

    def count(wanted: InboxFilter) -> int:
        return count_rows(connection, user_id, reading, wanted, MAX_UNREAD)

    counted = {receipt: reading.gaps[receipt] for receipt in (Receipt.READ, Receipt.SEEN)}
    without = count_between(connection, user_id, counted)
    newest = newest_rows(connection, user_id, reading, InboxFilter(archived=False), MAX_UNREAD)
    by_type = Counter(list(newest.values())[:MAX_UNREAD])
    return InboxCounts(
        all=by_type.total(),
        unread=without[Receipt.READ],
        unseen=without[Receipt.SEEN],
        todo=count(InboxFilter(archived=False, todo=True)),
        archived=count(InboxFilter(archived=True)),
        by_type=by_type,
        version=versions_of_many(connection, [user_id])[0],
    )
