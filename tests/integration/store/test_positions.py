"""What people's devices have acknowledged: the newest of each room, written when the database lets us."""

import asyncio

import pytest

from core.store import positions as module
from core.store.positions import SqlPositions
from tests.support.proxy import TcpProxy
from tests.support.store import opened, opened_log, publish, scalar, writes_held

ROOMS = ("user:1", "global")


@pytest.fixture
def positions(database) -> SqlPositions:
    return SqlPositions(database)


async def stored(database, user_id="1") -> dict[str, int]:
    """As another server reads it."""
    return dict((await SqlPositions(database).acknowledged(user_id, ROOMS)).position)


async def test_who_acknowledged_nothing_has_no_position_and_no_time(positions):
    found = await positions.acknowledged("1", ROOMS)

    assert found.position == {}
    assert found.at is None


async def test_what_is_noted_is_known_here_at_once_and_everywhere_once_written(positions, database, log):
    for _ in range(5):
        await publish(log, *ROOMS)
    positions.acknowledge("1", {"user:1": 3})

    assert (await positions.acknowledged("1", ROOMS)).position == {"user:1": 3}
    assert await stored(database) == {}
    await positions.flush()
    assert await stored(database) == {"user:1": 3}
    assert await stored(database, "2") == {}
    assert (await positions.acknowledged("1", ["global"])).position == {}


async def test_the_newest_of_any_device_is_kept_pending_and_stored(positions, database, log):
    for _ in range(9):
        await publish(log, *ROOMS)
    for offset in (4, 7, 5):
        positions.acknowledge("1", {"user:1": offset})
    assert (await positions.acknowledged("1", ROOMS)).position == {"user:1": 7}
    await positions.flush()

    positions.acknowledge("1", {"user:1": 6, "global": 2})
    assert (await positions.acknowledged("1", ROOMS)).position == {"user:1": 7, "global": 2}
    await positions.flush()
    assert await stored(database) == {"user:1": 7, "global": 2}
    assert (await positions.acknowledged("1", ROOMS)).at is not None


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
    known = [
        bool((await positions.acknowledged(who, ["user:1"])).position)
        for who in ("49", "51", "50", "149", "new")
    ]
    assert known == [False, False, True, True, True]


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


async def test_what_is_being_written_is_still_known(url, positions, log):
    for _ in range(4):
        await publish(log, "user:1", "held")
    positions.acknowledge("1", {"user:1": 4})
    async with writes_held(url, table="position"):
        flushing = asyncio.create_task(positions.flush())
        await asyncio.sleep(0)
        positions.acknowledge("1", {"user:1": 3})
        assert (await positions.acknowledged("1", ["user:1"])).position == {"user:1": 4}
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
