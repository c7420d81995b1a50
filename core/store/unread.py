"""How much a person has not seen or read: counted over the gaps between their receipts only."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    String,
    Text,
    and_,
    bindparam,
    cast,
    func,
    select,
)

from core.domain import clock, runs
from core.domain.inbox import MAX_UNREAD, Receipt
from core.domain.membership import FOREVER
from core.domain.notifications import Kind
from core.domain.positions import Acknowledged
from core.domain.runs import Run, Runs, normalise
from core.store import tables
from core.store.dialects import NOTHING_LISTED, RUNS, for_each, listed, rows_table, rows_values, run_rows
from core.store.due import NOW, has_receipt, is_shown, unions
from core.store.whole import rows_of

_MAX_RUNS = MAX_UNREAD + 20
"""Runs of receipts read of one room: marking leaves no gap without a notification, so few more are needed."""

_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c
_receipt = tables.receipt.c
_membership = tables.membership.c
_position = tables.position.c
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
        if (found := frozenset(key for text in texts for key in _read_list(text)))
    }


_GAP = {"at": Integer, **RUNS}


@cache
def _standing(dialect: str) -> Select[Any]:
    gap = rows_table(dialect, "gap", _GAP)
    kinds = (_singles(gap).limit(MAX_UNREAD), _threads(gap).limit(MAX_UNREAD))
    return select(gap.c.at, *(listed(dialect, kind, gap) for kind in kinds))


def gaps_between(
    connection: Connection, user_id: str, due: Mapping[str, Runs], receipts: Sequence[Receipt]
) -> dict[Receipt, Gaps]:
    """What lies between the runs of each receipt."""
    places = [(user_id, room) for room in due]
    return _gaps_of(user_id, due, _known_at(connection, places, receipts, _RUNS), receipts)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a person stands in their rooms: what is due, rooms without any left out, what of it lies between the runs of
    each receipt, and what was acknowledged, and when.
    """

    due: Mapping[str, Runs]
    gaps: Mapping[Receipt, Gaps]
    acknowledged: Acknowledged


def standings_of_many(
    connection: Connection, people: Sequence[tuple[str, Sequence[str]]], receipts: Sequence[Receipt]
) -> list[Standing]:
    places = {(user_id, room) for user_id, rooms in people for room in rooms}
    known = _known_at(connection, places, receipts, _EVERYTHING)
    found = []
    for user_id, rooms in people:
        due = {room: offsets for room in rooms if (offsets := known[user_id, room].due)}
        acknowledged = {room: at for room in rooms if (at := known[user_id, room].acknowledged)}
        found.append(Standing(due, _gaps_of(user_id, due, known, receipts), acknowledged))
    return found


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a person in a room: the newest runs of each receipt; and what is due and what was acknowledged, if
    they were read.
    """

    newest: Sequence[Sequence[Run]]
    due: Runs = ()
    acknowledged: tuple[int, datetime] | None = None


def _gaps_of(
    user_id: str,
    due: Mapping[str, Runs],
    known: Mapping[tuple[str, str], _Known],
    receipts: Sequence[Receipt],
) -> dict[Receipt, Gaps]:
    return {
        receipt: _gaps(due, {room: known[user_id, room].newest[at] for room in due})
        for at, receipt in enumerate(receipts)
    }


def _gaps(due: Mapping[str, Runs], given: Mapping[str, Sequence[Run]]) -> Gaps:
    known, below = {}, {}
    for room, offsets in due.items():
        taken = given[room]
        if not taken:
            known[room] = offsets[::-1]
            continue
        cut = min(first for first, _ in taken) if len(taken) == _MAX_RUNS else 1
        known[room] = runs.subtract(runs.intersect(offsets, ((cut, FOREVER),)), taken)[::-1]
        below[room] = runs.intersect(offsets, ((1, cut - 1),))
    return Gaps(_filled(known), _filled(below))


def _known_at(
    connection: Connection,
    places: Collection[tuple[str, str]],
    receipts: Sequence[Receipt],
    statement: Callable[[str, tuple[Receipt, ...]], Select[Any]],
) -> dict[tuple[str, str], _Known]:
    dialect = connection.dialect.name
    every = list(places)
    values = rows_values(dialect, "place", _PLACE, ((at, *place) for at, place in enumerate(every)))
    known = {}
    for at, *found in rows_of(connection, statement(dialect, tuple(receipts)), values):
        newest = [_runs(text) for text in found[: len(receipts)]]
        if rest := found[len(receipts) :]:
            due, offset, acked_at = rest
            acknowledged = None if acked_at is None else (offset, acked_at)
            known[every[at]] = _Known(newest, normalise(_runs(due)), acknowledged)
        else:
            known[every[at]] = _Known(newest)
    return known


_PLACE = {"at": Integer, "user_id": String, "room": String}


@cache
def _asked_at(dialect: str, receipts: tuple[Receipt, ...], *, everything: bool) -> Select[Any]:
    """The newest runs of each receipt at each place, and all else that is known there; built once, since that takes longer
    than to run it.
    """
    place = rows_table(dialect, "place", _PLACE)

    def run_of(first: ColumnElement[int], last: ColumnElement[int]) -> ColumnElement[str]:
        return cast(first, Text) + "-" + cast(last, Text)

    def newest(receipt: Receipt) -> Select[Any]:
        return (
            select(run_of(_receipt.first, _receipt.last))
            .where(_receipt.user_id == place.c.user_id)
            .where(_receipt.room == place.c.room, _receipt.receipt == receipt.value)
            .order_by(_receipt.first.desc())
            .limit(_MAX_RUNS)
        )

    runs_ = [listed(dialect, newest(receipt), place) for receipt in receipts]
    if not everything:
        return select(place.c.at, *runs_)
    due = select(run_of(_membership.since + 1, func.coalesce(_membership.until, FOREVER))).where(
        _membership.user_id == place.c.user_id, _membership.room == place.c.room
    )
    acknowledged = and_(_position.user_id == place.c.user_id, _position.room == place.c.room)
    return select(
        place.c.at, *runs_, listed(dialect, due, place), _position.acked_offset, _position.acked_at
    ).select_from(place.outerjoin(tables.position, acknowledged))


_RUNS, _EVERYTHING = partial(_asked_at, everything=False), partial(_asked_at, everything=True)


def _runs(text: str | Sequence[str]) -> list[Run]:
    return [_run(run) for run in _read_list(text)]


def _run(text: str) -> Run:
    first, _, last = text.partition("-")
    return int(first), int(last)


def _read_list(found: str | Sequence[str]) -> Sequence[str]:
    """What was `listed`: SQLite may have taken it for a list already."""
    if not isinstance(found, str):
        return found
    return () if found == NOTHING_LISTED else orjson.loads(found)


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
