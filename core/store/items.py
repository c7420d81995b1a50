"""Items of an inbox: notifications as one person sees them, with their receipts and the state of their threads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, String, and_, bindparam, case, func, select

from core.domain import clock, runs
from core.domain.inbox import MAX_THREAD, InboxItem, Receipt, ThreadState
from core.domain.notifications import Actor, Kind, Notification
from core.domain.rooms import most_personal
from core.domain.runs import Runs
from core.store import tables
from core.store.dialects import among_named, texts_value
from core.store.due import NOW, covering_run, is_due, is_shown
from core.store.rows import AnyRow, notification_from_row
from core.store.tables import UtcDateTime
from core.store.whole import rows_of

_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c
_USER_ID = bindparam("user_id", type_=String)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an item stands: one posting, and what the person did with it."""

    notification_id: str
    room: str
    offset: int
    receipts: Mapping[Receipt, datetime | None]


@dataclass(frozen=True, slots=True)
class _Standing:
    """A thread in one room: its newest entry there, or None when the person is not to see that."""

    newest: _Place | None
    open: bool
    settled_by: Actor | None
    settled_at: datetime
    length: int


def items(
    connection: Connection,
    user_id: str,
    due: Mapping[str, Runs],
    notification_ids: Sequence[str],
    *,
    history: bool = False,
) -> tuple[InboxItem, ...]:
    """The items in this order; what is not due by `due` is left out.

    The newest notification of a thread has the receipts of the whole thread, or, as `history`, its own like the others.
    """
    if not notification_ids:
        return ()
    contents: dict[str, Notification] = {}
    sent: dict[str, list[_Place]] = {}
    dialect = connection.dialect.name
    values = {
        "user_id": user_id,
        "rooms": texts_value(dialect, due),
        "ids": texts_value(dialect, notification_ids),
    }
    for row in rows_of(connection, _sent(dialect), values):
        if runs.contains(due[row.room], row.offset):
            contents.setdefault(row.content_id, notification_from_row(row))
            sent.setdefault(row.content_id, []).append(_place(row))
    threads = _standings(connection, user_id, due, {n.thread for n in contents.values() if n.thread})
    found = []
    for nid in notification_ids:
        if nid in contents:
            thread = threads.get(contents[nid].thread or "", [])
            found.append(_item(contents[nid], sent[nid], thread, history=history))
    return tuple(found)


def _item(
    notification: Notification, sent: Sequence[_Place], thread: Sequence[_Standing], *, history: bool
) -> InboxItem:
    standing = [one for one in thread if one.newest is not None]
    open_ = [one for one in standing if one.open]
    everywhere = needing = list(sent)
    newest = max((one.newest.notification_id for one in standing if one.newest), default=None)
    if newest == notification.id and not history:
        everywhere = [one.newest for one in standing if one.newest]
        needing = [one.newest for one in open_ if one.newest] or everywhere
    state = None
    if notification.thread is not None:
        settled = None if open_ else max(standing, key=lambda one: one.settled_at, default=None)
        length = min(sum(one.length for one in thread), MAX_THREAD)
        state = ThreadState(notification.thread, length, bool(open_), settled.settled_by if settled else None)
    offsets = {place.room: place.offset for place in sent}
    nearest = most_personal(offsets)
    return InboxItem(
        notification=notification,
        room=nearest,
        offset=offsets[nearest],
        rooms=tuple(sorted(offsets)),
        thread=state,
        seen_at=_given(needing, Receipt.SEEN),
        read_at=_given(needing, Receipt.READ),
        archived_at=_given(everywhere, Receipt.ARCHIVED),
    )


def _given(places: Iterable[_Place], receipt: Receipt) -> datetime | None:
    """When the last of the places got the receipt; None while one has not."""
    times = [place.receipts[receipt] for place in places]
    given = [at for at in times if at is not None]
    return max(given) if len(given) == len(times) else None


def _receipts() -> list[Any]:
    table = tables.receipt.c
    return [
        covering_run(
            _USER_ID, receipt, case((table.last >= _posting.offset, table.at)), tables.posting
        ).label(f"{receipt.value}_at")
        for receipt in Receipt
    ]


def _place(row: AnyRow) -> _Place:
    times = {receipt: getattr(row, f"{receipt.value}_at") for receipt in Receipt}
    return _Place(row.notification_id, row.room, row.offset, times)


