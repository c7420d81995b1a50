"""Membership on SQL: intervals opened and closed under the heads' locks, and who moved since a hub last looked."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, String, and_, bindparam, or_, select, update

from core.domain.membership import Interval, RoomChanges, due_runs
from core.store import tables
from core.store.dialects import among, among_named, insert, rows_table, rows_values, texts_value
from core.store.done import Moves
from core.store.progress import LockedHead
from core.store.whole import rows_of

_membership = tables.membership.c


def move_members(connection: Connection, moves: Iterable[Moves], heads: Mapping[str, LockedHead]) -> None:
    """Carry moves out, in their order. Each raises the counter of every room it concerns, the person's own included:
    that is how hubs learn that they must look again before they deliver what comes next.
    """
    for move in moves:
        for room in move.rooms:
            heads[room].members += 1
        for room in move.left:
            _close(connection, move.user_id, room, heads[room])
        if move.joined:
            _open(connection, move, heads)
        for room in move.touched:
            _mark_changed(connection, move.user_id, room, heads[room])


def _open(connection: Connection, move: Moves, heads: Mapping[str, LockedHead]) -> None:
    """Open intervals. Who left and comes back before anything was posted is as if they had never left."""
    statement = insert(connection, tables.membership)
    reopened = statement.on_conflict_do_update(
        index_elements=["user_id", "room", "since"],
        set_={"until": None, "changed": statement.excluded.changed},
    )
    connection.execute(
        reopened,
        [
            {
                "user_id": move.user_id,
                "room": room,
                "since": 0 if room == move.own_room else heads[room].head,
                "changed": heads[room].members,
            }
            for room in move.joined
        ],
    )


def _close(connection: Connection, user_id: str, room: str, head: LockedHead) -> None:
    connection.execute(
        update(tables.membership)
        .where(_membership.user_id == user_id, _membership.room == room, _membership.until.is_(None))
        .values(until=head.head, changed=head.members)
    )


def _mark_changed(connection: Connection, user_id: str, room: str, head: LockedHead) -> None:
    connection.execute(
        update(tables.membership)
        .where(_membership.user_id == user_id, _membership.room == room, _membership.until.is_(None))
        .values(changed=head.members)
    )


def intervals(connection: Connection, user_id: str, rooms: Sequence[str]) -> tuple[Interval, ...]:
    """The person's membership of these rooms, closed intervals included."""
    dialect = connection.dialect.name
    values = {"user_id": user_id, "rooms": texts_value(dialect, rooms)}
    rows = connection.execute(_intervals(dialect), values)
    return tuple(Interval(row.room, row.since, row.until) for row in rows)


@cache
def _intervals(dialect: str) -> Select[Any]:
    """Built once: every look at an inbox begins with it."""
    return (
        select(_membership.room, _membership.since, _membership.until)
        .where(_membership.user_id == bindparam("user_id", type_=String))
        .where(among_named(dialect, _membership.room, "rooms"))
        .order_by(_membership.room, _membership.since)
    )


def intervals_of_many(
    connection: Connection, rooms: Mapping[str, Collection[str]]
) -> dict[str, tuple[Interval, ...]]:
    """The same for many people, by their ids, in one statement."""
    dialect = connection.dialect.name
    places = ((user_id, room) for user_id, some in rooms.items() for room in some)
    found: dict[str, list[Interval]] = {user_id: [] for user_id in rooms}
    values = rows_values(dialect, "place", _PLACE, places)
    for user_id, room, since, until in rows_of(connection, _intervals_of_many(dialect), values):
        found[user_id].append(Interval(room, since, until))
    return {user_id: tuple(some) for user_id, some in found.items()}


@cache
def _intervals_of_many(dialect: str) -> Select[Any]:
    place = rows_table(dialect, "place", _PLACE)
    return (
        select(_membership.user_id, _membership.room, _membership.since, _membership.until)
        .select_from(place)
        .join(
            tables.membership, and_(_membership.user_id == place.c.user_id, _membership.room == place.c.room)
        )
    )


_PLACE = {"user_id": String, "room": String}


def changes_since(connection: Connection, known: Mapping[str, int]) -> dict[str, RoomChanges]:
    """For each room, its counter now, and all that is due to whoever moved since the counter was as known.

    The counters are read first: what is due is as new as they are, or newer.
    """
    room = tables.room.c
    counters = {
        row.name: row.members
        for row in connection.execute(
            select(room.name, room.members).where(among(connection, room.name, tuple(known)))
        )
    }
    newer = {name: since for name, since in known.items() if counters.get(name, 0) > since}
    moved: dict[str, dict[str, list[Interval]]] = {name: {} for name in newer}
    for start in range(0, len(newer), _ROOMS_A_STATEMENT):
        part = list(newer.items())[start : start + _ROOMS_A_STATEMENT]
        rows = connection.execute(
            select(_membership.room, _membership.user_id, _membership.since, _membership.until).where(
                or_(
                    *(
                        and_(_membership.room == name, _membership.user_id.in_(_moved_since(name, since)))
                        for name, since in part
                    )
                )
            )
        )
        for row in rows:
            interval = Interval(row.room, row.since, row.until)
            moved[row.room].setdefault(row.user_id, []).append(interval)
    disabled = _disabled(connection, {user for people in moved.values() for user in people})
    return {
        name: RoomChanges(
            counters[name],
            {user: () if user in disabled else due_runs(found, name) for user, found in moved[name].items()},
        )
        for name in newer
    }


def _disabled(connection: Connection, user_ids: Collection[str]) -> set[str]:
    """Who of these people is disabled: nothing is due to them now, though their memberships stay open."""
    if not user_ids:
        return set()
    user = tables.user.c
    return set(
        connection.execute(
            select(user.id).where(among(connection, user.id, user_ids), user.disabled_at.is_not(None))
        ).scalars()
    )


def _moved_since(room: str, counter: int) -> Select[tuple[str]]:
    changed = tables.membership.alias("changed").c
    return select(changed.user_id).where(changed.room == room, changed.changed > counter)


_ROOMS_A_STATEMENT = 200
