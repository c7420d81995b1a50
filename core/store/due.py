"""What is due to a person, as conditions: membership, what is still shown, and what they did with it."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    FromClause,
    Select,
    Subquery,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql.elements import ColumnElement

from core.domain import clock
from core.domain.inbox import Receipt
from core.domain.runs import Run, Runs, normalise
from core.store import tables
from core.store.membership import intervals

MAX_BRANCHES = 50
"""Selects in one statement: SQLite refuses more than 500, and PostgreSQL plans hundreds for longer than it runs them."""

UserId = str | ColumnElement[str]
NOW = bindparam("now", type_=tables.UtcDateTime())
"""The moment, as a parameter of statements that are built once."""


def unions(selects: Sequence[Select[Any]]) -> Iterator[Subquery]:
    """All rows of several ordered and limited selects, in as few statements as there may be."""
    for start in range(0, len(selects), MAX_BRANCHES):
        part = selects[start : start + MAX_BRANCHES]
        yield union_all(*(select(branch.subquery()) for branch in part)).subquery()


def due_by_room(connection: Connection, user_id: str, rooms: Sequence[str]) -> dict[str, Runs]:
    """The due offsets of each room; rooms without any are left out."""
    runs: dict[str, list[Run]] = {}
    for interval in intervals(connection, user_id, rooms):
        runs.setdefault(interval.room, []).append(interval.run)
    return {room: offsets for room in rooms if (offsets := normalise(runs.get(room, ())))}


def is_due(user_id: UserId, posting: FromClause) -> ColumnElement[bool]:
    """Whether a membership of the person holds the posting, for statements that meet rooms one by one."""
    table, at = tables.membership.alias("holding").c, posting.c
    return exists(
        select(table.since)
        .where(table.user_id == user_id, table.room == at.room, table.since < at.offset)
        .where(or_(table.until.is_(None), table.until >= at.offset))
        .correlate(posting)
    )


def is_shown(notification: FromClause = tables.notification, now: Any = None) -> ColumnElement[bool]:
    """Whether anybody may see it at this moment, or at `now`."""
    table = notification.c
    moment = clock.now() if now is None else now
    return and_(table.retracted_at.is_(None), or_(table.expires_at.is_(None), table.expires_at > moment))


def covering_run(
    user_id: UserId,
    receipt: Receipt,
    column: ColumnElement[Any],
    posting: FromClause,
    offset: ColumnElement[int] | None = None,
) -> Any:
    """`column` of the only run that can hold the posting's offset: the last one that starts at or before it.

    Runs are disjoint, so this is one step into the primary key, however many runs there are. Where the offset has another
    name than in `posting`, it is given.
    """
    table = tables.receipt.c
    return (
        select(column)
        .where(table.user_id == user_id, table.room == posting.c.room, table.receipt == receipt.value)
        .where(table.first <= (posting.c.offset if offset is None else offset))
        .order_by(table.first.desc())
        .limit(1)
        .correlate(posting)
        .scalar_subquery()
    )


def has_receipt(
    user_id: UserId,
    receipt: Receipt,
    posting: FromClause = tables.posting,
    offset: ColumnElement[int] | None = None,
) -> ColumnElement[bool]:
    last = covering_run(user_id, receipt, tables.receipt.c.last, posting, offset)
    return func.coalesce(last, 0) >= (posting.c.offset if offset is None else offset)
