"""How much a person has not seen or read: counted over the gaps between their receipts only."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any

from sqlalchemy import Connection, FromClause, Integer, Select, String, and_, bindparam, func, literal, select

from core.domain import clock, runs
from core.domain.inbox import MAX_UNREAD, Receipt
from core.domain.membership import FOREVER
from core.domain.notifications import Kind
from core.domain.runs import Run, Runs
from core.store import tables
from core.store.dialects import among_named, for_each, runs_table, runs_values, texts_value
from core.store.due import MAX_BRANCHES, NOW, has_receipt, is_shown, unions

_FEW_RUNS = 60
_MAX_RUNS = MAX_UNREAD + 20
"""Runs of receipts read of one room: marking leaves no gap without a notification, so few more are needed."""

_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c
_receipt = tables.receipt.c
_USER_ID = bindparam("user_id", type_=String)
_RUNS = select(_receipt.room, _receipt.receipt, _receipt.first, _receipt.last).where(
    _receipt.user_id == _USER_ID
)


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
    dialect = connection.dialect.name
    values = {
        "user_id": user_id,
        "rooms": texts_value(dialect, rooms),
        "receipts": texts_value(dialect, receipts),
    }
    rows = connection.execute(_few_runs(dialect), values).all()
    if len(rows) > _FEW_RUNS:
        rows = []
        pairs = list(product(rooms, receipts))
        for start in range(0, len(pairs), MAX_BRANCHES):
            part = pairs[start : start + MAX_BRANCHES]
            named = {f"room_{at}": room for at, (room, _) in enumerate(part)}
            named |= {f"receipt_{at}": receipt.value for at, (_, receipt) in enumerate(part)}
            rows += connection.execute(_newest_of_each(len(part)), {"user_id": user_id, **named}).all()
    given: dict[tuple[str, str], list[Run]] = {}
    for room, receipt, first, last in rows:
        given.setdefault((room, receipt), []).append((first, last))
    return given


@cache
def _few_runs(dialect: str) -> Select[Any]:
    """All runs of all rooms, if they are few: the cheaper question for nearly everybody."""
    rooms, receipts = (
        among_named(dialect, column, name)
        for column, name in ((_receipt.room, "rooms"), (_receipt.receipt, "receipts"))
    )
    return _RUNS.where(rooms, receipts).limit(_FEW_RUNS + 1)


@cache
def _newest_of_each(number: int) -> Select[Any]:
    """The newest runs of so many pairs of a room and a receipt."""
    newest = [
        _RUNS.where(_receipt.room == bindparam(f"room_{at}", type_=String))
        .where(_receipt.receipt == bindparam(f"receipt_{at}", type_=String))
        .order_by(_receipt.first.desc())
        .limit(_MAX_RUNS)
        for at in range(number)
    ]
    (found,) = unions(newest)
    return select(found)


def _filled(by_room: Mapping[str, Runs]) -> dict[str, Runs]:
    return {room: offsets for room, offsets in by_room.items() if offsets}


def _count(
    connection: Connection, user_id: str, gaps: Iterable[tuple[Receipt, Mapping[str, Runs], bool]]
) -> Counter[str]:
    """The threads and single notifications in the gaps of each receipt, each once: how many, or at least `MAX_UNREAD`.

    With True, what has the receipt is left out one by one.
    """
    dialect = connection.dialect.name
    parts = [(receipt, by_room, one_by_one) for receipt, by_room, one_by_one in gaps if by_room]
    if not parts:
        return Counter()
    values: dict[str, Any] = {"user_id": user_id, "now": clock.now()}
    for at, (_, by_room, _) in enumerate(parts):
        # Each may stand in every room.
        values |= {f"limit_{at}": MAX_UNREAD * len(by_room), **runs_values(dialect, f"gap_{at}", by_room)}
    kinds = tuple((receipt, one_by_one) for receipt, _, one_by_one in parts)
    counted: Counter[str] = Counter()
    for receipt, number in connection.execute(_counting(dialect, kinds), values):
        counted[receipt] = number
    return counted


@cache
def _counting(dialect: str, kinds: tuple[tuple[Receipt, bool], ...]) -> Select[Any]:
    """How many in the gaps of each receipt; built once, since that takes longer than to run it."""
    selects: list[Select[Any]] = []
    for at, (receipt, one_by_one) in enumerate(kinds):
        gap = runs_table(dialect, f"gap_{at}")
        lacking = [~has_receipt(_USER_ID, receipt)] if one_by_one else []
        for inside in (_singles(gap), _threads(gap)):
            each = inside.add_columns(literal(receipt.value).label("receipt")).where(*lacking)
            limited = for_each(dialect, gap, each.limit(MAX_UNREAD)).limit(
                bindparam(f"limit_{at}", type_=Integer)
            )
            selects.append(limited)
    (found,) = unions(selects)
    return select(found.c.receipt, func.count(found.c.key.distinct())).group_by(found.c.receipt)


def _singles(gap: FromClause) -> Select[Any]:
    return (
        select(_posting.notification_id.label("key"))
        .join(tables.notification, _notification.id == _posting.notification_id)
        .where(_posting.room == gap.c.room, _posting.offset.between(gap.c.first, gap.c.last))
        .where(_posting.thread.is_(None), _posting.kind == Kind.NOTIFICATION.value, is_shown(now=NOW))
    )


def _threads(gap: FromClause) -> Select[Any]:
    at_newest = and_(_posting.room == _thread.room, _posting.offset == _thread.last_offset)
    return (
        select(_thread.thread.label("key"))
        .select_from(tables.room_thread)
        .join(tables.posting, at_newest)
        .join(tables.notification, _notification.id == _posting.notification_id)
        .where(_thread.room == gap.c.room, _thread.last_offset.between(gap.c.first, gap.c.last))
        .where(_thread.open, is_shown(now=NOW))
    )
