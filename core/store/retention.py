"""Retention on SQL: old postings, and what hangs on them, are dropped; expired content is emptied.

Both come last in a group's transaction, under the heads' locks, and wait for no row: whoever holds it may be waiting for
one of those heads. What another transaction holds is left for the next time.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from itertools import takewhile

from sqlalchemy import Connection, delete, func, select, text, tuple_

from core.domain.retention import Chore, ClearExpired, Prune
from core.ports.retention import OldRooms
from core.store import tables
from core.store.contents import clear_contents
from core.store.database import Database
from core.store.dialects import among
from core.store.progress import LockedHead

_room = tables.room.c
_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c
_membership = tables.membership.c

_HAS_CONTENT = text("title <> ''")
"""Spelled as in the partial index: SQLite finds that index by the very text."""


class SqlRetention:
    """`core.ports.retention.Retention` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def old_rooms(self, before: datetime, after: str, limit: int) -> OldRooms:
        return await self._database.read(partial(_old_rooms, before=before, after=after, limit=limit))


def _old_rooms(connection: Connection, before: datetime, after: str, limit: int) -> OldRooms:
    """The page's end first: then the walk is as long as the page, however few of its rooms have something old."""
    page = select(_room.name).where(_room.name > after).order_by(_room.name).limit(limit).subquery()
    count, last = connection.execute(select(func.count(), func.max(page.c.name)).select_from(page)).one()
    if not count:
        return OldRooms({}, None)
    rows = connection.execute(
        select(_room.name, _room.floor)
        .join(tables.posting, (_posting.room == _room.name) & (_posting.offset == _room.floor + 1))
        .where(_room.name > after, _room.name <= last, _room.head > _room.floor)
        .where(_posting.created_at < before)
        .order_by(_room.name)
    )
    return OldRooms({row.name: row.floor for row in rows}, last if count == limit else None)


def do_chore(connection: Connection, chore: Chore, heads: Mapping[str, LockedHead]) -> object:
    if connection.dialect.name == "postgresql":
        # Without statistics, as after a restore, it would read all postings to find the few of some notifications.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
    match chore:
        case Prune():
            return _prune(connection, chore, heads[chore.room])
        case ClearExpired():
            return _clear_expired(connection, chore)


def _prune(connection: Connection, chore: Prune, head: LockedHead) -> int | None:
    if head.floor != chore.floor:
        return None
    rows = connection.execute(
        select(_posting.offset, _posting.notification_id, _posting.thread, _posting.created_at)
        .where(_posting.room == chore.room)
        .where(_posting.offset > head.floor, _posting.offset <= head.floor + chore.limit)
        .order_by(_posting.offset)
    ).all()
    old = list(takewhile(lambda row: row.created_at < chore.before, rows))
    held = _hold(connection, {row.notification_id for row in old})
    dropped = list(takewhile(lambda row: row.notification_id in held, old))
    if not dropped:
        return 0
    floor, head.floor = head.floor, dropped[-1].offset
    connection.execute(
        delete(tables.posting).where(
            _posting.room == chore.room, _posting.offset > floor, _posting.offset <= head.floor
        )
    )
    _drop_unused(connection, {row.notification_id for row in dropped})
    if threads := {row.thread for row in dropped if row.thread}:
        _drop_threads(connection, chore.room, head.floor, threads)
    _drop_intervals(connection, chore.room, head.floor, chore.limit)
    return len(dropped)


def _hold(connection: Connection, notification_ids: Iterable[str]) -> set[str]:
    """Lock the notifications, except those that another transaction holds: it may be about to post of them, or to drop
    their other postings, and would not be seen. Which those are is only certain to a statement after this one.
    """
    return set(
        connection.execute(
            select(_notification.id)
            .where(among(connection, _notification.id, notification_ids))
            .with_for_update(skip_locked=True)
        ).scalars()
    )


def _drop_unused(connection: Connection, notification_ids: set[str]) -> None:
    posted = connection.execute(
        select(_posting.notification_id).where(among(connection, _posting.notification_id, notification_ids))
    ).scalars()
    unused = notification_ids.difference(posted)
    connection.execute(delete(tables.notification).where(among(connection, _notification.id, unused)))


def _drop_threads(connection: Connection, room: str, floor: int, threads: Iterable[str]) -> None:
    """A thread's newest entry is among the dropped ones, or it is kept for the sake of those that remain."""
    connection.execute(
        delete(tables.room_thread).where(
            _thread.room == room, among(connection, _thread.thread, threads), _thread.last_offset <= floor
        )
    )


def _drop_intervals(connection: Connection, room: str, floor: int, limit: int) -> None:
    """Strictly below the floor: then something that came after they left is old already, so that every hub has long
    seen them leave. An interval that ends at the floor may have been closed a moment ago, and its row is how hubs
    learn of it.
    """
    key = (_membership.user_id, _membership.room, _membership.since)
    ended = select(*key).where(_membership.room == room, _membership.until < floor).limit(limit)
    connection.execute(delete(tables.membership).where(tuple_(*key).in_(ended)))


def _clear_expired(connection: Connection, chore: ClearExpired) -> int:
    """Nothing that the database does not take for expired as well: the clock of one of several servers may be ahead, and
    what was emptied stays empty for all of them.
    """
    expired = [_notification.expires_at <= chore.before]
    if connection.dialect.name == "postgresql":
        expired.append(_notification.expires_at <= func.now())
    ids = (
        connection.execute(
            select(_notification.id)
            .where(*expired, _HAS_CONTENT)
            .order_by(_notification.expires_at)
            .limit(chore.limit)
            .with_for_update(skip_locked=True)
        )
        .scalars()
        .all()
    )
    clear_contents(connection, ids)
    return len(ids)
