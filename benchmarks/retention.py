"""Publishing at the log's port while a large room is pruned, in turns with publishing while it is left alone."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import uvloop

from benchmarks.filling import HEAD, NOTIFICATIONS, POSTINGS, fill
from benchmarks.log import unit
from benchmarks.stands import Stand
from core.services.retention import RetentionService
from core.store.database import Database, open_database
from core.store.log import SqlLog
from core.store.retention import SqlRetention

ROOM = "project:1"
RATE = 100
WINDOWS = 4
"""For each value: pruning in every other one, so that a busy moment of the machine meets both."""
_POSTINGS_A_SECOND = 200_000
"""How many old postings there are for each second of a window: more than can be pruned meanwhile."""

DRAINED = 1_000_000

ALONE, PRUNING = (f"retention: {RATE} publishes/s{how}" for how in ("", ", while it prunes"))
PRUNED = "retention: postings pruned/s"
BEFORE, DRAINING = (f"drain: {RATE} publishes/s{how}" for how in (" before and after", ", while it prunes"))
DRAIN_S = f"drain: s for {DRAINED:,} postings"


def p99_of(name: str) -> str:
    return f"{name}, p99 ms"


def measure(stand: Stand, seconds: float) -> dict[str, float]:
    return uvloop.run(_measure(stand.retention_url, seconds))


async def _measure(url: str, seconds: float) -> dict[str, float]:
    await _fill(url, int(_POSTINGS_A_SECOND * seconds))
    async with _opened(url) as (database, log):
        retention = RetentionService(log, SqlRetention(database), timedelta(days=90))
        taken_ms: dict[str, list[float]] = {ALONE: [], PRUNING: []}
        await _publish(log, 1)
        for window in range(WINDOWS):
            if window % 2 == 0:
                taken_ms[ALONE] += await _publish(log, seconds)
                continue
            job = asyncio.create_task(retention.turn())
            taken_ms[PRUNING] += await _publish(log, seconds)
            if job.done():
                raise RuntimeError("There was not enough to prune.")
            job.cancel()
            await asyncio.wait([job])
        head = (await log.heads([ROOM]))[ROOM]
        if head.floor < retention.pruned:
            raise RuntimeError(f"{retention.pruned} were pruned, the floor is {head.floor}.")
    return {PRUNED: retention.pruned / (seconds * WINDOWS / 2), **_told(taken_ms)}


def drain(stand: Stand, seconds: float) -> dict[str, float]:
    """The whole room, from the first posting to the last, while publishing goes on."""
    return uvloop.run(_drain(stand.retention_url, seconds))


async def _drain(url: str, seconds: float) -> dict[str, float]:
    await _fill(url, DRAINED)
    async with _opened(url) as (database, log):
        retention = RetentionService(log, SqlRetention(database), timedelta(days=90))
        await _publish(log, 1)
        taken_ms = {BEFORE: await _publish(log, seconds), DRAINING: []}
        started = time.monotonic()
        job = asyncio.create_task(retention.turn())
        while not job.done():
            taken_ms[DRAINING] += await _publish(log, 1)
        took_s = time.monotonic() - started
        taken_ms[BEFORE] += await _publish(log, seconds)
        if retention.pruned < DRAINED:
            raise RuntimeError(f"Only {retention.pruned} were pruned.")
    return {DRAIN_S: took_s, **_told(taken_ms)}


def _told(taken_ms: Mapping[str, list[float]]) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, some in taken_ms.items():
        percentiles = statistics.quantiles(some, n=100)
        values |= {f"{name}, p50 ms": percentiles[49], p99_of(name): percentiles[98]}
        values[f"{name}, longest ms"] = max(some)
    return values


async def _publish(log: SqlLog, seconds: float) -> list[float]:
    """How long each took, at a steady rate: each into a room of its own and into the one that is pruned."""
    taken_ms: list[float] = []

    async def publish(number: int) -> None:
        due = started + number / RATE
        await log.commit(unit(number, f"user:{number % 20 + 1}", ROOM))
        taken_ms.append((time.monotonic() - due) * 1e3)

    started = time.monotonic()
    async with asyncio.TaskGroup() as publishes:
        for number in range(int(seconds * RATE)):
            await asyncio.sleep(max(0.0, started + number / RATE - time.monotonic()))
            publishes.create_task(publish(number))
    return taken_ms


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[tuple[Database, SqlLog]]:
    database = open_database(url)
    log = SqlLog(database)
    try:
        yield database, log
    finally:
        await log.close()
        await database.close()


async def _fill(url: str, number: int) -> None:
    """Give the room so many old postings, once."""
    async with _opened(url) as (database, log):
        if (await log.heads([ROOM]))[ROOM].head:
            return
        await fill(database, number, NOTIFICATIONS, POSTINGS, HEAD, room=ROOM)
