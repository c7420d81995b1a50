"""Storing notifications: what is new, what was stored before under the same key, and what is amended."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ClauseElement, Connection, String, select, tuple_, update

from core.domain.errors import Conflict, Unavailable
from core.domain.notifications import Draft, Kind, Notification, Posting
from core.ports.log import Appended
from core.store import tables
from core.store.dialects import Insert, among, insert_on, rows_table, rows_values
from core.store.prepared import Prepared
from core.store.progress import Progress
from core.store.rows import notification_from_row, notification_row

_COLUMNS = {column.name: column.type for column in tables.notification.c if column.name != "retracted_at"}


def _where_key_is_free(statement: Insert) -> Insert:
    return statement.on_conflict_do_nothing(index_elements=["sender", "idempotency_key"])


def _insert_all(dialect: str) -> ClauseElement:
    # As many parameters are cast, and a cast to a length cuts off what is longer instead of refusing it.
    types = {name: String() if isinstance(type_, String) else type_ for name, type_ in _COLUMNS.items()}
    every = select(rows_table(dialect, "every", types))
    statement = insert_on(dialect, tables.notification).from_select(list(_COLUMNS), every)
    return _where_key_is_free(statement).returning(tables.notification.c.id)


_INSERT = Prepared(lambda dialect: insert_on(dialect, tables.notification), list(_COLUMNS))
_INSERT_WHOSE_KEY_IS_FREE = Prepared(
    lambda dialect: _where_key_is_free(insert_on(dialect, tables.notification)), list(_COLUMNS)
)
_INSERT_ALL_WHOSE_KEY_IS_FREE = Prepared(_insert_all)


def store_notifications(connection: Connection, units: Sequence[Progress]) -> None:
    """Store what is new, and recognise what was stored before under the same key."""
    drafts: list[tuple[Progress, Draft]] = []
    first_by_key: dict[tuple[str, str], Draft] = {}
    again: list[tuple[Progress, Draft]] = []
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
    ids = [draft.notification_id for draft in drafts]
    if not any(draft.key for draft in drafts):
        insert_notifications(connection, drafts)
        return set(ids)
    rows = [notification_row(draft) for draft in drafts]
    dialect = connection.dialect.name
    if dialect == "postgresql" and len(rows) > 1:
        # Its driver does not count what was stored of many; to ask afterwards costs a quarter more.
        values = ([row[name] for name in _COLUMNS] for row in rows)
        every = rows_values(dialect, "every", _COLUMNS, values)
        return set(_INSERT_ALL_WHOSE_KEY_IS_FREE.one(connection, every).scalars())
    inserted = _INSERT_WHOSE_KEY_IS_FREE.each(connection, rows)
    if inserted.rowcount == len(drafts):
        return set(ids)
    stored = tables.notification.c.id
    return set(connection.execute(select(stored).where(among(connection, stored, ids))).scalars())


def insert_notifications(connection: Connection, drafts: Sequence[Draft]) -> None:
    """Store the notifications of drafts without keys: nothing can be in their way."""
    if drafts:
        _INSERT.each(connection, [notification_row(draft) for draft in drafts])


def _recognise(
    connection: Connection,
    again: Sequence[tuple[Progress, Draft]],
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
            select(*tables.notification_content, notification.idempotency_key, notification.body_hash).where(
                tuple_(notification.sender, notification.idempotency_key).in_(keys)
            )
        )
    }
    offsets = _offsets(connection, [row.content_id for row in stored.values()])
    for progress, draft in again:
        row = stored.get(_key(draft))
        if row is None:
            progress.refusal = Unavailable("What had this key was pruned at this moment; try again.")
        elif row.body_hash != draft.body_hash:
            progress.refusal = Conflict(
                "This idempotency key was used for another notification.", code="idempotency_conflict"
            )
        elif row.content_id in new_ids:
            first = first_by_key[_key(draft)]
            progress.before = Appended(first.notification, (), {}, duplicate=True)
        else:
            found = offsets.get(row.content_id, {})
            progress.before = Appended(notification_from_row(row), (), found, duplicate=True)


def _offsets(connection: Connection, notification_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """Where the notifications still stand in the log: room to offset, by id."""
    posting = tables.posting.c
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(
        select(posting.notification_id, posting.room, posting.offset).where(
            posting.notification_id.in_(notification_ids), posting.kind == Kind.NOTIFICATION
        )
    ):
        found.setdefault(row.notification_id, {})[row.room] = row.offset
    return found


def appended_before(connection: Connection, notification_ids: Iterable[str]) -> dict[str, Appended]:
    """What was appended for these notifications in committed transactions; unknown ids are absent."""
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
            content[notification_id], tuple(found), {posting.room: posting.offset for posting in found}
        )
        for notification_id, found in postings.items()
    }


def amend_notifications(connection: Connection, units: Sequence[Progress]) -> None:
    """By id; amendments of the same notification stay in the order of their postings.

    The notifications stay locked until the commit, so that none is pruned before the postings that speak of it.
    """
    amendments = [
        (draft, progress, at)
        for progress in units
        if progress.refusal is None
        for at, draft in enumerate(progress.unit.drafts)
        if draft.kind is not Kind.NOTIFICATION
    ]
    if not amendments:
        return
    titles = _lock(connection, {draft.notification_id for draft, _, _ in amendments})
    for draft, progress, at in sorted(amendments, key=lambda entry: entry[0].notification_id):
        title = titles.get(draft.notification_id)
        if title is None or (draft.kind is Kind.UPDATE and not title):
            progress.moot.add(at)
            continue
        if draft.kind is Kind.RETRACT:
            titles[draft.notification_id] = ""
        _amend(connection, draft)


def _lock(connection: Connection, notification_ids: set[str]) -> dict[str, str]:
    """The titles of those that exist, locked in one order; an empty one says that the content is gone."""
    notification = tables.notification.c
    rows = connection.execute(
        select(notification.id, notification.title)
        .where(among(connection, notification.id, notification_ids))
        .order_by(notification.id)
        .with_for_update()
    )
    return {row.id: row.title for row in rows}


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
