"""Counting what is unread in rooms of any size, and the summary of somebody who missed much."""

import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial

import uvloop
from sqlalchemy import Connection, text

from benchmarks.filling import AT, HEAD, NOTIFICATIONS, SERIES, fill
from benchmarks.stands import Stand
from core.domain.inbox import InboxFilter, Receipt
from core.domain.principals import User
from core.services.budget import Budget
from core.services.counters import CounterService
from core.services.summary import SummaryService
from core.store.counters import SqlCounters
from core.store.database import Database, open_database
from core.store.inbox import SqlInbox
from core.store.log import SqlLog
from core.store.positions import SqlPositions
from core.store.reading import reading_of
from core.store.tasks import SqlTasks
from core.store.unread import count_between

SIZES = (1_000, 100_000, 1_000_000)
THREADS = 5
MISSED, TASKS = 10_000, 5_000
PROJECTS = tuple(f"busy-{number}" for number in range(5))

MIXED, THREADED = "mixed", "threaded"
CASES = {
    "all read": (MIXED, "1, n", "n = :size", 0),
    "all read singly but the oldest": (MIXED, "3, n", "n = :size", 1),
    "every second read": (MIXED, "n - 1, n + 1", "n % 4 = 1 AND n > 1", 100),
    "nothing read": (MIXED, None, None, 100),
    "five living threads": (THREADED, None, None, THREADS),
}
"""The room, the runs of what was read as marking leaves them, for which offsets there are any, and what is unread then."""


def unread(case: str, size: int) -> str:
    return f"inbox: unread of {size:,} postings, {case}"


def p50_of(name: str) -> str:
    return f"{name}, p50 ms"


MISSED_THREADS = f"inbox: {THREADS} threads missed, of {SIZES[-1]:,} postings"
JOBS = SIZES[-1] // 5
PAGE = f"inbox: first page of {SIZES[-1]:,} postings in {JOBS:,} threads"
NUMBERS = f"inbox: numbers of {SIZES[-1]:,} postings in {JOBS:,} threads"
SUMMARY = f"inbox: summary, {MISSED:,} missed, {TASKS:,} tasks"


def measure(stand: Stand, seconds: float) -> dict[str, float]:
    return uvloop.run(_measure(stand.inbox_url, seconds))


async def _measure(url: str, seconds: float) -> dict[str, float]:
    database = open_database(url)
    try:
        await _fill(database)
        # As a server does once it has started: what was imported is not looked through again and again.
        gc.collect()
        gc.freeze()
        values: dict[str, float] = {}
        for case, (room, _, _, expected) in CASES.items():
            for size in SIZES:
                ask = partial(_unread, database, _person(case), f"project:{room}-{size}", expected)
                values |= await _times(unread(case, size), ask, seconds / len(CASES))
        values |= await _times(MISSED_THREADS, partial(_missed, database), seconds / len(CASES))
        values |= await _times(PAGE, partial(_page, database), seconds / len(CASES))
        values |= await _times(NUMBERS, partial(_numbers, database), seconds / len(CASES))
        return values | await _times(SUMMARY, partial(_summary, database), seconds)
    finally:
        await database.close()


async def _unread(database: Database, user_id: str, room: str, expected: int) -> None:
    def count(connection: Connection) -> int:
        reading = reading_of(connection, user_id, (room,), Receipt.READ)
        return count_between(connection, user_id, reading.gaps)[Receipt.READ]

    found = await database.read(count, snapshot=True)
    if found != expected:
        raise RuntimeError(f"{found} are unread in {room} for {user_id}, {expected} should be.")


async def _missed(database: Database) -> None:
    room = f"project:{THREADED}-{SIZES[-1]}"
    _, missed = await SqlInbox(database).since(_person("five living threads"), (room,), {})
    if missed.total != _NEWEST:
        raise RuntimeError(f"{missed.total} were missed, {_NEWEST} should be.")


async def _page(database: Database) -> None:
    page = await SqlInbox(database).page("worker", (_JOBS_ROOM,), InboxFilter(archived=False), None, 30)
    if len(page.items) != 30 or page.items[0].offset != SIZES[-1]:
        raise RuntimeError(f"The first page has {len(page.items)} items.")


async def _numbers(database: Database) -> None:
    counts = await SqlInbox(database).counts("worker", (_JOBS_ROOM,))
    if (counts.all, counts.todo, counts.archived) != (100, 100, 0):
        raise RuntimeError(f"The numbers are {counts}.")


async def _summary(database: Database) -> None:
    everybody = frozenset({"annotator"})
    user = User(
        id="busy",
        username="busy",
        name="busy",
        roles=everybody,
        projects=dict.fromkeys(PROJECTS, everybody),
        locale="en",
    )
    counters = CounterService(SqlLog(database), SqlCounters(database), (), Budget(None))
    service = SummaryService(SqlInbox(database), SqlPositions(database), SqlTasks(database), counters)
    found = await service.summary(user)
    if not found.missed.capped or sum(found.tasks.values()) != TASKS:
        raise RuntimeError(f"The summary is {found}.")


async def _times(name: str, ask: Callable[[], Awaitable[None]], seconds: float) -> dict[str, float]:
    taken_ms = []
    await ask()
    started = time.monotonic()
    while len(taken_ms) < 100 or time.monotonic() - started < seconds:
        asked = time.perf_counter()
        await ask()
        taken_ms.append((time.perf_counter() - asked) * 1e3)
    percentiles = statistics.quantiles(taken_ms, n=100)
    return {p50_of(name): percentiles[49], f"{name}, p99 ms": percentiles[98]}


