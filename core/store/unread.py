"""How much a person has not seen or read: counted over the gaps between their receipts only."""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from sqlalchemy import Connection, FromClause, Select, and_, literal, select

from core.domain import runs
from core.domain.inbox import MAX_UNREAD, Receipt
from core.domain.membership import FOREVER
from core.domain.notifications import Kind
from core.domain.runs import Run, Runs
from core.store import tables
from core.store.dialects import for_each, runs_table
from core.store.due import has_receipt, is_shown, unions

_MAX_RUNS = MAX_UNREAD + 20
"""Runs of receipts read of one room: marking leaves no gap without a notification, so few more are needed."""

_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c


def count_without(
    connection: Connection, user_id: str, due: Mapping[str, Runs], *receipts: Receipt
) -> dict[Receipt, int]:
    """Open threads and single notifications among the due offsets without each receipt, each once, up to 100.

    Walks only the gaps between the runs of receipts, and threads only by their newest entry: what is read,
    and how long a thread grew, costs nothing.
    """
    gaps = _gaps(connection, user_id, due, receipts)
    keys = _keys(connection, user_id, {receipt: known for receipt, (known, _) in gaps.items()})
    below = {r: unknown for r, (_, unknown) in gaps.items() if unknown and len(keys[r]) < MAX_UNREAD}
    for receipt, found in _keys(connection, user_id, below, one_by_one=True).items():
        keys[receipt] |= found
    return {receipt: min(len(found), MAX_UNREAD) for receipt, found in keys.items()}


def _gaps(
    connection: Connection, user_id: str, due: Mapping[str, Runs], receipts: Iterable[Receipt]
) -> dict[Receipt, tuple[dict[str, Runs], dict[str, Runs]]]:
    """The due offsets of each room: those known to lack the receipt, and those below, to be asked one by one."""
    given = _newest_runs(connection, user_id, due, receipts)
    gaps = {}
    for receipt in receipts:
        known, below = {}, {}
        for room, offsets in due.items():
            taken = given.get((room, receipt), [])
            cut = min(first for first, _ in taken) if len(taken) == _MAX_RUNS else 1
            known[room] = runs.subtract(runs.intersect(offsets, ((cut, FOREVER),)), taken)[::-1]
            below[room] = runs.intersect(offsets, ((1, cut - 1),))
        gaps[receipt] = _filled(known), _filled(below)
    return gaps


def _newest_runs(
    connection: Connection, user_id: str, rooms: Iterable[str], receipts: Iterable[Receipt]
) -> dict[tuple[str, str], list[Run]]:
    table = tables.receipt.c
    newest = [
        select(table.room, table.receipt, table.first, table.last)
        .where(table.user_id == user_id, table.room == room, table.receipt == receipt.value)
        .order_by(table.first.desc())
        .limit(_MAX_RUNS)
        for room, receipt in product(rooms, receipts)
    ]
    given: dict[tuple[str, str], list[Run]] = {}
    for union in unions(newest):
        for room, receipt, first, last in connection.execute(select(union)).all():
            given.setdefault((room, receipt), []).append((first, last))
    return given


def _filled(by_room: Mapping[str, Runs]) -> dict[str, Runs]:
    return {room: offsets for room, offsets in by_room.items() if offsets}


def _keys(
    connection: Connection,
    user_id: str,
    gaps: Mapping[Receipt, Mapping[str, Runs]],
    *,
    one_by_one: bool = False,
) -> dict[Receipt, set[str]]:
    """Some of the threads and single notifications in the gaps: all of them, or at least `MAX_UNREAD`."""
    keys: dict[Receipt, set[str]] = {receipt: set() for receipt in gaps}
    selects = []
    for receipt, by_room in gaps.items():
        if not by_room:
            continue
        gap = runs_table(connection, f"{receipt.value}_gap", by_room)
        lacking = [~has_receipt(user_id, receipt)] if one_by_one else []
        for inside in (_singles(gap), _threads(gap)):
            each = inside.add_columns(literal(receipt.value).label("receipt")).where(*lacking)
            # Each may stand in every room.
            found = for_each(connection, gap, each.limit(MAX_UNREAD)).limit(MAX_UNREAD * len(by_room))
            selects.append(found)
    for union in unions(selects):
        for key, receipt in connection.execute(select(union)).all():
            keys[Receipt(receipt)].add(key)
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
