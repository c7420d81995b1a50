"""What tests of the store say often: a draft, a publish, a person who is a member."""

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import insert, select, text

from core.domain import clock
from core.domain.identity import AddUser
from core.domain.ids import new_id
from core.domain.inbox import Mark, Receipt
from core.domain.notifications import Actor, Amendment, Draft, Kind, Level, Notification
from core.domain.retention import Chore, ClearExpired, Prune
from core.domain.runs import Run
from core.ports.log import Appended, Unit
from core.store import tables
from core.store.database import Database, open_database
from core.store.log import SqlLog
from tests.support.waiting import eventually


def draft(
    *rooms: str,
    key: str | None = None,
    body: str = "",
    sender: str = "key:1",
    thread: str | None = None,
    settles: bool = False,
    title: str = "任务待审核",
    type_: str = "task.submitted",
    level: Level = Level.INFO,
    urgent: bool = False,
    content: str = "",
    data: dict[str, Any] | None = None,
    expires_at: datetime | None = None,
    actor: Actor | None = None,
) -> Draft:
    """A draft of a notification; `body` stands for all that the hash is made over."""
    now = clock.now()
    notification = Notification(
        id=new_id(),
        type=type_,
        level=level,
        urgent=urgent,
        title=title,
        content=content,
        data=data or {},
        link=None,
        thread=thread,
        settles=settles,
        actor=actor,
        sender=sender,
        created_at=now,
        expires_at=expires_at,
    )
    return Draft(
        kind=Kind.NOTIFICATION,
        notification_id=notification.id,
        rooms=rooms,
        thread=thread,
        created_at=now,
        notification=notification,
        key=key,
        body_hash=body,
    )


def amendment(
    kind: Kind,
    notification_id: str,
    *rooms: str,
    thread: str | None = None,
    by: Actor | None = None,
    **changes: Any,
) -> Draft:
    """An update, retraction or settlement of a notification that is stored."""
    return Draft(
        kind=kind,
        notification_id=notification_id,
        rooms=rooms,
        thread=thread,
        created_at=clock.now(),
        amendment=Amendment(by=by, set=changes),
    )


def unit(*drafts: Draft, sender: str = "key:1") -> Unit:
    return Unit(sender, drafts=drafts)


def mark(
    user_id: str,
    receipt: Receipt,
    runs: dict[str, Iterable[Run]],
    *,
    given: bool = True,
    at: datetime | None = None,
) -> Unit:
    """A unit that gives or takes a person's receipts."""
    change = Mark(
        user_id, receipt, given, {room: tuple(some) for room, some in runs.items()}, at or clock.now()
    )
    return Unit(f"user:{user_id}", changes=(change,))


def person(
    username: str, *, roles: Iterable[str] = (), projects: dict[str, Iterable[str]] | None = None
) -> Unit:
    """A unit that adds a person, with the memberships that follow."""
    change = AddUser(
        username=username,
        name=username,
        password_hash="",
        roles=frozenset(roles),
        locale="zh-CN",
        projects={project: frozenset(some) for project, some in (projects or {}).items()},
    )
    return Unit("cli", changes=(change,))


def chore(change: Chore) -> Unit:
    return Unit("retention", chore=change)


async def prune(
    log: SqlLog, room: str, *, floor: int = 0, limit: int = 100, before: datetime | None = None
) -> Any:
    """Prune the room as the job would; the result. Everything is old enough if `before` is left out."""
    change = Prune(room, floor, before or clock.now() + timedelta(days=1), limit)
    return (await log.commit(chore(change))).results[0]


async def clear_expired(log: SqlLog, *, limit: int = 100, before: datetime | None = None) -> Any:
    return (await log.commit(chore(ClearExpired(before or clock.now(), limit)))).results[0]


async def publish(log: SqlLog, *rooms: str, **options: Any) -> Appended:
    """Commit one notification; what became of it."""
    made = draft(*rooms, **options)
    committed = await log.commit(unit(made, sender=options.get("sender", "key:1")))
    return committed.appended[0]


async def join(database: Database, user_id: str, room: str, since: int, until: int | None = None) -> None:
    """Write a membership as it may have come to be: the log itself opens intervals only at the head."""
    row = {"user_id": user_id, "room": room, "since": since, "until": until}
    await database.write(lambda connection: connection.execute(insert(tables.membership), row))


async def stored_offsets(database: Database, prefix: str = "") -> dict[str, list[tuple[int, str]]]:
    """All postings, as (offset, notification id) in order, by room."""
    posting = tables.posting.c
    statement = (
        select(posting.room, posting.offset, posting.notification_id)
        .where(posting.room.startswith(prefix, autoescape=True))
        .order_by(posting.room, posting.offset)
    )
    found: dict[str, list[tuple[int, str]]] = {}
    for row in await database.read(lambda connection: connection.execute(statement).all()):
        found.setdefault(row.room, []).append((row.offset, row.notification_id))
    return found


async def scalar(database: Database, statement: str) -> Any:
    return await database.read(lambda connection: connection.execute(text(statement)).scalar_one())


@asynccontextmanager
async def opened(url: str):
    database = open_database(url)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def opened_log(url: str):
    """A log as one server has it: an appender and a database of its own."""
    async with opened(url) as database:
        log = SqlLog(database)
        try:
            yield log
        finally:
            await log.close()


async def administer(url: str, statement: str, *arguments: str) -> None:
    """Run a statement beside the PostgreSQL database of the URL, as its operator."""
    connection = await asyncpg.connect(f"{url.rpartition('/')[0]}/postgres")
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()


@asynccontextmanager
async def writes_held(url: str, room: str = "held", *, table: str | None = None):
    """Inside, nobody gets further than the first statement that writes `room`, or all of `table`: on SQLite, anything."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(sqlite_path(url), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("INSERT INTO room (name) VALUES ($1) ON CONFLICT DO NOTHING", room)
        async with connection.transaction():
            if table is None:
                await connection.execute("SELECT 1 FROM room WHERE name = $1 FOR UPDATE", room)
            else:
                await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


@asynccontextmanager
async def gathering(log: SqlLog, url: str):
    """Inside, everything submitted to the log waits behind a group in flight, to be taken as the next groups."""
    async with writes_held(url):
        first = asyncio.create_task(publish(log, "held"))
        await all_taken(log)
        yield
    await first


async def all_taken(log: SqlLog) -> None:
    """Wait until the appender has taken into groups whatever was submitted before."""
    await asyncio.sleep(0)
    await eventually(lambda: not log.appender.waiting_units)


def sqlite_path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))
