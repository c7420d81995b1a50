"""The inbox on SQL: what is due to a person over their rooms, newest first, and how much of it is unread."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Select, and_, case, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from core.domain import runs
from core.domain.inbox import (
    LATEST,
    MAX_UNREAD,
    MISSED_CAP,
    InboxCounts,
    InboxFilter,
    InboxItem,
    InboxPage,
    InboxState,
    Missed,
    Receipt,
    ThreadState,
)
from core.domain.notifications import Kind
from core.domain.positions import Position
from core.domain.rooms import most_personal
from core.domain.runs import Runs
from core.store import tables
from core.store.database import Database
from core.store.dialects import among
from core.store.due import covering_run, due_by_room, has_receipt, is_shown, lies_in, unions
from core.store.rows import AnyRow, notification_from_row
from core.store.unread import count_without

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
        return await self._database.read(work, snapshot=True)

    async def item(self, user_id: str, rooms: Sequence[str], notification_id: str) -> InboxItem | None:
        work = partial(_item, user_id=user_id, rooms=rooms, notification_id=notification_id)
        return await self._database.read(work, snapshot=True)

    async def state(self, user_id: str, rooms: Sequence[str]) -> InboxState:
        return await self._database.read(partial(_state, user_id=user_id, rooms=rooms), snapshot=True)

    async def version(self, user_id: str) -> int:
        return await self._database.read(partial(_version, user_id=user_id))

    async def counts(self, user_id: str, rooms: Sequence[str]) -> InboxCounts:
        return await self._database.read(partial(_counts, user_id=user_id, rooms=rooms), snapshot=True)

    async def locate(
        self, user_id: str, rooms: Sequence[str], notification_ids: Iterable[str]
    ) -> dict[str, dict[str, int]]:
        ids = tuple(notification_ids)
        work = partial(_locate, user_id=user_id, rooms=rooms, notification_ids=ids)
        return await self._database.read(work, snapshot=True)

    async def missed(self, user_id: str, rooms: Sequence[str], after: Position, through: Position) -> Missed:
        work = partial(_missed, user_id=user_id, rooms=rooms, after=after, through=through)
        return await self._database.read(work, snapshot=True)


def _receipt_time(user_id: str, receipt: Receipt) -> Any:
    table = tables.receipt.c
    covered = case((table.last >= _posting.offset, table.at))
    return covering_run(user_id, receipt, covered).label(f"{receipt.value}_at")


def _matching(user_id: str, wanted: InboxFilter) -> list[ColumnElement[bool]]:
    """The conditions of a filter, beside kind, room and due offsets."""
    living = or_(_posting.thread.is_(None), _thread.last_offset == _posting.offset)
    conditions = [is_shown(), living if wanted.thread is None else _posting.thread == wanted.thread]
    if wanted.unread is not None:
        unread = and_(~has_receipt(user_id, Receipt.READ), or_(_posting.thread.is_(None), _thread.open))
        conditions.append(unread if wanted.unread else ~unread)
    if wanted.archived is not None:
        archived = has_receipt(user_id, Receipt.ARCHIVED)
        conditions.append(archived if wanted.archived else ~archived)
    if wanted.type is not None:
        conditions.append(_notification.type == wanted.type)
    if wanted.level is not None:
        conditions.append(_notification.level == wanted.level.value)
    if wanted.q is not None:
        conditions.append(
            or_(
                _notification.title.icontains(wanted.q, autoescape=True),
                _notification.content.icontains(wanted.q, autoescape=True),
            )
        )
    return conditions


def _candidates(room: str, due: Runs) -> Select[Any]:
    """The notifications of one room that are due, with their thread where they have one."""
    with_thread = and_(_thread.room == _posting.room, _thread.thread == _posting.thread)
    return (
        select(
            _posting.room, _posting.offset, _posting.notification_id, _notification.type, _notification.urgent
        )
        .join(tables.notification, _notification.id == _posting.notification_id)
        .outerjoin(tables.room_thread, with_thread)
        .where(_posting.room == room, lies_in(_posting.offset, due))
        .where(_posting.kind == Kind.NOTIFICATION.value)
    )


def _merged(connection: Connection, selects: Sequence[Select[Any]]) -> list[AnyRow]:
    """All rows of several ordered and limited selects, by notification, newest first."""
    rows = [row for union in unions(selects) for row in connection.execute(select(union))]
    return sorted(rows, key=lambda row: str(row.notification_id), reverse=True)


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
    matching = _matching(user_id, wanted)
    if cursor is not None:
        matching.append(_posting.notification_id < cursor)
    found = _merged(
        connection,
        [
            _candidates(room, due).where(*matching).order_by(_posting.notification_id.desc()).limit(limit + 1)
            for room, due in due_by_room(connection, user_id, chosen).items()
        ],
    )
    ids = list(dict.fromkeys(row.notification_id for row in found))
    more = len(ids) > limit
    shown = set(ids[:limit])
    items = _items(connection, user_id, [row for row in found if row.notification_id in shown])
    return InboxPage(items, ids[limit - 1] if more else None)


def _items(connection: Connection, user_id: str, found: Sequence[AnyRow]) -> tuple[InboxItem, ...]:
    """The items for (room, offset, notification_id) rows, in their order, each notification once."""
    places: dict[str, dict[str, int]] = {}
    for row in found:
        places.setdefault(row.notification_id, {})[row.room] = row.offset
    if not places:
        return ()
    nearest = {nid: most_personal(rooms) for nid, rooms in places.items()}
    statement = (
        select(
            *tables.notification_content,
            _posting.room,
            _thread.open.label("thread_open"),
            _thread_length().label("thread_count"),
            *(_receipt_time(user_id, receipt) for receipt in Receipt),
        )
        .select_from(tables.posting)
        .join(tables.notification, _notification.id == _posting.notification_id)
        .outerjoin(tables.room_thread, and_(_thread.room == _posting.room, _thread.thread == _posting.thread))
        .where(
            or_(
                *(
                    and_(_posting.room == nearest[nid], _posting.offset == places[nid][nearest[nid]])
                    for nid in places
                )
            )
        )
    )
    rows = {row.content_id: row for row in connection.execute(statement)}
    return tuple(
        _item_from_row(rows[nid], nearest[nid], rooms) for nid, rooms in places.items() if nid in rows
    )


def _thread_length() -> Any:
    """How many notifications the posting's thread has in its room; 0 without a thread."""
    other = tables.posting.alias("of_thread").c
    return (
        select(func.count())
        .where(other.room == _posting.room, other.thread == _posting.thread)
        .where(other.kind == Kind.NOTIFICATION.value)
        .correlate(tables.posting)
        .scalar_subquery()
    )


