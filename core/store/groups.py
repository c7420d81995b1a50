"""One group of units as one transaction: the heart of the log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select, update

from core.domain.errors import DomainError
from core.domain.notifications import Draft, Head, Kind, Posting
from core.ports.log import Appended, Committed, Unit
from core.store import tables
from core.store.appender import Outcome
from core.store.changes import lock_order, run_all
from core.store.contents import clear_contents
from core.store.dialects import among_named, insert, insert_on, texts_value
from core.store.handovers import write_handovers
from core.store.membership import move_members
from core.store.notifications import amend_notifications, store_notifications
from core.store.prepared import Prepared
from core.store.progress import LockedHead, Progress
from core.store.retention import do_chore
from core.store.rows import amendment_json
from core.store.threads import fall_back, save_threads, thread_row
from core.store.workflow import lock_tasks

_MAX_KNOWN_ROOMS = 100_000


def _lock_heads(dialect: str) -> Select[Any]:
    """The heads, and beside them the epoch, so that it costs no statement of its own."""
    room = tables.room.c
    epoch = select(tables.log.c.epoch).scalar_subquery().label("epoch")
    return (
        select(room.name, room.head, room.floor, room.members, epoch)
        .where(among_named(dialect, room.name, "rooms"))
        .order_by(room.name)
        .with_for_update(of=tables.room)
    )


_LOCK_HEADS = Prepared(_lock_heads)
_INSERT_POSTINGS = Prepared(lambda dialect: insert_on(dialect, tables.posting), tables.posting.c.keys())
_SAVE_HEADS = Prepared(
    lambda _: (
        update(tables.room)
        .where(tables.room.c.name == bindparam("room"))
        .values(head=bindparam("new_head"), floor=bindparam("new_floor"), members=bindparam("new_members"))
    )
)


class KnownRooms:
    """Rooms whose row exists (rows are never deleted), so that a publish need not ask again."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def missing(self, rooms: Iterable[str]) -> list[str]:
        return sorted(set(rooms) - self._names)

    def clear(self) -> None:
        self._names.clear()

    def add(self, rooms: Iterable[str]) -> None:
        if len(self._names) > _MAX_KNOWN_ROOMS:
            self._names.clear()
        self._names.update(rooms)


class RoomsVanishedError(Exception):
    """Rooms that were known do not exist: the log is another one, restored from a backup."""


class GroupCommit:
    """Runs units in one transaction; called once with the connection, gives each unit its outcome.

    `rooms` afterwards: all rooms that certainly exist once the transaction is committed. Raises
    `RoomsVanishedError` when what is known of rooms does not hold.
    """

    def __init__(self, units: Sequence[Unit], known_rooms: KnownRooms) -> None:
        self._units = units
        self._known_rooms = known_rooms
        self.rooms: set[str] = set()
        self._epoch = ""

    def __call__(self, connection: Connection) -> list[Outcome]:
        given = [Progress(unit) for unit in self._units]
        units = sorted(given, key=_lock_order)
        lock_tasks(connection, units)
        for progress in units:
            _run_changes(connection, progress)
        amend_notifications(connection, units)
        store_notifications(connection, units)
        heads = self._lock_heads(connection, units)
        move_members(connection, (move for progress in units for move in progress.moves), heads)
        write_handovers(connection, units)
        appended = _append(connection, units, heads)
        retracted = _retracted(units)
        clear_contents(connection, [draft.notification_id for draft in retracted])
        fall_back(connection, retracted)
        for progress in units:
            if progress.unit.chore:
                progress.results = (do_chore(connection, progress.unit.chore, heads),)
        _save_heads(connection, heads)
        return [
            progress.refusal
            or Committed(
                results=progress.results,
                appended=(progress.before,) if progress.before else tuple(appended.get(id(progress), ())),
                epoch=self._epoch,
            )
            for progress in given
        ]

    def _lock_heads(self, connection: Connection, units: Sequence[Progress]) -> dict[str, "LockedHead"]:
        rooms = {room for progress in units if progress.appends for room in progress.rooms}
        if not rooms:
            return {}
        if missing := self._known_rooms.missing(rooms):
            connection.execute(
                insert(connection, tables.room).on_conflict_do_nothing(),
                [{"name": name} for name in missing],
            )
        locked = _LOCK_HEADS.one(connection, {"rooms": texts_value(connection.dialect.name, rooms)}).all()
        if len(locked) < len(rooms):
            raise RoomsVanishedError
        self.rooms = rooms
        self._epoch = locked[0].epoch
        return {row.name: LockedHead(Head(row.head, row.floor, row.members)) for row in locked}


