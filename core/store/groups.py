"""One group of units as one transaction: the heart of the log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, tuple_, update

from core.domain.errors import Conflict, DomainError
from core.domain.notifications import Draft, Head, Kind, Notification, Posting
from core.ports.log import Appended, Committed, Unit
from core.store import tables
from core.store.appender import Outcome
from core.store.changes import EXECUTORS, Joins, lock_order
from core.store.dialects import among, insert
from core.store.rows import amendment_json, notification_from_row, notification_row

_MAX_KNOWN_ROOMS = 100_000


class KnownRooms:
    """Rooms whose row certainly exists (rows are never deleted), so that a publish need not ask again."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def missing(self, rooms: Iterable[str]) -> list[str]:
        return sorted(set(rooms) - self._names)

    def add(self, rooms: Iterable[str]) -> None:
        if len(self._names) > _MAX_KNOWN_ROOMS:
            self._names.clear()
        self._names.update(rooms)


@dataclass(slots=True)
class _Progress:
    """How far one unit has come inside the transaction."""

    unit: Unit
    refusal: DomainError | None = None
    results: tuple[object, ...] = ()
    joins: tuple[Joins, ...] = ()
    before: Appended | None = None

    @property
    def appends(self) -> bool:
        return self.refusal is None and self.before is None


class GroupCommit:
    """Runs units in one transaction; called once with the connection, gives each unit its outcome.

    `rooms` afterwards: all rooms that certainly exist once the transaction is committed.
    """

    def __init__(self, units: Sequence[Unit], known_rooms: KnownRooms) -> None:
        self._units = units
        self._known_rooms = known_rooms
        self.rooms: set[str] = set()

    def __call__(self, connection: Connection) -> list[Outcome]:
        units = [_Progress(unit) for unit in self._units]
        for progress in sorted(units, key=_lock_order):
            _run_changes(connection, progress)
        _amend_notifications(connection, units)
        _store_notifications(connection, units)
        heads = self._lock_heads(connection, units)
        _open_memberships(connection, units, heads)
        appended = _append(connection, units, heads)
        _save_heads(connection, heads)
        return [
            progress.refusal
            or Committed(
                results=progress.results,
                appended=(progress.before,) if progress.before else tuple(appended.get(id(progress), ())),
            )
            for progress in units
        ]

    def _lock_heads(self, connection: Connection, units: Sequence[_Progress]) -> dict[str, "_Head"]:
        rooms = {
            room
            for progress in units
            if progress.appends
            for group in (*(d.rooms for d in progress.unit.drafts), *(j.rooms for j in progress.joins))
            for room in group
        }
        if not rooms:
            return {}
        if missing := self._known_rooms.missing(rooms):
            connection.execute(
                insert(connection, tables.room).on_conflict_do_nothing(),
                [{"name": name} for name in missing],
            )
        room = tables.room.c
        locked = connection.execute(
            select(room.name, room.head, room.floor, room.members)
            .where(among(connection, room.name, rooms))
            .order_by(room.name)
            .with_for_update()
        )
        self.rooms = rooms
        return {row.name: _Head(Head(row.head, row.floor, row.members)) for row in locked}


@dataclass(slots=True)
class _Head:
    """A locked head, before and while it moves."""

    was: Head
    head: int = 0
    members: int = 0

    def __post_init__(self) -> None:
        self.head, self.members = self.was.head, self.was.members


def _lock_order(progress: _Progress) -> list[tuple[str, str]]:
    return [lock_order(change) for change in progress.unit.changes]


def _run_changes(connection: Connection, progress: _Progress) -> None:
    """Run the unit's changes in a savepoint, so that a refusal undoes and fails this unit alone."""
    if not progress.unit.changes:
        return
    savepoint = connection.begin_nested()
    try:
        done = [EXECUTORS[type(change)](connection, change) for change in progress.unit.changes]
    except DomainError as refusal:
        savepoint.rollback()
        progress.refusal = refusal
        return
    savepoint.commit()
    progress.results = tuple(change.result for change in done)
    progress.joins = tuple(change.joins for change in done if change.joins)


