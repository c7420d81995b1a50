"""What is due to a person, as conditions: membership, what is still shown, and what they did with it."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Subquery, and_, func, or_, select, union_all
from sqlalchemy.sql.elements import ColumnElement

from core.domain import clock
from core.domain.inbox import Receipt
from core.domain.membership import FOREVER, due_runs
from core.domain.runs import Runs
from core.store import tables
from core.store.membership import intervals

_MAX_BRANCHES = 50
"""Selects in one statement: SQLite refuses more than 500, and PostgreSQL plans hundreds for longer than it runs them."""

_posting = tables.posting.c
_notification = tables.notification.c


def unions(selects: Sequence[Select[Any]]) -> Iterator[Subquery]:
    """All rows of several ordered and limited selects, in as few statements as there may be."""
    for start in range(0, len(selects), _MAX_BRANCHES):
        part = selects[start : start + _MAX_BRANCHES]
        yield union_all(*(select(branch.subquery()) for branch in part)).subquery()


def due_by_room(connection: Connection, user_id: str, rooms: Sequence[str]) -> dict[str, Runs]:
    """The due offsets of each room; rooms without any are left out."""
    found = intervals(connection, user_id, rooms)
    due = {room: due_runs(found, room) for room in rooms}
    return {room: offsets for room, offsets in due.items() if offsets}


def lies_in(column: ColumnElement[int], offsets: Runs) -> ColumnElement[bool]:
    return or_(
        *(column >= first if last == FOREVER else column.between(first, last) for first, last in offsets)
    )


def is_shown() -> ColumnElement[bool]:
    alive = or_(_notification.expires_at.is_(None), _notification.expires_at > clock.now())
    return and_(_notification.retracted_at.is_(None), alive)


def covering_run(user_id: str, receipt: Receipt, column: ColumnElement[Any]) -> Any:
    """`column` of the only run that can hold the posting's offset: the last one that starts at or before it.

    Runs are disjoint, so this is one step into the primary key, however many runs there are.
    """
    table = tables.receipt.c
    return (
        select(column)
        .where(table.user_id == user_id, table.room == _posting.room, table.receipt == receipt.value)
        .where(table.first <= _posting.offset)
        .order_by(table.first.desc())
        .limit(1)
        .correlate(tables.posting)
        .scalar_subquery()
    )


def has_receipt(user_id: str, receipt: Receipt) -> ColumnElement[bool]:
    last = covering_run(user_id, receipt, tables.receipt.c.last)
    return func.coalesce(last, 0) >= _posting.offset