def _lock_order(progress: Progress) -> list[tuple[str, str]]:
    return [lock_order(change) for change in progress.unit.changes]


def _run_changes(connection: Connection, progress: Progress) -> None:
    """Run the unit's changes in a savepoint, so that a refusal undoes and fails this unit alone."""
    if not progress.unit.changes:
        return
    savepoint = connection.begin_nested()
    try:
        done = run_all(connection, progress.unit.changes)
    except DomainError as refusal:
        savepoint.rollback()
        progress.refusal = refusal
        return
    savepoint.commit()
    progress.results = tuple(change.result for change in done)
    progress.moves = tuple(change.moves for change in done if change.moves)
    progress.handovers = tuple(told for change in done for told in change.handovers)


def _append(
    connection: Connection, units: Sequence[Progress], heads: Mapping[str, LockedHead]
) -> dict[int, list[Appended]]:
    """Give every draft its offsets and write the postings; what was appended, by progress."""
    appended: dict[int, list[Appended]] = {}
    by_notification: dict[str, Appended] = {}
    rows: list[dict[str, Any]] = []
    threads: list[dict[str, Any]] = []
    for progress in units:
        if not progress.appends:
            continue
        outcome = appended[id(progress)] = []
        for at, draft in enumerate(progress.drafts):
            if at in progress.moot:
                outcome.append(Appended(None, (), {}))
                continue
            postings = tuple(_post(draft, room, heads[room]) for room in draft.rooms)
            rows.extend(_posting_row(posting) for posting in postings)
            threads.extend(thread_row(draft, posting) for posting in postings if posting.thread)
            entry = Appended(draft.notification, postings, {p.room: p.offset for p in postings})
            by_notification[draft.notification_id] = entry
            outcome.append(entry)
    if rows:
        _INSERT_POSTINGS.each(connection, rows)
    if threads:
        save_threads(connection, threads)
    for progress in units:
        if progress.before and progress.before.notification and not progress.before.offsets:
            first = by_notification.get(progress.before.notification.id)
            if first is not None:  # or it is older, and pruned
                progress.before = replace(progress.before, offsets=first.offsets)
    return appended


def _post(draft: Draft, room: str, head: LockedHead) -> Posting:
    head.head += 1
    return Posting(
        room=room,
        offset=head.head,
        kind=draft.kind,
        notification_id=draft.notification_id,
        thread=draft.thread,
        members=head.members,
        created_at=draft.created_at,
        notification=draft.notification,
        amendment=draft.amendment,
    )


def _posting_row(posting: Posting) -> dict[str, Any]:
    return {
        "room": posting.room,
        "offset": posting.offset,
        "kind": str(posting.kind),
        "notification_id": posting.notification_id,
        "thread": posting.thread,
        "members": posting.members,
        "amendment": amendment_json(posting.amendment),
        "created_at": posting.created_at,
    }


def _retracted(units: Sequence[Progress]) -> list[Draft]:
    return [
        draft
        for progress in units
        if progress.appends
        for draft in progress.drafts
        if draft.kind is Kind.RETRACT
    ]


def _save_heads(connection: Connection, heads: Mapping[str, LockedHead]) -> None:
    moved = [
        {"room": name, "new_head": head.head, "new_floor": head.floor, "new_members": head.members}
        for name, head in heads.items()
        if head.now != head.was
    ]
    if moved:
        _SAVE_HEADS.each(connection, moved)
