"""How much a person has not seen or read: counted over the gaps between their receipts only."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    FromClause,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    func,
    select,
)

from core.domain import clock
from core.domain.inbox import MAX_UNREAD, Receipt
from core.domain.notifications import Kind
from core.domain.runs import Runs
from core.store import tables
from core.store.dialects import RUNS, for_each, listed, read_list, rows_table, rows_values, run_rows
from core.store.due import NOW, has_receipt, is_shown, unions
from core.store.reading import Gaps
from core.store.whole import rows_of

_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c
_USER_ID = bindparam("user_id", type_=String)


def count_between(connection: Connection, user_id: str, gaps: Mapping[Receipt, Gaps]) -> dict[Receipt, int]:
    """Open threads and single notifications among the due offsets without each receipt, each once, up to 100.

    Walks only the gaps between the runs of receipts, and threads only by their newest entry: what is read,
    and how long a thread grew, costs nothing.
    """
    counts: dict[Receipt, int] = {}
    for receipt, some in gaps.items():
        # Mostly the same is unseen as is unread.
        alike = next((other for other in counts if not gaps[other].below and gaps[other] == some), None)
        counts[receipt] = counts[alike] if alike else _count(connection, user_id, receipt, some)
    return counts


def count_of_many(
    connection: Connection, people: Sequence[tuple[str, Mapping[Receipt, Gaps]]]
) -> list[dict[Receipt, int]]:
    """The same for many people; what stands in a gap that they share is read once. For one alone, the database counts."""
    shared = [len(people) > 1 and _are_few(gaps) for _, gaps in people]
    every = {
        gap for is_shared, (_, gaps) in zip(shared, people, strict=True) if is_shared for gap in _every(gaps)
    }
    standing = _standing_in(connection, every)

    def count(gaps: Gaps) -> int:
        found = [standing[gap] for gap in run_rows(gaps.known) if gap in standing]
        return min(len(found[0] if len(found) == 1 else set().union(*found)), MAX_UNREAD)

    return [
        {receipt: count(some) for receipt, some in gaps.items()}
        if is_shared
        else count_between(connection, user_id, gaps)
        for is_shared, (user_id, gaps) in zip(shared, people, strict=True)
    ]


_FEW = 20
"""So many gaps of one person are read whole, up to what is counted of each; of more, the database counts."""


def _are_few(gaps: Mapping[Receipt, Gaps]) -> bool:
    return all(
        not some.below and sum(map(len, some.known.values())) <= max(_FEW, len(some.known))
        for some in gaps.values()
    )


def _every(gaps: Mapping[Receipt, Gaps]) -> Iterator[tuple[str, int, int]]:
    for some in gaps.values():
        yield from run_rows(some.known)


def _standing_in(
    connection: Connection, gaps: Collection[tuple[str, int, int]]
) -> dict[tuple[str, int, int], frozenset[str]]:
    """What is counted of each gap, up to 100 of each kind; gaps with nothing are left out."""
    if not gaps:
        return {}
    dialect = connection.dialect.name
    every = list(gaps)
    rows = ((at, *gap) for at, gap in enumerate(every))
    values = rows_values(dialect, "gap", _GAP, rows) | {"now": clock.now()}
    return {
        every[at]: found
        for at, *texts in rows_of(connection, _standing(dialect), values)
        if (found := frozenset(key for text in texts for key in read_list(text)))
    }


_GAP = {"at": Integer, **RUNS}


@cache
def _standing(dialect: str) -> Select[Any]:
    gap = rows_table(dialect, "gap", _GAP)
    kinds = (_singles(gap).limit(MAX_UNREAD), _threads(gap).limit(MAX_UNREAD))
    return select(gap.c.at, *(listed(dialect, kind, gap) for kind in kinds))


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
        values |= rows_values(dialect, name, RUNS, run_rows(by_room))
    statement = _counting(dialect, receipt, names)

    def counted_of(rooms: int) -> tuple[int, int]:
        ((counted, looked_at),) = rows_of(connection, statement, values | {"limit": MAX_UNREAD * rooms})
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
        gap = rows_table(dialect, part, RUNS)
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
