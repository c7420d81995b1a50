"""How much a person has not seen or read: counted over the gaps between their receipts only."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, FromClause, Select, and_, select

from core.domain import runs
from core.domain.inbox import MAX_UNREAD, Receipt
from core.domain.membership import FOREVER
from core.domain.notifications import Kind
from core.domain.runs import Runs
from core.store import tables
from core.store.dialects import for_each, runs_table
from core.store.due import has_receipt, is_shown, unions

_MAX_RUNS = MAX_UNREAD + 20
"""Runs of receipts read of one room: marking leaves no gap without a notification, so few more are needed."""

_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c


def count_without(connection: Connection, user_id: str, due: Mapping[str, Runs], receipt: Receipt) -> int:
    """Open threads and single notifications among the due offsets without such a receipt, each once, up to 100.

    Walks only the gaps between the runs of receipts, and threads only by their newest entry: what is read,
    and how long a thread grew, costs nothing.
    """
    known, below = _gaps(connection, user_id, due, receipt)
    keys = _keys(connection, known)
    if below and len(keys) < MAX_UNREAD:
        keys |= _keys(connection, below, ~has_receipt(user_id, receipt))
    return min(len(keys), MAX_UNREAD)


def _gaps(
    connection: Connection, user_id: str, due: Mapping[str, Runs], receipt: Receipt
) -> tuple[dict[str, Runs], dict[str, Runs]]:
    """The due offsets of each room: those known to lack the receipt, and those below, to be asked one by one."""
    table = tables.receipt.c
    newest = [
        select(table.room, table.first, table.last)
        .where(table.user_id == user_id, table.room == room, table.receipt == receipt.value)
        .order_by(table.first.desc())
        .limit(_MAX_RUNS)
        for room in due
    ]
    given: dict[str, list[tuple[int, int]]] = {}
    for room, first, last in (
        row for union in unions(newest) for row in connection.execute(select(union)).all()
    ):
        given.setdefault(room, []).append((first, last))
    known, below = {}, {}
    for room, offsets in due.items():
        taken = given.get(room, [])
        cut = min(first for first, _ in taken) if len(taken) == _MAX_RUNS else 1
        known[room] = runs.subtract(runs.intersect(offsets, ((cut, FOREVER),)), taken)[::-1]
        below[room] = runs.intersect(offsets, ((1, cut - 1),))
    return _filled(known), _filled(below)


def _filled(by_room: Mapping[str, Runs]) -> dict[str, Runs]:
    return {room: offsets for room, offsets in by_room.items() if offsets}


def _keys(connection: Connection, gaps: Mapping[str, Runs], *conditions: Any) -> set[str]:
    """Some of the threads and single notifications in the gaps: all of them, or at least `MAX_UNREAD`."""
    if not gaps:
        return set()
    gap = runs_table(connection, "gap", gaps)
    keys: set[str] = set()
    for inside in (_singles(gap), _threads(gap)):
        # Each may stand in every room.
        statement = for_each(connection, gap, inside.where(*conditions).limit(MAX_UNREAD))
        keys.update(connection.execute(statement.limit(MAX_UNREAD * len(gaps))).scalars())
    return keys


def _singles(gap: FromClause) -> Select[Any]:
    return (
        select(_posting.notification_id.label("key"))
        .join(tables.notification, _notification.id == _posting.notification_id)
        .where(_posting.room == gap.c.room, _posting.offset.between(gap.c.first, gap.c.last))
        .where(_posting.thread.is_(None), _posting.kind == Kind.NOTIFICATION.value, is_shown())
    )


def _threads(gap: FromClause) -> Select[Any]:
    at_newest = and_(_posting.room == _thread.room, _posting.offset == _thread.last_offset)
    return (
        select(_thread.thread.label("key"))
        .select_from(tables.room_thread)
        .join(tables.posting, at_newest)
        .join(tables.notification, _notification.id == _posting.notification_id)
        .where(_thread.room == gap.c.room, _thread.last_offset.between(gap.c.first, gap.c.last))
        .where(_thread.open, is_shown())
    )
