"""The store for tests: a process's share of it on a real database, and units of work with little to say."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import asyncpg

from core.domain import clock
from core.domain.errors import Unavailable
from core.domain.identity import AddUser
from core.domain.ids import new_id
from core.domain.inbox import Mark, Receipt
from core.domain.notifications import Amendment, Draft, Kind, Level, Notification, Posting
from core.domain.runs import Runs
from core.ports.log import Appended, Unit
from core.store.database import open_database
from core.store.identity import SqlIdentity
from core.store.inbox import SqlInbox
from core.store.log import SqlLog
from core.store.positions import SqlPositions


class Store:
    """What one server process has of the store: its own connections, its own appender."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = open_database(url)
        self.log = SqlLog(self.database)
        self.inbox = SqlInbox(self.database)
        self.identity = SqlIdentity(self.database)
        self.positions = SqlPositions(self.database)

    async def close(self) -> None:
        await self.log.close()
        await self.database.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def publish(self, *rooms: str, **more: Any) -> Appended:
        return (await self.log.commit(unit(*rooms, **more))).appended[0]

    async def publish_surely(self, *rooms: str, key: str, **more: Any) -> Appended:
        """As a publisher does it: what is unknown is tried again with the same key."""
        async with asyncio.timeout(60):
            while True:
                try:
                    return await self.publish(*rooms, key=key, **more)
                except Unavailable:
                    await asyncio.sleep(0)

    async def amend(self, kind: Kind, first: Appended, **changes: Any) -> Appended:
        return (await self.log.commit(amendment(kind, first, **changes))).appended[0]

    async def mark(
        self, user_id: str, receipt: Receipt, runs: dict[str, Runs], *, given: bool = True, at: Any = None
    ) -> Any:
        return (await self.log.commit(mark(user_id, receipt, runs, given=given, at=at))).results[0]

    async def add_user(self, username: str, roles: Iterable[str] = (), **projects: Iterable[str]) -> str:
        return (
            await self.log.commit(Unit(username, changes=(add_user(username, roles, **projects),)))
        ).results[0]

    async def postings(self, *rooms: str) -> list[Posting]:
        """All of the rooms' postings."""
        heads = await self.log.heads(rooms)
        return await self.log.read({room: ((1, heads[room].head),) for room in rooms}, limit=1_000_000)


def draft(
    *rooms: str,
    sender: str = "a sender",
    key: str | None = None,
    body: str = "a body",
    title: str = "a title",
    content: str = "",
    thread: str | None = None,
    settles: bool = False,
    expires_at: datetime | None = None,
    type_: str = "a.type",
    level: Level = Level.INFO,
    urgent: bool = False,
    nid: str | None = None,
) -> Draft:
    now = clock.now()
    notification = Notification(
        id=nid or new_id(),
        type=type_,
        level=level,
        urgent=urgent,
        title=title,
        content=content,
        data={},
        link=None,
        thread=thread,
        settles=settles,
        actor=None,
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


def unit(*rooms: str, sender: str = "a sender", **more: Any) -> Unit:
    return Unit(sender, drafts=(draft(*rooms, sender=sender, **more),))


def amendment(kind: Kind, first: Appended, **changes: Any) -> Unit:
    """An update, a retraction or a settlement of what was appended."""
    posting = Draft(
        kind=kind,
        notification_id=first.notification.id,
        rooms=tuple(first.offsets),
        thread=first.notification.thread,
        created_at=clock.now(),
        amendment=Amendment(set=changes),
    )
    return Unit(first.notification.sender, drafts=(posting,))


def mark(
    user_id: str, receipt: Receipt, runs: dict[str, Runs], *, given: bool = True, at: datetime | None = None
) -> Unit:
    return Unit(f"user:{user_id}", changes=(Mark(user_id, receipt, given, runs, at or clock.now()),))


def add_user(username: str, roles: Iterable[str] = (), **projects: Iterable[str]) -> AddUser:
    return AddUser(
        username=username,
        name=username,
        password_hash="",
        roles=frozenset(roles),
        locale="en",
        projects={project: frozenset(roles) for project, roles in projects.items()},
    )


@dataclass
class Hold:
    """Writers wait until it is released."""

    connection: Any

    async def release(self) -> None:
        if self.connection is None:
            return
        if isinstance(self.connection, sqlite3.Connection):
            self.connection.close()
        else:
            await self.connection.close()
        self.connection = None


@asynccontextmanager
async def writers_held(url: str) -> AsyncIterator[Hold]:
    """No unit of work can be committed until the hold is released, at the latest at the end of the block."""
    if url.startswith("sqlite"):
        hold = Hold(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None))
        hold.connection.execute("BEGIN IMMEDIATE")
    else:
        hold = Hold(await asyncpg.connect(url))
        await hold.connection.execute("BEGIN")
        await hold.connection.execute("LOCK TABLE room IN EXCLUSIVE MODE")
    try:
        yield hold
    finally:
        await hold.release()


async def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """What a stranger sees: the rows of a statement on a connection of its own."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()