def _item_from_row(row: AnyRow, room: str, offsets: Mapping[str, int]) -> InboxItem:
    notification = notification_from_row(row)
    thread = None
    if notification.thread is not None:
        thread = ThreadState(notification.thread, row.thread_count, bool(row.thread_open))
    return InboxItem(
        notification=notification,
        room=room,
        offset=offsets[room],
        rooms=tuple(sorted(offsets)),
        thread=thread,
        seen_at=row.seen_at,
        read_at=row.read_at,
        archived_at=row.archived_at,
    )


def _item(
    connection: Connection, user_id: str, rooms: Sequence[str], notification_id: str
) -> InboxItem | None:
    due = due_by_room(connection, user_id, rooms)
    selects = [
        _candidates(room, offsets).where(is_shown(), _posting.notification_id == notification_id)
        for room, offsets in due.items()
    ]
    items = _items(connection, user_id, _merged(connection, selects))
    return items[0] if items else None


def _locate(
    connection: Connection, user_id: str, rooms: Sequence[str], notification_ids: Sequence[str]
) -> dict[str, dict[str, int]]:
    if not notification_ids:
        return {}
    due = due_by_room(connection, user_id, rooms)
    statement = select(_posting.room, _posting.offset, _posting.notification_id).where(
        _posting.notification_id.in_(notification_ids),
        _posting.room.in_(tuple(due)),
        _posting.kind == Kind.NOTIFICATION.value,
    )
    places: dict[str, dict[str, int]] = {}
    for row in connection.execute(statement):
        if runs.contains(due[row.room], row.offset):
            places.setdefault(row.notification_id, {})[row.room] = row.offset
    return places


def _missed(
    connection: Connection, user_id: str, rooms: Sequence[str], after: Position, through: Position
) -> Missed:
    windows = {
        room: runs.intersect(due, ((after.get(room, 0) + 1, through.get(room, 0)),))
        for room, due in due_by_room(connection, user_id, rooms).items()
    }
    found = _merged(
        connection,
        [
            _candidates(room, window).where(is_shown()).order_by(_posting.offset.desc()).limit(MISSED_CAP + 1)
            for room, window in windows.items()
            if window
        ],
    )
    first: dict[str, AnyRow] = {}
    for row in found:
        first.setdefault(row.notification_id, row)
    counted = dict(islice(first.items(), MISSED_CAP))
    newest = set(islice(first, LATEST))
    return Missed(
        total=len(counted),
        capped=len(first) > MISSED_CAP,
        by_type=Counter(row.type for row in counted.values()),
        by_room=Counter(row.room for row in found if row.notification_id in counted),
        urgent=sum(row.urgent for row in counted.values()),
        latest=_items(connection, user_id, [row for row in found if row.notification_id in newest]),
    )


def _state(connection: Connection, user_id: str, rooms: Sequence[str]) -> InboxState:
    room = tables.room.c
    heads = connection.execute(select(room.name, room.head).where(among(connection, room.name, rooms))).all()
    position = dict.fromkeys(rooms, 0) | {row.name: row.head for row in heads}
    return InboxState(
        unread=count_without(connection, user_id, rooms, Receipt.READ),
        unseen=count_without(connection, user_id, rooms, Receipt.SEEN),
        version=_version(connection, user_id),
        epoch=connection.execute(select(tables.log.c.epoch)).scalar_one(),
        position=position,
    )


def _version(connection: Connection, user_id: str) -> int:
    version = select(tables.inbox.c.version).where(tables.inbox.c.user_id == user_id)
    return connection.execute(version).scalar_one_or_none() or 0


def _counts(connection: Connection, user_id: str, rooms: Sequence[str]) -> InboxCounts:
    def count(*conditions: ColumnElement[bool]) -> Counter[str]:
        selects = [
            _candidates(room, due).where(*conditions).order_by(_posting.offset.desc()).limit(MAX_UNREAD)
            for room, due in due_by_room(connection, user_id, rooms).items()
        ]
        types = {row.notification_id: row.type for row in _merged(connection, selects)}
        return Counter(list(types.values())[:MAX_UNREAD])

    present = _matching(user_id, InboxFilter(archived=False))
    by_type = count(*present)
    return InboxCounts(
        all=by_type.total(),
        unread=count_without(connection, user_id, rooms, Receipt.READ),
        unseen=count_without(connection, user_id, rooms, Receipt.SEEN),
        todo=count(*present, _thread.open).total(),
        archived=count(*_matching(user_id, InboxFilter(archived=True))).total(),
        by_type=by_type,
        version=_version(connection, user_id),
    )
