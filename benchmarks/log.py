"""Publishes at the log's port, in this process: a transaction each, and in groups."""

import asyncio
import time

import uvloop

from benchmarks.stands import Stand
from core.domain import clock
from core.domain.ids import new_id
from core.domain.notifications import Draft, Kind, Level, Notification
from core.ports.log import Unit
from core.store.database import open_database
from core.store.log import SqlLog

ONE_BY_ONE = "log: one by one, publishes/s"
OUTSTANDING = {number: f"log: {number} outstanding, publishes/s" for number in (64, 400)}
PER_FLUSH = {number: f"log: {number} outstanding, publishes per flush" for number in OUTSTANDING}
_ROOMS = 20


def measure(stand: Stand, seconds: float) -> dict[str, float]:
    return uvloop.run(_measure(stand.log_url, seconds))


async def _measure(url: str, seconds: float) -> dict[str, float]:
    database = open_database(url)
    log = SqlLog(database)
    try:
        await _rate(log, 64, 0.2)
        values = {ONE_BY_ONE: await _rate(log, 1, seconds)}
        for number, name in OUTSTANDING.items():
            groups, units = log.appender.groups, log.appender.units
            values[name] = await _rate(log, number, seconds)
            values[PER_FLUSH[number]] = (log.appender.units - units) / (log.appender.groups - groups)
        return values
    finally:
        await log.close()
        await database.close()


async def _rate(log: SqlLog, outstanding: int, seconds: float) -> float:
    """Publishes a second by so many callers, each of which waits for one before it asks for the next."""
    stored = await _stored(log)
    started = time.monotonic()

    async def caller(number: int) -> int:
        published = 0
        while time.monotonic() - started < seconds:
            await log.commit(unit(number + published, f"user:{(number + published) % _ROOMS + 1}"))
            published += 1
        return published

    published = sum(await asyncio.gather(*map(caller, range(outstanding))))
    rate = published / (time.monotonic() - started)
    stored = await _stored(log) - stored
    if published != stored:
        raise RuntimeError(f"{published} were committed, {stored} are stored.")
    return rate


async def _stored(log: SqlLog) -> int:
    heads = await log.heads(f"user:{number + 1}" for number in range(_ROOMS))
    return sum(head.head for head in heads.values())


def unit(number: int, *rooms: str) -> Unit:
    """A publish to the rooms, as a sender with idempotency keys makes it."""
    now = clock.now()
    notification = Notification(
        id=new_id(),
        type="task.submitted",
        level=Level.INFO,
        urgent=False,
        title="A task awaits review",
        content="x" * 100,
        data={"task_id": number},
        link=f"/tasks/{number}",
        thread=None,
        settles=False,
        actor=None,
        sender="user:4",
        created_at=now,
        expires_at=None,
    )
    draft = Draft(
        kind=Kind.NOTIFICATION,
        notification_id=notification.id,
        rooms=rooms,
        thread=None,
        created_at=now,
        notification=notification,
        key=new_id(),
        body_hash="0" * 64,
    )
    return Unit(notification.sender, drafts=(draft,))