def _store_notifications(connection: Connection, units: Sequence[_Progress]) -> None:
    """Store what is new, and recognise what was stored before under the same key."""
    drafts: list[tuple[_Progress, Draft]] = []
    first_by_key: dict[tuple[str, str], Draft] = {}
    again: list[tuple[_Progress, Draft]] = []
    for progress in units:
        for draft in progress.unit.drafts if progress.refusal is None else ():
            if draft.kind is not Kind.NOTIFICATION:
                continue
            first = first_by_key.setdefault(_key(draft), draft) if draft.key else draft
            (drafts if first is draft else again).append((progress, draft))
    drafts.sort(key=lambda entry: _key(entry[1]))
    new_ids = _insert_new(connection, [draft for _, draft in drafts])
    again += [(progress, draft) for progress, draft in drafts if draft.notification_id not in new_ids]
    if again:
        _recognise(connection, again, first_by_key, new_ids)


def _key(draft: Draft) -> tuple[str, str]:
    return (draft.notification.sender if draft.notification else "", draft.key or "")


def _insert_new(connection: Connection, drafts: Sequence[Draft]) -> set[str]:
    """Insert the notifications; the ids of those whose key was free."""
    rows = [notification_row(draft) for draft in drafts]
    if not rows:
        return set()
    ids = [draft.notification_id for draft in drafts]
    if not any(draft.key for draft in drafts):
        connection.execute(insert(connection, tables.notification), rows)
        return set(ids)
    statement = insert(connection, tables.notification).on_conflict_do_nothing(
        index_elements=["sender", "idempotency_key"]
    )
    connection.execute(statement, rows)
    stored = tables.notification.c.id
    return set(connection.execute(select(stored).where(among(connection, stored, ids))).scalars())


def _recognise(
    connection: Connection,
    again: Sequence[tuple[_Progress, Draft]],
    first_by_key: Mapping[tuple[str, str], Draft],
    new_ids: set[str],
) -> None:
    """Give each draft whose key is taken the outcome of the first one, or a conflict if it says something else.

    The first one may be of this very group; then its postings do not exist yet and are filled in by `_append`.
    """
    notification = tables.notification.c
    keys = sorted({_key(draft) for _, draft in again})
    stored = {
        (row.sender, row.idempotency_key): row
        for row in connection.execute(
            select(
                notification.id, notification.sender, notification.idempotency_key, notification.body_hash
            ).where(tuple_(notification.sender, notification.idempotency_key).in_(keys))
        )
    }
    before = appended_before(connection, [row.id for row in stored.values()], duplicate=True)
    for progress, draft in again:
        row = stored[_key(draft)]
        if row.body_hash != draft.body_hash:
            progress.refusal = Conflict(
                "This idempotency key was used for another notification.", code="idempotency_conflict"
            )
        elif row.id in new_ids:
            first = first_by_key[_key(draft)]
            progress.before = Appended(first.notification, (), {}, duplicate=True)
        else:
            progress.before = before[row.id]


def appended_before(
    connection: Connection, notification_ids: Iterable[str], *, duplicate: bool
) -> dict[str, Appended]:
    """What was appended for these notifications in committed (or this) transactions; unknown ids are absent."""
    ids = tuple(notification_ids)
    if not ids:
        return {}
    posting = tables.posting
    rows = connection.execute(
        select(posting, *tables.notification_content)
        .join(tables.notification, tables.notification.c.id == posting.c.notification_id)
        .where(posting.c.notification_id.in_(ids), posting.c.kind == Kind.NOTIFICATION)
    )
    content: dict[str, Notification] = {}
    postings: dict[str, list[Posting]] = {}
    for row in rows:
        found = content.setdefault(row.notification_id, notification_from_row(row))
        postings.setdefault(row.notification_id, []).append(
            Posting(
                room=row.room,
                offset=row.offset,
                kind=Kind.NOTIFICATION,
                notification_id=row.notification_id,
                thread=row.thread,
                members=row.members,
                created_at=row.created_at,
                notification=found,
            )
        )
    return {
        notification_id: Appended(
            content[notification_id],
            () if duplicate else tuple(found),
            {posting.room: posting.offset for posting in found},
            duplicate,
        )
        for notification_id, found in postings.items()
    }


