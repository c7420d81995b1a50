"""The log on SQL: units of work committed in groups, and the reads that repair and catch up.

Lock order inside a transaction, so that two servers never wait for each other in a circle: what changes touch, by
kind and name, amended notifications by id, new ones by (sender, key), new rooms by name, heads by name, postings. The head's row stays locked until
the commit: that makes the order of offsets the order of commits. Chores come last and wait for no row: what another holds, they leave for the next time.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

from sqlalchemy import Connection, Select, and_, or_, select, update

from core.domain import clock, runs
from core.domain.errors import Unavailable
from core.domain.ids import new_id
from core.domain.notifications import Head, Kind, Notification, Posting
from core.domain.runs import Runs
from core.domain.tasks import AddTasks, MoveTasks
from core.ports.log import Appended, Committed, Unit
from core.store import tables
from core.store.appender import Appender, Outcome, commit_unknown
from core.store.database import CommitUnknownError, Database
from core.store.dialects import among_named, texts_value
from core.store.groups import GroupCommit, KnownRooms, RoomsVanishedError
from core.store.notifications import appended_before
from core.store.rows import notification_from_row, posting_from_row
from core.store.whole import rows_of
from core.store.workflow import tasks_changed

_LOOK_UP_TRIES = 3
_LOOK_UP_PAUSE_S = 0.3
_MAX_RUNS = 500
"""Runs in one statement: SQLite refuses a condition that is 1,000 deep, and each run makes it one deeper."""


class SqlLog:
    """`core.ports.log.Log` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known_rooms = KnownRooms()
        self.appender = Appender(self._commit_group, self._look_up)

    async def commit(self, unit: Unit) -> Committed:
        return await self.begin(unit)

    def begin(self, unit: Unit) -> asyncio.Future[Committed]:
        return self.appender.begin(unit)

    async def close(self) -> None:
        await self.appender.close()

    async def heads(self, rooms: Iterable[str]) -> dict[str, Head]:
        names = tuple(rooms)
        found = await self._database.load(_heads_of_many, names) if names else {}
        return {name: found.get(name, Head()) for name in names}

    async def read(self, runs: Mapping[str, Runs], limit: int) -> list[Posting]:
        return await self._database.read(partial(_read, wanted=runs, limit=limit))

    async def hidden(self, runs: Mapping[str, Runs]) -> dict[str, Runs]:
        return await self._database.read(partial(_hidden, wanted=runs)) if any(runs.values()) else {}

    async def epoch(self) -> str:
        return await self._database.read(_epoch)

    async def begin_epoch(self, instead_of: str | None = None) -> str:
        begin = partial(_begin_epoch, epoch=new_id(), instead_of=instead_of)
        try:
            epoch = await self._database.write(begin)
        except CommitUnknownError as error:
            raise Unavailable("Whether another epoch began is unknown; ask for it.") from error
        self.forget()
        return epoch

    def forget(self) -> None:
        self._known_rooms.clear()

    async def notification(self, notification_id: str) -> tuple[Notification, Sequence[str]] | None:
        return await self._database.read(partial(_notification, notification_id=notification_id))

    async def _commit_group(self, units: Sequence[Unit]) -> Sequence[Outcome]:
        group = GroupCommit(units, self._known_rooms)
        try:
            outcomes = await self._database.write(group)
        except RoomsVanishedError:
            # Begun anew, not mended where it was found: rooms are inserted before heads are locked, or two
            # servers wait for each other.
            self.forget()
            group = GroupCommit(units, self._known_rooms)
            outcomes = await self._database.write(group)
        self._known_rooms.add(group.rooms)
        return outcomes

    async def _look_up(self, units: Sequence[Unit]) -> Sequence[Outcome]:
        """What became of units whose COMMIT nobody answered: never tried again, only looked for."""
        for attempt in range(_LOOK_UP_TRIES):
            if attempt:
                await asyncio.sleep(_LOOK_UP_PAUSE_S)
            try:
                return await self._database.read(partial(_find, units=units))
            except (Unavailable, CommitUnknownError):
                continue
        return [commit_unknown()] * len(units)


def _find(connection: Connection, units: Sequence[Unit]) -> Sequence[Outcome]:
    ids = [
        draft.notification_id for unit in units for draft in unit.drafts if draft.kind is Kind.NOTIFICATION
    ]
    found = appended_before(connection, ids)
    epoch = _epoch(connection)
    return [_found(connection, unit, found, epoch) for unit in units]


