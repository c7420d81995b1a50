"""The life of a log ends once, whoever ends it, and servers go on with the next one, whatever they remembered."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text

from core.domain.errors import Unavailable
from tests.support.proxy import TcpProxy
from tests.support.statements import heard_statements
from tests.support.store import draft, opened_log, person, publish, stored_offsets, unit


@pytest.fixture
async def logs(url):
    """Four servers on one database."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(opened_log(url)) for _ in range(4)]


async def test_a_new_epoch_is_the_one_that_every_server_reads(logs):
    before = await logs[0].epoch()

    begun = [await logs[0].begin_epoch(), await logs[1].begin_epoch()]

    assert len({before, *begun}) == 3
    assert {await log.epoch() for log in logs} == {begun[1]}


async def test_servers_that_end_the_same_epoch_at_once_begin_one(logs):
    before = await logs[0].epoch()

    begun = await asyncio.gather(*(log.begin_epoch(instead_of=before) for log in logs * 4))

    assert len(set(begun)) == 1
    assert begun[0] != before
    assert await logs[0].epoch() == begun[0]
    assert await logs[0].begin_epoch(instead_of=before) == begun[0], "who comes late learns which it is"


async def test_what_is_committed_says_of_which_epoch_it_is(logs):
    log, another = logs[:2]
    first = await log.epoch()
    posted = await log.commit(unit(draft("user:1", key="k")))
    second = await another.begin_epoch()
    repeated, fresh, joined = await asyncio.gather(
        log.commit(unit(draft("user:1", key="k"))),
        log.commit(unit(draft("user:1"))),
        log.commit(person("zhangsan", roles=["reviewer"])),
    )

    assert posted.epoch == first
    assert repeated.appended[0].duplicate
    assert fresh.epoch == joined.epoch == second


async def test_what_was_looked_up_says_of_which_epoch_it_is(postgres_url):
    async with TcpProxy(postgres_url) as proxy, opened_log(proxy.url) as log:
        epoch = await log.epoch()
        found = []
        for _ in range(10):
            proxy.drop_replies(after=b"COMMIT")
            try:
                found.append((await log.commit(unit(draft("user:1")))).epoch)
            except Unavailable:
                continue
            assert proxy.dropped.is_set()
        assert set(found) == {epoch}


async def test_the_epoch_costs_no_statement_of_its_own(log):
    with heard_statements() as heard:
        await publish(log, "user:1")
        await publish(log, "user:1")

    reading = [statement for statement, _ in heard if "log" in statement]
    assert len(reading) == 2
    assert all("FROM room" in statement for statement in reading)


async def test_rooms_that_vanished_begin_anew_beside_those_that_stayed(logs, database):
    for log in logs:
        await publish(log, "user:1", "user:2", "global")

    def vanish(connection) -> None:
        for table, column in (("posting", "room"), ("room", "name")):
            connection.execute(text(f"DELETE FROM {table} WHERE {column} IN ('user:1', 'global')"))  # noqa: S608

    await database.write(vanish)
    accepted = await asyncio.gather(
        *(publish(log, *rooms) for log in logs for rooms in (["user:1", "user:2"], ["global", "user:1"]))
    )

    offsets = sorted(appended.offsets["user:1"] for appended in accepted)
    assert offsets == list(range(1, 9))
    assert sorted(appended.offsets.get("user:2", 0) for appended in accepted) == [0, 0, 0, 0, 5, 6, 7, 8]
    stored = await stored_offsets(database)
    assert {room: [offset for offset, _ in postings] for room, postings in stored.items()} == {
        "user:1": list(range(1, 9)),
        "user:2": list(range(1, 9)),
        "global": list(range(1, 5)),
    }
