"""How much a person has not seen or read: counted over the gaps between their receipts only."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from sqlalchemy import Connection, FromClause, Integer, Select, String, and_, bindparam, func, select

from core.domain import clock, runs
from core.domain.inbox import MAX_UNREAD, Receipt
from core.domain.membership import FOREVER
from core.domain.notifications import Kind
from core.domain.runs import Run, Runs
from core.store import tables
from core.store.dialects import for_each, runs_table, runs_values
from core.store.due import NOW, has_receipt, is_shown, unions
from core.store.each import Each, Row

_MAX_RUNS = MAX_UNREAD + 20
"""Runs of receipts read of one room: marking leaves no gap without a notification, so few more are needed."""

_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c
_receipt = tables.receipt.c
_USER_ID = bindparam("user_id", type_=String)


@dataclass(frozen=True, slots=True)
class Gaps:
    """The due offsets of each room that has any: those `known` to lack a receipt, and those `below`, to be asked one by
    one.
    """

    known: Mapping[str, Runs]
    below: Mapping[str, Runs]


def count_without(
    connection: Connection, user_id: str, due: Mapping[str, Runs], *receipts: Receipt
) -> dict[Receipt, int]:
    """Open threads and single notifications among the due offsets without each receipt, each once, up to 100."""
    return count_between(connection, user_id, gaps_between(connection, user_id, due, receipts))


def count_between(connection: Connection, user_id: str, gaps: Mapping[Receipt, Gaps]) -> dict[Receipt, int]:
    """The same for gaps that are known already.

    Walks only the gaps between the runs of receipts, and threads only by their newest entry: what is read,
    and how long a thread grew, costs nothing.
    """
    counts: dict[Receipt, int] = {}
    for receipt, some in gaps.items():
        # Mostly the same is unseen as is unread.
        alike = next((other for other in counts if not gaps[other].below and gaps[other] == some), None)
        counts[receipt] = counts[alike] if alike else _count(connection, user_id, receipt, some)
    return counts


def gaps_between(
    connection: Connection, user_id: str, due: Mapping[str, Runs], receipts: Sequence[Receipt]
) -> dict[Receipt, Gaps]:
    """What lies between the runs of each receipt."""
    given = _newest_runs(connection, user_id, due, receipts)
    gaps = {}
    for receipt in receipts:
        known, below = {}, {}
        for room, offsets in due.items():
            taken = given.get((room, receipt), [])
            cut = min(first for first, _ in taken) if len(taken) == _MAX_RUNS else 1
            known[room] = runs.subtract(runs.intersect(offsets, ((cut, FOREVER),)), taken)[::-1]
            below[room] = runs.intersect(offsets, ((1, cut - 1),))
        gaps[receipt] = Gaps(_filled(known), _filled(below))
    return gaps


def _newest_runs(
    connection: Connection, user_id: str, rooms: Collection[str], receipts: Sequence[Receipt]
) -> dict[tuple[str, str], list[Run]]:
    given: dict[tuple[str, str], list[Run]] = {}
    dialect = connection.dialect.name
    for number, values in _PAIRS.batches(dialect, product(rooms, receipts)):
        rows = connection.execute(_newest_of_each(dialect, number), {"user_id": user_id, **values})
        for room, receipt, first, last in rows.all():
            given.setdefault((room, receipt), []).append((first, last))
    return given


_PAIRS = Each(room=String, receipt=String)


@cache
def _newest_of_each(dialect: str, number: int) -> Select[Any]:
    """The newest runs of pairs of a room and a receipt; built once, since that takes longer than to run it."""

    def newest(pair: Row) -> Select[Any]:
        return (
            select(_receipt.room, _receipt.receipt, _receipt.first, _receipt.last)
            .where(_receipt.user_id == _USER_ID)
            .where(_receipt.room == pair["room"], _receipt.receipt == pair["receipt"])
            .order_by(_receipt.first.desc())
            .limit(_MAX_RUNS)
        )

    return select(_PAIRS.found(dialect, number, newest))


def _filled(by_room: Mapping[str, Runs]) -> dict[str, Runs]:
    return {room: offsets for room, offsets in by_room.items() if offsets}


def _count(connection: Connection, user_id: str, receipt: Receipt, gaps: Gaps) -> int:
    """The threads and single notifications in the known gaps, and if they are few also those below without the receipt."""
    counted = 0
    for parts in ((gaps.known,), (gaps.known, gaps.below)):
        if parts[-1] and counted < MAX_UNREAD:
            counted = _count_parts(connection, user_id, receipt, parts)
    return min(counted, MAX_UNREAD)


def _count_parts(
    connection: Connection, user_id: str, receipt: Receipt, parts: Sequence[Mapping[str, Runs]]
) -> int:
    """Mostly it is enough to look at so many; the same ones may stand in every room, though."""
    dialect = connection.dialect.name
    names = _PARTS[: len(parts)]
    values: dict[str, Any] = {"user_id": user_id, "now": clock.now()}
    for name, by_room in zip(names, parts, strict=True):
        values |= runs_values(dialect, name, by_room)
    statement = _counting(dialect, receipt, names)

    def counted_of(rooms: int) -> tuple[int, int]:
        counted, looked_at = connection.execute(statement, values | {"limit": MAX_UNREAD * rooms}).one()
        return counted, looked_at

    counted, looked_at = counted_of(rooms=1)
    if counted < MAX_UNREAD <= looked_at:
        counted, _ = counted_of(rooms=max(len(by_room) for by_room in parts))
    return counted


_PARTS = ("known", "below")


@cache
def _counting(dialect: str, receipt: Receipt, parts: tuple[str, ...]) -> Select[int, int]:
    """How many there are among the first `limit` of each kind, each once, and how many these are; built once too."""
    selects: list[Select[Any]] = []
    for part in parts:
        gap = runs_table(dialect, part)
        lacking = [~has_receipt(_USER_ID, receipt)] if part == "below" else []
        for inside in (_singles(gap), _threads(gap)):
            each = for_each(dialect, gap, inside.where(*lacking).limit(MAX_UNREAD))
            selects.append(each.limit(bindparam("limit", type_=Integer)))
    (found,) = unions(selects)
    return select(func.count(found.c.key.distinct()), func.count())


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
