"""A hub over a log of its own, with members who are queues."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson

from core.domain import clock, ids
from core.domain.notifications import Draft, Kind, Level, Notification, Posting
from core.domain.principals import Principal, User
from core.ports.log import Unit
from core.store.database import Database, open_database
from core.store.identity import SqlIdentity
from core.store.log import SqlLog
from realtime.background import Background
from realtime.engine import OutgoingQueue
from realtime.hub import Hub
from realtime.manager import build_socket_server
from realtime.publication import Publication
from realtime.session import Session

ROOM = "project:1"


@dataclass
class Stage:
    database: Database
    log: SqlLog
    hub: Hub
    background: Background

    async def append(self, number: int = 1, room: str = ROOM, content: str = "") -> list[Posting]:
        """Commit notifications without telling the hub."""
        units = [Unit("test", drafts=(draft(room, content),)) for _ in range(number)]
        committed = await asyncio.gather(*(self.log.commit(unit) for unit in units))
        return [posting for unit in committed for posting in unit.appended[0].postings]

    def offer(self, posting: Posting, epoch: str | None = None) -> None:
        self.hub.offer(Publication.of(posting, epoch or self.hub.epoch))

    async def joined(self, room: str = ROOM) -> tuple[Session, OutgoingQueue]:
        outgoing = OutgoingQueue()
        user = User(id="1", username="u", name="U", roles=frozenset(), projects={}, locale="en")
        principal = Principal(sender="user:1", user=user)
        session = Session(build_socket_server(), ids.new_id(), "eio", principal, outgoing)
        await self.hub.open([room])
        self.hub.join(session, [room])
        return session, outgoing


@asynccontextmanager
async def hub_stage(url: str) -> AsyncIterator[Stage]:
    database = open_database(url)
    log, background = SqlLog(database), Background()
    hub = Hub(log, SqlIdentity(database), background)
    hub.epoch = await log.epoch()
    yield Stage(database, log, hub, background)
    await background.close()
    await log.close()
    await database.close()


def draft(room: str, content: str = "") -> Draft:
    notification = Notification(
        id=ids.new_id(),
        type="test",
        level=Level.INFO,
        urgent=False,
        title="t",
        content=content,
        data={},
        link=None,
        thread=None,
        settles=False,
        actor=None,
        sender="test",
        created_at=clock.now(),
        expires_at=None,
    )
    return Draft(
        kind=Kind.NOTIFICATION,
        notification_id=notification.id,
        rooms=(room,),
        thread=None,
        created_at=notification.created_at,
        notification=notification,
    )


async def offsets(outgoing: OutgoingQueue, number: int) -> list[int]:
    async with asyncio.timeout(10):
        packets = [await outgoing.get() for _ in range(number)]
    return [orjson.loads(packet.data[1:])[1]["offset"] for packet in packets]


async def turn() -> None:
    """Let the hub deliver what it was offered in this turn of the loop."""
    await asyncio.sleep(0)
