"""Threads: for each room, the newest entry of each, whether it is open, and who settled it.

All three follow from the log: the newest notification that is not retracted opens or settles its thread, and so does
the first settle posting after it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, update

from core.domain.notifications import Actor, Draft, Kind, Posting
from core.store import tables
from core.store.dialects import Insert, among, insert_on
from core.store.prepared import Prepared
from core.store.rows import AnyRow, amendment_from_json

_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c
_SETTLED = ("open", "settled_by_id", "settled_by_name")
_NEWEST = ("last_offset", "notification_id")


def _save_newest(dialect: str) -> Insert:
    statement = insert_on(dialect, tables.room_thread)
    return statement.on_conflict_do_update(
        index_elements=["room", "thread"],
        set_={name: statement.excluded[name] for name in (*_NEWEST, *_SETTLED)},
    )


_SAVE_NEWEST = Prepared(_save_newest, tables.room_thread.c.keys())


def thread_row(draft: Draft, posting: Posting) -> dict[str, Any]:
    """What the posting says of its thread; of the newest entry, `last_offset` is 0 when it says nothing."""
    by: Actor | None = None
    if draft.kind is Kind.SETTLE:
        by = draft.amendment.by if draft.amendment else None
    elif draft.notification is not None and draft.notification.settles:
        by = draft.notification.actor
    settles = draft.kind is Kind.SETTLE or (draft.notification is not None and draft.notification.settles)
    return {
        "room": posting.room,
        "thread": posting.thread,
        "last_offset": posting.offset if draft.kind is Kind.NOTIFICATION else 0,
        "notification_id": draft.notification_id,
        "open": not settles,
        "settled_by_id": by.id if by else None,
        "settled_by_name": by.name if by else None,
    }


def save_threads(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """A notification is its thread's newest entry and opens or settles it; a settle closes what is open."""
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = row["room"], row["thread"]
        known = last.get(key)
        if row["last_offset"]:
            last[key] = row
        elif not row["open"] and (known is None or known["open"]):
            newest = {name: known[name] for name in _NEWEST} if known else {"last_offset": 0}
            last[key] = row | newest
    if notifications := [row for row in last.values() if row["last_offset"]]:
        _SAVE_NEWEST.each(connection, notifications)
    for row in last.values():
        if not row["last_offset"]:
            connection.execute(
                update(tables.room_thread)
                .where(_thread.room == row["room"], _thread.thread == row["thread"], _thread.open)
                .values({name: row[name] for name in _SETTLED})
            )


def fall_back(connection: Connection, retracted: Sequence[Draft]) -> None:
    """Give threads whose newest entry was retracted the one before it that was not; without one, they are gone.

    Comes when the group's postings and threads are written. Looks only at rooms that the retractions are posted to:
    their heads are held.
    """
    ids = {draft.notification_id for draft in retracted}
    rooms = {room for draft in retracted if draft.thread for room in draft.rooms}
    if not rooms:
        return
    fallen = connection.execute(
        select(_thread.room, _thread.thread).where(
            among(connection, _thread.notification_id, ids), among(connection, _thread.room, rooms)
        )
    ).all()
    for room, thread in fallen:
        here = (_thread.room == room, _thread.thread == thread)
        newest = _newest_standing(connection, room, thread)
        if newest is None:
            connection.execute(delete(tables.room_thread).where(*here))
            continue
        open_, by = _settled(connection, room, thread, newest)
        connection.execute(
            update(tables.room_thread)
            .where(*here)
            .values(
                last_offset=newest.offset,
                notification_id=newest.notification_id,
                open=open_,
                settled_by_id=by.id if by else None,
                settled_by_name=by.name if by else None,
            )
        )


def _newest_standing(connection: Connection, room: str, thread: str) -> AnyRow | None:
    return connection.execute(
        select(
            _posting.offset,
            _posting.notification_id,
            _notification.settles,
            _notification.actor_id,
            _notification.actor_name,
        )
        .join(tables.notification, _notification.id == _posting.notification_id)
        .where(_posting.room == room, _posting.thread == thread, _posting.kind == Kind.NOTIFICATION.value)
        .where(_notification.retracted_at.is_(None))
        .order_by(_posting.offset.desc())
        .limit(1)
    ).one_or_none()


def _settled(connection: Connection, room: str, thread: str, newest: AnyRow) -> tuple[bool, Actor | None]:
    """Whether the thread is open with this newest entry, and who settled it."""
    if newest.settles:
        return False, None if newest.actor_id is None else Actor(newest.actor_id, newest.actor_name)
    settle = connection.execute(
        select(_posting.amendment)
        .where(_posting.room == room, _posting.thread == thread, _posting.kind == Kind.SETTLE.value)
        .where(_posting.offset > newest.offset)
        .order_by(_posting.offset)
        .limit(1)
    ).one_or_none()
    if settle is None:
        return True, None
    amendment = amendment_from_json(settle.amendment)
    return False, amendment.by if amendment else None
