"""What happened since a position: where inboxes stand, and what was missed; of many people at once.

Most of them share their rooms, and have read alike: what is read of a stretch of a room is read once for all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, literal, select, true, union_all

from core.domain.inbox import InboxState, Missed, Receipt
from core.domain.positions import Acknowledged, Position, newest
from core.store import tables
from core.store.dialects import among_named, texts_value
from core.store.missed import missed
from core.store.reading import Gaps, Reading, readings_of_many
from core.store.unread import count_of_many
from core.store.whole import rows_of

_RECEIPTS = (Receipt.READ, Receipt.SEEN)
_NOTHING = Missed(total=0, capped=False, by_type={}, by_room={}, urgent=0, latest=())


@dataclass(frozen=True, slots=True)
class Since:
    """What one person asks: what is due above a position, up to `through` (None: the heads), or the state alone.

    The position is `after`, or what was acknowledged: `noted`, and what is stored.
    """

    user_id: str
    rooms: Sequence[str]
    after: Position | None = None
    noted: Acknowledged | None = None
    through: Position | None = None


Found = tuple[InboxState, Missed, datetime | None]
"""The state, what was missed, and when anything was acknowledged last."""


def since_of_many(connection: Connection, asked: Sequence[Since]) -> list[Found]:
    readings = readings_of_many(connection, [(some.user_id, some.rooms) for some in asked], _RECEIPTS)
    states = _states(connection, asked, [reading.gaps for reading in readings])
    return [_found(connection, *one) for one in zip(asked, readings, states, strict=True)]


def states_of_many(connection: Connection, asked: Sequence[Since]) -> list[InboxState]:
    return [state for state, _, _ in since_of_many(connection, asked)]


def _found(connection: Connection, asked: Since, reading: Reading, state: InboxState) -> Found:
    after, through = asked.after, state.position if asked.through is None else asked.through
    at = None
    if asked.noted is not None:
        acknowledged = newest(reading.acknowledged, asked.noted)
        after = {room: offset for room, (offset, _) in acknowledged.items()}
        at = max((at for _, at in acknowledged.values()), default=None)
    due = reading.due
    if after is None or all(through.get(room, 0) <= after.get(room, 0) for room in due):
        return state, _NOTHING, at
    unseen = reading.gaps[Receipt.SEEN]
    return state, missed(connection, asked.user_id, due, unseen, after, through), at


def _states(
    connection: Connection, asked: Sequence[Since], gaps: Sequence[Mapping[Receipt, Gaps]]
) -> list[InboxState]:
    dialect = connection.dialect.name
    values = {
        "rooms": texts_value(dialect, {room for some in asked for room in some.rooms}),
        "user_ids": texts_value(dialect, {some.user_id for some in asked}),
    }
    stand = rows_of(connection, _stand(dialect), values)
    epoch = stand[0].epoch
    heads = {row.name: row.number for row in stand if row.kind == _ROOM}
    versions = {row.name: row.number for row in stand if row.kind == _INBOX}
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


_ROOM, _INBOX = "room", "inbox"


@cache
def _stand(dialect: str) -> Select[Any]:
    """The epoch, with the heads of rooms and the versions of inboxes; it stands alone where there are none."""
    room = tables.room.c
    heads = select(literal(_ROOM).label("kind"), room.name.label("name"), room.head.label("number")).where(
        among_named(dialect, room.name, "rooms")
    )
    inboxes = _versions(dialect).subquery().c
    versions = select(literal(_INBOX), inboxes.user_id, inboxes.version)
    numbers = union_all(heads, versions).subquery()
    return select(tables.log.c.epoch, numbers).select_from(tables.log.outerjoin(numbers, true()))


def versions_of_many(connection: Connection, user_ids: Sequence[str]) -> list[int]:
    """The versions of inboxes; 0 before the first receipt."""
    dialect = connection.dialect.name
    values = {"user_ids": texts_value(dialect, set(user_ids))}
    found = dict(map(tuple, rows_of(connection, _versions(dialect), values)))
    return [found.get(user_id, 0) for user_id in user_ids]


@cache
def _versions(dialect: str) -> Select[Any]:
    inbox = tables.inbox.c
    return select(inbox.user_id, inbox.version).where(among_named(dialect, inbox.user_id, "user_ids"))
