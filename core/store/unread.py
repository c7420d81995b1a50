"""How much a person has not seen or read: counted over the gaps between their receipts only."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from sqlalchemy import Connection, FromClause, Select, and_, func, literal, select

from core.domain import runs
from core.domain.inbox import MAX_UNREAD, Receipt
from core.domain.membership import FOREVER
from core.domain.notifications import Kind
from core.domain.runs import Run, Runs
from core.store import tables
from core.store.dialects import among, for_each, runs_table
from core.store.due import has_receipt, is_shown, unions

_FEW_RUNS = 250
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
    known = [(receipt, newest, False) for receipt, (newest, _) in gaps.items()]
    counted = _count(connection, user_id, known)
    below = [
        (receipt, rest, True) for receipt, (_, rest) in gaps.items() if rest and counted[receipt] < MAX_UNREAD
    ]
    if below:
        counted = _count(connection, user_id, known + below)
    return {receipt: min(counted[receipt], MAX_UNREAD) for receipt in receipts}


def _gaps(
    connection: Connection, user_id: str, due: Mapping[str, Runs], receipts: Sequence[Receipt]
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
    connection: Connection, user_id: str, rooms: Collection[str], receipts: Sequence[Receipt]
) -> dict[tuple[str, str], list[Run]]:
    table = tables.receipt.c
    runs = select(table.room, table.receipt, table.first, table.last).where(table.user_id == user_id)
    # All of them, if they are few, is the cheaper question.
    all_ = runs.where(among(connection, table.room, rooms), among(connection, table.receipt, receipts))
    rows = connection.execute(all_.limit(_FEW_RUNS + 1)).all()
    if len(rows) > _FEW_RUNS:
        newest = [
            runs.where(table.room == room, table.receipt == receipt.value)
            .order_by(table.first.desc())
            .limit(_MAX_RUNS)
            for room, receipt in product(rooms, receipts)
        ]
        rows = [row for union in unions(newest) for row in connection.execute(select(union)).all()]
    given: dict[tuple[str, str], list[Run]] = {}
    for room, receipt, first, last in rows:
        given.setdefault((room, receipt), []).append((first, last))
    return given


def _filled(by_room: Mapping[str, Runs]) -> dict[str, Runs]:
    return {room: offsets for room, offsets in by_room.items() if offsets}


def _count(
    connection: Connection, user_id: str, gaps: Iterable[tuple[Receipt, Mapping[str, Runs], bool]]
) -> Counter[str]:
    """The threads and single notifications in the gaps of each receipt, each once: how many, or at least `MAX_UNREAD`.

    With True, what has the receipt is left out one by one.
    """
    selects: list[Select[Any]] = []
    for receipt, by_room, one_by_one in gaps:
        if not by_room:
            continue
        gap = runs_table(connection, f"gap_{len(selects)}", by_room)
        lacking = [~has_receipt(user_id, receipt)] if one_by_one else []
        for inside in (_singles(gap), _threads(gap)):
            each = inside.add_columns(literal(receipt.value).label("receipt")).where(*lacking)
            # Each may stand in every room.
            found = for_each(connection, gap, each.limit(MAX_UNREAD)).limit(MAX_UNREAD * len(by_room))
            selects.append(found)
    counted: Counter[str] = Counter()
    for union in unions(selects):
        number = func.count(union.c.key.distinct()).label("number")
        for receipt, found in connection.execute(
            select(union.c.receipt, number).group_by(union.c.receipt)
        ).all():
            counted[receipt] = found
    return counted


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