def _found(connection: Connection, unit: Unit, appended: Mapping[str, Appended], epoch: str) -> Outcome:
    is_plain = not unit.changes and all(draft.kind is Kind.NOTIFICATION for draft in unit.drafts)
    if unit.drafts and is_plain and all(draft.notification_id in appended for draft in unit.drafts):
        return Committed((), tuple(appended[draft.notification_id] for draft in unit.drafts), epoch)
    match unit.changes:
        case (MoveTasks() | AddTasks() as change,) if result := tasks_changed(connection, change):
            # What they told is left to the hubs: the sweep finds it.
            return Committed((result,), (), epoch)
    return commit_unknown()


def _heads_of_many(connection: Connection, asked: Sequence[Sequence[str]]) -> list[Mapping[str, Head]]:
    dialect = connection.dialect.name
    values = {"rooms": texts_value(dialect, {room for rooms in asked for room in rooms})}
    rows = rows_of(connection, _heads(dialect), values)
    found = {name: Head(head, floor, members) for name, head, floor, members in rows}
    return [found] * len(asked)


@cache
def _heads(dialect: str) -> Select[Any]:
    """Built once: every connect begins with it."""
    room = tables.room.c
    return select(room.name, room.head, room.floor, room.members).where(
        among_named(dialect, room.name, "rooms")
    )


def in_runs(wanted: Mapping[str, Runs]) -> Any:
    """The condition that a posting lies in the runs."""
    posting = tables.posting.c
    return or_(
        *(
            and_(posting.room == room, or_(*(posting.offset.between(*run) for run in offsets)))
            for room, offsets in wanted.items()
            if offsets
        )
    )


def _batches(wanted: Mapping[str, Runs]) -> Iterator[dict[str, Runs]]:
    """The runs in their order, in parts that fit into one statement."""
    batch: dict[str, Runs] = {}
    left = _MAX_RUNS
    for room, offsets in wanted.items():
        rest = offsets
        while rest:
            batch[room], rest = rest[:left], rest[left:]
            left -= len(batch[room])
            if not left:
                yield batch
                batch, left = {}, _MAX_RUNS
    if batch:
        yield batch


def _read(connection: Connection, wanted: Mapping[str, Runs], limit: int) -> list[Posting]:
    """Room by room, so that each is one walk along the primary key and none is read past the limit."""
    now = clock.now()
    found: list[Posting] = []
    for room, offsets in ((room, offsets) for batch in _batches(wanted) for room, offsets in batch.items()):
        if len(found) >= limit:
            break
        statement = (
            select(tables.posting, *tables.notification_content)
            .join(tables.notification, tables.notification.c.id == tables.posting.c.notification_id)
            .where(in_runs({room: offsets}))
            .order_by(tables.posting.c.offset)
            .limit(limit - len(found))
        )
        found.extend(posting_from_row(row, now) for row in connection.execute(statement))
    return found


def _hidden(connection: Connection, wanted: Mapping[str, Runs]) -> dict[str, Runs]:
    posting, notification = tables.posting.c, tables.notification.c
    offsets: dict[str, list[int]] = {}
    for batch in _batches(wanted):
        statement = (
            select(posting.room, posting.offset)
            .join(tables.notification, notification.id == posting.notification_id)
            .where(in_runs(batch))
            .where(posting.kind == Kind.NOTIFICATION)
            .where(or_(notification.retracted_at.is_not(None), notification.expires_at <= clock.now()))
        )
        for row in connection.execute(statement):
            offsets.setdefault(row.room, []).append(row.offset)
    return {room: runs.of_offsets(found) for room, found in offsets.items()}


def _epoch(connection: Connection) -> str:
    return str(connection.execute(select(tables.log.c.epoch)).scalar_one())


def _begin_epoch(connection: Connection, epoch: str, instead_of: str | None) -> str:
    statement = update(tables.log).values(epoch=epoch)
    if instead_of is not None:
        statement = statement.where(tables.log.c.epoch == instead_of)
    connection.execute(statement)
    return _epoch(connection)


def _notification(connection: Connection, notification_id: str) -> tuple[Notification, Sequence[str]] | None:
    content = connection.execute(
        select(*tables.notification_content).where(tables.notification.c.id == notification_id)
    ).one_or_none()
    if content is None:
        return None
    posting = tables.posting.c
    rooms = connection.execute(
        select(posting.room)
        .where(posting.notification_id == notification_id, posting.kind == Kind.NOTIFICATION)
        .order_by(posting.room)
    ).scalars()
    names = tuple(rooms)
    return (notification_from_row(content), names) if names else None
