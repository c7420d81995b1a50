"""What people's devices have acknowledged: the newest of each room, written when the database lets us."""

import asyncio
from datetime import datetime

import pytest

from core.domain import clock
from core.domain.positions import newest
from core.store import positions as module
from core.store.inbox import SqlInbox
from core.store.positions import SqlPositions
from core.store.reading import reading_of
from tests.support.proxy import TcpProxy
from tests.support.store import join, opened, opened_log, publish, scalar, writes_held

ROOMS = ("user:1", "global")


@pytest.fixture
def positions(database) -> SqlPositions:
    return SqlPositions(database)


async def stored(database, user_id="1") -> dict[str, int]:
    """As another server reads it."""
    return await known(database, SqlPositions(database), user_id)


async def known(database, positions, user_id="1", rooms=ROOMS) -> dict[str, int]:
    """As this server knows it."""
    reading = await database.read(lambda connection: reading_of(connection, user_id, rooms))
    acknowledged = newest(reading.acknowledged, positions.noted(user_id, rooms))
    return {room: offset for room, (offset, _) in acknowledged.items()}


async def since(database, positions) -> tuple[int, datetime | None]:
    """How much was missed since the last acknowledgement, and when that was."""
    noted = positions.noted("1", ROOMS)
    _, missed, at = await SqlInbox(database).since_acknowledged("1", ROOMS, noted)
    return missed.total, at


async def test_who_acknowledged_nothing_has_no_position_and_no_time_and_missed_everything(
    positions, database, log
):
    for room in ROOMS:
        await join(database, "1", room, 0)
    await publish(log, *ROOMS)

    assert await known(database, positions) == {}
    assert await since(database, positions) == (1, None)


async def test_what_was_missed_is_above_what_is_stored_or_noted_whatever_is_newer(positions, database, log):
    await join(database, "1", "global", 0)
    for _ in range(9):
        await publish(log, "global")
    begun = clock.now()
    positions.acknowledge("1", {"global": 4})
    missed, first = await since(database, positions)
    assert missed == 5
    await positions.flush()
    assert await since(database, positions) == (5, first)
    positions.acknowledge("1", {"global": 7})
    missed, then = await since(database, positions)
    assert missed == 2
    positions.acknowledge("1", {"global": 3})
    assert (await since(database, positions))[0] == 2
    assert begun <= first <= then <= clock.now()


async def test_what_is_noted_is_known_here_at_once_and_everywhere_once_written(positions, database, log):
    for _ in range(5):
        await publish(log, *ROOMS)
    positions.acknowledge("1", {"user:1": 3})

    assert await known(database, positions) == {"user:1": 3}
    assert await stored(database) == {}
    await positions.flush()
    assert await stored(database) == {"user:1": 3}
    assert await stored(database, "2") == {}
    assert await known(database, positions, rooms=["global"]) == {}


async def test_the_newest_of_any_device_is_kept_pending_and_stored(positions, database, log):
    for _ in range(9):
        await publish(log, *ROOMS)
    for offset in (4, 7, 5):
        positions.acknowledge("1", {"user:1": offset})
    assert await known(database, positions) == {"user:1": 7}
    await positions.flush()

    positions.acknowledge("1", {"user:1": 6, "global": 2})
    assert await known(database, positions) == {"user:1": 7, "global": 2}
    await positions.flush()
    assert await stored(database) == {"user:1": 7, "global": 2}


async def test_a_position_above_the_head_is_written_as_the_head_and_one_of_no_room_not_at_all(
    positions, database, log
):
    await publish(log, "user:1")
    positions.acknowledge("1", {"user:1": 10**9, "global": 5})
    await positions.flush()

    assert await stored(database) == {"user:1": 1}


async def test_many_are_written_in_chunks(positions, database, log):
    for _ in range(3):
        await publish(log, "user:1")
    people = module._CHUNK_ROWS * 2 + 1
    for number in range(people):
        positions.acknowledge(f"{number}", {"user:1": number % 3 + 1})
    await positions.flush()

    assert await scalar(database, "SELECT count(*) FROM position") == people
    assert await scalar(database, "SELECT sum(acked_offset) FROM position") == sum(
        number % 3 + 1 for number in range(people)
    )


async def test_pending_positions_are_bounded_and_the_oldest_go_first(positions, monkeypatch):
    monkeypatch.setattr(module, "_MAX_PENDING_ROWS", 100)
    for number in range(150):
        positions.acknowledge(f"{number}", {"user:1": 1})
    positions.acknowledge("50", {"user:1": 2})
    positions.acknowledge("new", {"user:1": 1})

    assert len(positions._pending) == 100
    kept = [bool(positions.noted(who, ["user:1"])) for who in ("49", "51", "50", "149", "new")]
    assert kept == [False, False, True, True, True]


async def test_while_the_database_is_away_what_is_noted_stays_and_is_written_later(postgres_url):
    async with opened_log(postgres_url) as log:
        for _ in range(4):
            await publish(log, *ROOMS)
    async with TcpProxy(postgres_url) as proxy, opened(proxy.url) as database:
        positions = SqlPositions(database)
        proxy.drop_replies()
        positions.acknowledge("1", {"user:1": 2})
        await positions.flush()
        positions.acknowledge("1", {"user:1": 1, "global": 4})
        await positions.flush()
        proxy.heal()
        await positions.flush()
        assert await stored(database) == {"user:1": 2, "global": 4}


async def test_what_is_being_written_is_still_known(url, positions, database, log):
    for _ in range(4):
        await publish(log, "user:1", "held")
    positions.acknowledge("1", {"user:1": 4})
    async with writes_held(url, table="position"):
        flushing = asyncio.create_task(positions.flush())
        await asyncio.sleep(0)
        positions.acknowledge("1", {"user:1": 3})
        assert await known(database, positions, rooms=["user:1"]) == {"user:1": 4}
    await flushing


async def test_an_older_position_noted_while_a_newer_one_fails_to_be_written_does_not_replace_it(
    postgres_url,
):
    async with opened_log(postgres_url) as log:
        for _ in range(4):
            await publish(log, "user:1")
    async with TcpProxy(postgres_url) as proxy, opened(proxy.url) as database:
        positions = SqlPositions(database)
        proxy.drop_replies()
        positions.acknowledge("1", {"user:1": 4})
        flushing = asyncio.create_task(positions.flush())
        await asyncio.sleep(0)
        positions.acknowledge("1", {"user:1": 3})
        await flushing
        proxy.heal()
        await positions.flush()
        assert await stored(database) == {"user:1": 4}
