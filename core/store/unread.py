"""How much a person has not seen or read: counted over the gaps between their receipts only."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, or_, select
from sqlalchemy.sql.elements import ColumnElement

from core.domain import runs
from core.domain.inbox import MAX_UNREAD, Receipt
from core.domain.membership import FOREVER
from core.domain.notifications import Kind
from core.domain.runs import Runs
from core.store import tables
from core.store.due import due_by_room, has_receipt, is_shown, lies_in, unions

_MAX_RUNS = 250
"""Runs of receipts read of one room when counting: their gaps are spelled out in the statement, which may not be long."""

_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c


@dataclass(frozen=True, slots=True)
class _Gaps:
    """The due offsets of one room without a receipt: all of `known`, and some of `below`, to be asked one by one."""

    known: Runs
    below: Runs

    def hold(self, column: ColumnElement[int], user_id: str, receipt: Receipt) -> ColumnElement[bool]:
        if not self.below:
            return lies_in(column, self.known)
        below = and_(lies_in(column, self.below), ~has_receipt(user_id, receipt))
        return or_(lies_in(column, self.known), below) if self.known else below


def count_without(connection: Connection, user_id: str, rooms: Sequence[str], receipt: Receipt) -> int:
    """Open threads and single notifications that are due and have no such receipt, each once, up to 100.

    Walks only the gaps between the runs of receipts, and threads only by their newest entry: what is read,
    and how long a thread grew, costs nothing.
    """
    gaps = _gaps(connection, user_id, rooms, receipt)
    if not gaps:
        return 0
    singles = [
        select(_posting.notification_id.label("key"))
        .join(tables.notification, _notification.id == _posting.notification_id)
        .where(_posting.room == room, _posting.thread.is_(None), gap.hold(_posting.offset, user_id, receipt))
        .where(_posting.kind == Kind.NOTIFICATION.value, is_shown())
        .limit(MAX_UNREAD)
        for room, gap in gaps.items()
    ]
    at_newest = and_(_posting.room == _thread.room, _posting.offset == _thread.last_offset)
    threads = [
        select(_thread.thread.label("key"))
        .join(tables.posting, at_newest)
        .join(tables.notification, _notification.id == _posting.notification_id)
        .where(_thread.room == room, _thread.open, gap.hold(_thread.last_offset, user_id, receipt))
        .where(is_shown())
        .limit(MAX_UNREAD)
        for room, gap in gaps.items()
    ]
    keys: set[str] = set()
    for union in unions((*singles, *threads)):
        keys.update(connection.execute(select(union.c.key).distinct().limit(MAX_UNREAD)).scalars())
        if len(keys) >= MAX_UNREAD:
            break
    return min(len(keys), MAX_UNREAD)


def _gaps(connection: Connection, user_id: str, rooms: Sequence[str], receipt: Receipt) -> dict[str, _Gaps]:
    """The due offsets of each room without the receipt."""
    due = due_by_room(connection, user_id, rooms)
    table = tables.receipt.c
    newest = [
        select(table.room, table.first, table.last)
        .where(table.user_id == user_id, table.room == room, table.receipt == receipt.value)
        .order_by(table.first.desc())
        .limit(_MAX_RUNS)
        for room in due
    ]
    if not newest:
        return {}
    given: dict[str, list[tuple[int, int]]] = {}
    for row in (row for union in unions(newest) for row in connection.execute(select(union))):
        given.setdefault(row.room, []).append((row.first, row.last))
    gaps = {}
    for room, offsets in due.items():
        taken = given.get(room, [])
        cut = min(first for first, _ in taken) if len(taken) == _MAX_RUNS else 1
        known = runs.subtract(runs.intersect(offsets, ((cut, FOREVER),)), taken)
        below = runs.intersect(offsets, ((1, cut - 1),))
        if known or below:
            gaps[room] = _Gaps(known, below)
    return gaps