def _person(case: str) -> str:
    return case.replace(" ", "-")


async def _fill(database: Database) -> None:
    """Rooms of every size, people who read them in every way, and one who has much to do; once."""
    if await database.read(lambda connection: connection.execute(text("SELECT 1 FROM room")).first()):
        return
    await fill(database, SIZES[-1] // 2, NOTIFICATIONS)
    for size in SIZES:
        await fill(database, size, _MIXED, HEAD, room=f"project:{MIXED}-{size}")
        await fill(database, size, _THREADED, HEAD, room=f"project:{THREADED}-{size}")
        await fill(database, THREADS, _ROOM_THREADS, room=f"project:{THREADED}-{size}", size=size)
        for case, (room, runs, read, _) in CASES.items():
            name = f"project:{room}-{size}"
            await fill(database, 1, _MEMBERSHIP, user=_person(case), room=name)
            if runs is not None:
                marked = _READ.format(runs=runs, read=read)
                await fill(database, size, marked, user=_person(case), room=name, size=size)
    await fill(database, SIZES[-1], _JOBS_POSTINGS, HEAD, room=_JOBS_ROOM)
    await fill(database, JOBS, _JOBS_THREADS, room=_JOBS_ROOM)
    await fill(database, 1, _MEMBERSHIP, user="worker", room=_JOBS_ROOM)
    for number, project in enumerate(PROJECTS):
        room = f"project:{project}"
        await fill(database, MISSED // len(PROJECTS), _EVERY_FIFTH, HEAD, room=room, number=number)
        await fill(database, 1, _MEMBERSHIP, user="busy", room=room)
    await fill(database, TASKS, _TASKS)
    if database.dialect == "postgresql":
        # As its own maintenance does soon, and not in the midst of measuring; SQLite has no statistics.
        await database.read(lambda connection: connection.execute(text("VACUUM ANALYZE")))


_NEWEST = (THREADS + 1) // 2
"""How many notifications are the newest of the threads: each stands at two offsets, of two threads."""
_HALF = "'01ARZ3NDEK' || CAST(1000000000000000 + (n + 1) / 2 AS text)"
"""Every notification stands twice: with its update, or, where only the newest entries matter, with itself."""
_MIXED = f"""
    INSERT INTO posting (room, "offset", kind, notification_id, members, created_at)
    {SERIES}
    SELECT CAST(:room AS text), n, CASE n % 2 WHEN 1 THEN 'notification' ELSE 'update' END,
        {_HALF}, 0, {AT}
    FROM series
"""  # noqa: S608 - of constants
_EVERY_FIFTH = f"""
    INSERT INTO posting (room, "offset", kind, notification_id, members, created_at)
    {SERIES}
    SELECT CAST(:room AS text), n, 'notification',
        '01ARZ3NDEK' || CAST(1000000000000000 + n * 5 + :number AS text), 0, {AT}
    FROM series
"""  # noqa: S608 - of constants
_THREADED = f"""
    INSERT INTO posting (room, "offset", kind, notification_id, thread, members, created_at)
    {SERIES}
    SELECT CAST(:room AS text), n, 'notification', {_HALF}, 'task:' || CAST(n % {THREADS} AS text), 0, {AT}
    FROM series
"""  # noqa: S608 - of constants
_ROOM_THREADS = f"""
    INSERT INTO room_thread (room, thread, last_offset, notification_id, open)
    {SERIES}
    SELECT p.room, p.thread, p."offset", p.notification_id, true
    FROM series JOIN posting AS p ON p.room = CAST(:room AS text) AND p."offset" = :size - n + 1
"""  # noqa: S608 - of constants
_JOBS_ROOM = "project:jobs"
_JOBS_POSTINGS = f"""
    INSERT INTO posting (room, "offset", kind, notification_id, thread, members, created_at)
    {SERIES}
    SELECT CAST(:room AS text), n, 'notification', {_HALF}, 'job:' || CAST((n + 4) / 5 AS text), 0, {AT}
    FROM series
"""  # noqa: S608 - of constants
_JOBS_THREADS = f"""
    INSERT INTO room_thread (room, thread, last_offset, notification_id, open)
    {SERIES}
    SELECT p.room, p.thread, p."offset", p.notification_id, n % 50 = 0
    FROM series JOIN posting AS p ON p.room = CAST(:room AS text) AND p."offset" = n * 5
"""  # noqa: S608 - of constants
"""Five entries a thread, one thread of fifty still open."""
_MEMBERSHIP = "INSERT INTO membership (user_id, room, since, changed) VALUES (:user, :room, 0, 0)"
_READ = f"""
    INSERT INTO receipt (user_id, room, receipt, first, last, at)
    {SERIES}
    SELECT CAST(:user AS text), CAST(:room AS text), 'read', {{runs}}, {AT} FROM series WHERE {{read}}
"""  # noqa: S608 - of constants
_TASKS = f"""
    INSERT INTO task (project_id, title, state, assignee_id, version, created_at, changed_at)
    {SERIES}
    SELECT 'busy-1', 'A task', CASE n % 2 WHEN 1 THEN 'rejected' ELSE 'in_progress' END, 'busy', 1, {AT}, {AT}
    FROM series
"""  # noqa: S608 - of constants
