"""How far people have read in their rooms: what is due to them, what of it lacks a receipt, and what they acknowledged."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Select, String, Text, and_, cast, func, select

from core.domain import runs
from core.domain.inbox import MAX_UNREAD, Receipt
from core.domain.membership import FOREVER
from core.domain.positions import Acknowledged
from core.domain.runs import Run, Runs, normalise
from core.store import tables
from core.store.dialects import listed, read_list, rows_table, rows_values
from core.store.whole import rows_of

_MAX_RUNS = MAX_UNREAD + 20
"""Runs of receipts read of one room: marking leaves no gap without a notification, so few more are needed."""

_receipt = tables.receipt.c
_membership = tables.membership.c
_position = tables.position.c


@dataclass(frozen=True, slots=True)
class Gaps:
    """The due offsets of each room that has any: those `known` to lack a receipt, and those `below`, to be asked one by
    one.
    """

    known: Mapping[str, Runs]
    below: Mapping[str, Runs]


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a person has read: what is due, rooms without any left out, what of it lies between the runs of each receipt,
    and what was acknowledged, and when.
    """

    due: Mapping[str, Runs]
    gaps: Mapping[Receipt, Gaps]
    acknowledged: Acknowledged


def readings_of_many(
    connection: Connection, people: Sequence[tuple[str, Sequence[str]]], receipts: Sequence[Receipt]
) -> list[Reading]:
    places = {(user_id, room) for user_id, rooms in people for room in rooms}
    known = _known_at(connection, places, tuple(receipts))
    return [_reading({room: known[user_id, room] for room in rooms}, receipts) for user_id, rooms in people]


def reading_of(connection: Connection, user_id: str, rooms: Sequence[str], *receipts: Receipt) -> Reading:
    (reading,) = readings_of_many(connection, [(user_id, rooms)], receipts)
    return reading


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a person in a room; `newest` are the newest runs of each receipt."""

    due: Runs
    newest: Sequence[Sequence[Run]]
    acknowledged: tuple[int, datetime] | None


def _reading(known: Mapping[str, _Known], receipts: Sequence[Receipt]) -> Reading:
    due = {room: some.due for room, some in known.items() if some.due}
    return Reading(
        due,
        {
            receipt: _gaps(due, {room: known[room].newest[at] for room in due})
            for at, receipt in enumerate(receipts)
        },
        {room: some.acknowledged for room, some in known.items() if some.acknowledged},
    )


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
    connection: Connection, places: Collection[tuple[str, str]], receipts: tuple[Receipt, ...]
) -> dict[tuple[str, str], _Known]:
    dialect = connection.dialect.name
    every = list(places)
    values = rows_values(dialect, "place", _PLACE, ((at, *place) for at, place in enumerate(every)))
    known = {}
    for at, due, offset, acked_at, *newest in rows_of(connection, _readings(dialect, receipts), values):
        acknowledged = None if acked_at is None else (offset, acked_at)
        known[every[at]] = _Known(normalise(_runs(due)), list(map(_runs, newest)), acknowledged)
    return known


_PLACE = {"at": Integer, "user_id": String, "room": String}


@cache
def _readings(dialect: str, receipts: tuple[Receipt, ...]) -> Select[Any]:
    """Built once, since that takes longer than to run it."""
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

    due = select(run_of(_membership.since + 1, func.coalesce(_membership.until, FOREVER))).where(
        _membership.user_id == place.c.user_id, _membership.room == place.c.room
    )
    lists = [listed(dialect, runs_, place) for runs_ in (due, *map(newest, receipts))]
    acknowledged = and_(_position.user_id == place.c.user_id, _position.room == place.c.room)
    return select(place.c.at, lists[0], _position.acked_offset, _position.acked_at, *lists[1:]).select_from(
        place.outerjoin(tables.position, acknowledged)
    )


def _runs(text: str | Sequence[str]) -> list[Run]:
    return [_run(run) for run in read_list(text)]


def _run(text: str) -> Run:
    first, _, last = text.partition("-")
    return int(first), int(last)


def _filled(by_room: Mapping[str, Runs]) -> dict[str, Runs]:
    return {room: offsets for room, offsets in by_room.items() if offsets}
