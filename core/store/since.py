"""What happened since a position: where inboxes stand, and what was missed; of many people at once.

Most of them share their rooms, and have read alike: what is read of a stretch of a room is read once for all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, select

from core.domain.inbox import InboxState, Missed, Receipt
from core.domain.positions import Position
from core.domain.runs import Runs
from core.store import tables
from core.store.dialects import among_named, texts_value
from core.store.due import due_of_many
from core.store.missed import missed
from core.store.unread import Gaps, count_of_many, gaps_of_many
from core.store.whole import rows_of

_RECEIPTS = (Receipt.READ, Receipt.SEEN)
_NOTHING = Missed(total=0, capped=False, by_type={}, by_room={}, urgent=0, latest=())


@dataclass(frozen=True, slots=True)
class Since:
    """What one person asks: what is due above `after` up to `through` (None: the heads). No `after`: the state alone."""

    user_id: str
    rooms: Sequence[str]
    after: Position | None = None
    through: Position | None = None


def since_of_many(connection: Connection, asked: Sequence[Since]) -> list[tuple[InboxState, Missed]]:
    due = due_of_many(connection, [(some.user_id, some.rooms) for some in asked])
    people = [(some.user_id, offsets) for some, offsets in zip(asked, due, strict=True)]
    gaps = gaps_of_many(connection, people, _RECEIPTS)
    states = _states(connection, asked, gaps)
    return [
        (state, _missed(connection, some, offsets, lacking[Receipt.SEEN], state))
        for some, offsets, lacking, state in zip(asked, due, gaps, states, strict=True)
    ]


def states_of_many(connection: Connection, asked: Sequence[Since]) -> list[InboxState]:
    return [state for state, _ in since_of_many(connection, asked)]


def _missed(
    connection: Connection, asked: Since, due: Mapping[str, Runs], unseen: Gaps, state: InboxState
) -> Missed:
    after, through = asked.after, state.position if asked.through is None else asked.through
    if after is None or all(through.get(room, 0) <= after.get(room, 0) for room in due):
        return _NOTHING
    return missed(connection, asked.user_id, due, unseen, after, through)


def _states(
    connection: Connection, asked: Sequence[Since], gaps: Sequence[Mapping[Receipt, Gaps]]
) -> list[InboxState]:
    dialect = connection.dialect.name
    rooms = {"rooms": texts_value(dialect, {room for some in asked for room in some.rooms})}
    stand = rows_of(connection, _heads(dialect), rooms)
    epoch = stand[0].epoch
    heads = {row.name: row.head for row in stand if row.name is not None}
    versions = _versions_of(connection, {some.user_id for some in asked})
    counts = count_of_many(
        connection, [(some.user_id, lacking) for some, lacking in zip(asked, gaps, strict=True)]
    )
    return [
        InboxState(
            unread=without[Receipt.READ],
            unseen=without[Receipt.SEEN],
            version=versions.get(some.user_id, 0),
            epoch=epoch,
            position={room: heads.get(room, 0) for room in some.rooms},
        )
        for some, without in zip(asked, counts, strict=True)
    ]


def versions_of_many(connection: Connection, user_ids: Sequence[str]) -> list[int]:
    """The versions of inboxes; 0 before the first receipt."""
    found = _versions_of(connection, set(user_ids))
    return [found.get(user_id, 0) for user_id in user_ids]


def _versions_of(connection: Connection, user_ids: Iterable[str]) -> dict[str, int]:
    dialect = connection.dialect.name
    values = {"user_ids": texts_value(dialect, user_ids)}
    return dict(map(tuple, rows_of(connection, _versions(dialect), values)))


@cache
def _heads(dialect: str) -> Select[Any]:
    """The epoch with the heads; it stands alone where no room has a posting."""
    room = tables.room.c
    wanted = tables.log.outerjoin(tables.room, among_named(dialect, room.name, "rooms"))
    return select(tables.log.c.epoch, room.name, room.head).select_from(wanted)


@cache
def _versions(dialect: str) -> Select[Any]:
    inbox = tables.inbox.c
    return select(inbox.user_id, inbox.version).where(among_named(dialect, inbox.user_id, "user_ids"))