@cache
def _sent(dialect: str) -> Select[Any]:
    """Where the notifications were sent, and what they say; built once, since that takes longer than to run it."""
    return (
        select(
            *tables.notification_content,
            _posting.notification_id,
            _posting.room,
            _posting.offset,
            *_receipts(),
        )
        .join(tables.notification, _notification.id == _posting.notification_id)
        .where(
            among_named(dialect, _posting.notification_id, "ids"),
            among_named(dialect, _posting.room, "rooms"),
        )
        .where(_posting.kind == Kind.NOTIFICATION.value)
    )


def _standings(
    connection: Connection, user_id: str, due: Mapping[str, Runs], keys: Iterable[str]
) -> dict[str, list[_Standing]]:
    """The threads in each of the rooms where they are."""
    names = tuple(keys)
    if not names:
        return {}
    dialect = connection.dialect.name
    now = clock.now()
    found: dict[str, list[_Standing]] = {}
    values = {
        "user_id": user_id,
        "now": now,
        "rooms": texts_value(dialect, due),
        "threads": texts_value(dialect, names),
    }
    for row in rows_of(connection, _standing_in_rooms(dialect), values):
        shown = row.retracted_at is None and (row.expires_at is None or row.expires_at > now)
        seen = shown and runs.contains(due[row.room], row.offset)
        by = None if row.settled_by_id is None else Actor(row.settled_by_id, row.settled_by_name)
        standing = _Standing(_place(row) if seen else None, row.open, by, row.settled_at, row.length)
        found.setdefault(row.thread, []).append(standing)
    return found


@cache
def _standing_in_rooms(dialect: str) -> Select[Any]:
    return (
        select(
            _thread.room,
            _thread.thread,
            _thread.open,
            _thread.settled_by_id,
            _thread.settled_by_name,
            _posting.notification_id,
            _posting.offset,
            _notification.retracted_at,
            _notification.expires_at,
            func.coalesce(_settle_posting_at(), _posting.created_at, type_=UtcDateTime()).label("settled_at"),
            _length(dialect).label("length"),
            *_receipts(),
        )
        .join(tables.posting, and_(_posting.room == _thread.room, _posting.offset == _thread.last_offset))
        .join(tables.notification, _notification.id == _posting.notification_id)
        .where(among_named(dialect, _thread.room, "rooms"), among_named(dialect, _thread.thread, "threads"))
    )


def _settle_posting_at() -> Any:
    """When the first settle posting came after the newest entry."""
    settle = tables.posting.alias("settle_posting").c
    return (
        select(settle.created_at)
        .where(settle.room == _thread.room, settle.thread == _thread.thread)
        .where(settle.offset > _thread.last_offset, settle.kind == Kind.SETTLE.value)
        .order_by(settle.offset)
        .limit(1)
        .correlate(tables.room_thread)
        .scalar_subquery()
    )


def _length(dialect: str) -> Any:
    """How many notifications of the thread the person may see in the room, and not in one that sorts before it."""
    entry = tables.posting.alias("entry")
    content = tables.notification.alias("content_of_entry")
    # A table that has grown since it was last analysed looks empty to PostgreSQL, and any way through it as good as the
    # index by the id: a join would read all of it for each entry. Hence no joins, and no index for the room.
    other = select(
        _posting.notification_id,
        _posting.offset,
        _posting.kind,
        func.coalesce(_posting.room, "").label("room"),
    ).subquery("other")
    elsewhere = (
        select(other.c.offset)
        .where(other.c.notification_id == entry.c.notification_id, other.c.room < entry.c.room)
        .where(other.c.kind == Kind.NOTIFICATION.value)
        .where(among_named(dialect, other.c.room, "rooms"), is_due(_USER_ID, other))
        .limit(1)
        .correlate(entry)
        .scalar_subquery()
    )
    shown = (
        select(content.c.id)
        .where(content.c.id == entry.c.notification_id, is_shown(content, NOW))
        .limit(1)
        .correlate(entry)
        .scalar_subquery()
    )
    counted = (
        select(entry.c.offset)
        .where(entry.c.room == _thread.room, entry.c.thread == _thread.thread)
        .where(entry.c.kind == Kind.NOTIFICATION.value, is_due(_USER_ID, entry))
        .where(shown.is_not(None), elsewhere.is_(None))
        .limit(MAX_THREAD)
        .correlate(tables.room_thread)
        .subquery()
    )
    return select(func.count()).select_from(counted).correlate(tables.room_thread).scalar_subquery()