def _amend_notifications(connection: Connection, units: Sequence[_Progress]) -> None:
    """By id; amendments of the same notification stay in the order of their postings."""
    drafts = [draft for progress in units if progress.refusal is None for draft in progress.unit.drafts]
    for draft in sorted(drafts, key=lambda draft: draft.notification_id):
        _amend(connection, draft)


def _amend(connection: Connection, draft: Draft) -> None:
    """Make the stored notification what the amendment says; readers of the past see the present content."""
    if draft.kind is Kind.RETRACT:
        values: dict[str, Any] = {"retracted_at": draft.created_at}
    elif draft.kind is Kind.UPDATE and draft.amendment:
        values = dict(draft.amendment.set)
        if values.get("expires_at"):
            values["expires_at"] = datetime.fromisoformat(values["expires_at"])
    else:
        return
    connection.execute(
        update(tables.notification).where(tables.notification.c.id == draft.notification_id).values(values)
    )


def _open_memberships(connection: Connection, units: Sequence[_Progress], heads: Mapping[str, _Head]) -> None:
    """A new member's interval starts at the head of this moment, in their own room at the beginning."""
    rows: list[dict[str, Any]] = []
    for progress in units:
        for joins in progress.joins:
            for room in joins.rooms:
                heads[room].members += 1
                since = 0 if room == joins.own_room else heads[room].head
                rows.append({"user_id": joins.user_id, "room": room, "since": since})
    if rows:
        connection.execute(insert(connection, tables.membership), rows)


def _append(
    connection: Connection, units: Sequence[_Progress], heads: Mapping[str, _Head]
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
        for draft in progress.unit.drafts:
            postings = tuple(_post(draft, room, heads[room]) for room in draft.rooms)
            rows.extend(_posting_row(posting) for posting in postings)
            threads.extend(_thread_row(draft, posting) for posting in postings if posting.thread)
            entry = Appended(draft.notification, postings, {p.room: p.offset for p in postings})
            by_notification[draft.notification_id] = entry
            outcome.append(entry)
    if rows:
        connection.execute(insert(connection, tables.posting), rows)
    if threads:
        _save_threads(connection, threads)
    for progress in units:
        if progress.before and progress.before.notification and not progress.before.offsets:
            first = by_notification[progress.before.notification.id]
            progress.before = replace(progress.before, offsets=first.offsets)
    return appended


def _post(draft: Draft, room: str, head: _Head) -> Posting:
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
        "kind": posting.kind.value,
        "notification_id": posting.notification_id,
        "thread": posting.thread,
        "members": posting.members,
        "amendment": amendment_json(posting.amendment),
        "created_at": posting.created_at,
    }


def _thread_row(draft: Draft, posting: Posting) -> dict[str, Any]:
    settles = draft.kind is Kind.SETTLE or (draft.notification is not None and draft.notification.settles)
    return {
        "room": posting.room,
        "thread": posting.thread,
        "last_offset": posting.offset if draft.kind is Kind.NOTIFICATION else 0,
        "open": not settles,
    }


def _save_threads(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """A notification is its thread's newest entry and opens or settles it; a settle only closes it."""
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = row["room"], row["thread"]
        if row["last_offset"]:
            last[key] = row
        elif not row["open"]:
            last[key] = {**last.get(key, row), "open": False}
    statement = insert(connection, tables.room_thread)
    newest = statement.on_conflict_do_update(
        index_elements=["room", "thread"],
        set_={"last_offset": statement.excluded.last_offset, "open": statement.excluded.open},
    )
    if notifications := [row for row in last.values() if row["last_offset"]]:
        connection.execute(newest, notifications)
    thread = tables.room_thread.c
    for (room, name), row in last.items():
        if not row["last_offset"]:
            connection.execute(
                update(tables.room_thread)
                .where(thread.room == room, thread.thread == name)
                .values(open=False)
            )


def _save_heads(connection: Connection, heads: Mapping[str, _Head]) -> None:
    moved = [
        {"room": name, "new_head": head.head, "new_members": head.members}
        for name, head in heads.items()
        if (head.head, head.members) != (head.was.head, head.was.members)
    ]
    if moved:
        connection.execute(
            update(tables.room)
            .where(tables.room.c.name == bindparam("room"))
            .values(head=bindparam("new_head"), members=bindparam("new_members")),
            moved,
        )
