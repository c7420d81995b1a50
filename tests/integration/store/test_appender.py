"""Group commit: who is taken with whom, who fails with whom, and what happens at the end."""

import asyncio

import pytest

from core.domain.errors import Conflict, DomainError, RateLimited, Unavailable
from core.ports.log import Unit
from core.store import appender
from tests.support.store import (
    all_taken,
    draft,
    gathering,
    opened_log,
    person,
    publish,
    scalar,
    stored_offsets,
    unit,
    writes_held,
)


def submit(log, *units) -> "asyncio.Future":
    """All of them submitted before anything else happens; their outcomes or exceptions in order."""
    return asyncio.gather(*(log.commit(some) for some in units), return_exceptions=True)


async def test_what_waits_is_committed_in_one_group(log, url):
    async with gathering(log, url):
        waiting = submit(log, *(unit(draft("user:1")) for _ in range(100)))
        await asyncio.sleep(0)
        before = log.appender.groups
    committed = await waiting

    assert log.appender.groups == before + 2  # the one in flight, and all that gathered
    assert [c.appended[0].offsets["user:1"] for c in committed] == list(range(1, 101))


async def test_a_refused_unit_fails_alone_with_all_it_did(log, database, url):
    await log.commit(person("taken"))
    async with gathering(log, url):
        refused = Unit(
            "cli", changes=(*person("other").changes, *person("taken").changes), drafts=(draft("global"),)
        )
        waiting = submit(log, unit(draft("global")), refused, unit(draft("global")), person("free"))
        await asyncio.sleep(0)
    first, refusal, second, added = await waiting

    assert isinstance(refusal, Conflict)
    assert refusal.code == "username_taken"
    assert first.appended[0].offsets == {"global": 1}
    assert second.appended[0].offsets == {"global": 2}
    assert added.results
    assert (
        await scalar(database, """SELECT count(*) FROM "user" WHERE username IN ('other', 'taken', 'free')""")
        == 2
    )
    assert await scalar(database, "SELECT count(*) FROM membership WHERE room = 'global'") == 2


async def test_a_unit_that_the_database_cannot_store_fails_alone(log, database, url):
    async with gathering(log, url):
        waiting = submit(
            log,
            unit(draft("user:1")),
            unit(draft("user:1", "user:2", title="half a letter: \ud800")),
            unit(draft("user:1"), draft("user:2")),
        )
        await asyncio.sleep(0)
    first, fault, last = await waiting

    assert isinstance(fault, Exception)
    assert not isinstance(fault, DomainError)
    assert first.appended[0].offsets == {"user:1": 1}
    assert [appended.offsets for appended in last.appended] == [{"user:1": 2}, {"user:2": 1}]
    stored = await stored_offsets(database, "user:")
    assert {room: len(postings) for room, postings in stored.items()} == {"user:1": 2, "user:2": 1}


async def test_a_nul_fails_alone_where_the_database_has_none(postgres_url):
    async with opened_log(postgres_url) as log:
        async with gathering(log, postgres_url):
            waiting = submit(log, unit(draft("user:1", title="\x00")), unit(draft("user:1")))
            await asyncio.sleep(0)
        fault, other = await waiting

        assert isinstance(fault, Exception)
        assert other.appended[0].offsets == {"user:1": 1}
        assert (await publish(log, "user:1")).offsets == {"user:1": 2}


async def test_a_sender_with_much_to_say_does_not_make_another_wait(log, url):
    async with gathering(log, url):
        many = submit(log, *(unit(draft("user:1"), sender="loud") for _ in range(1_100)))
        quiet = asyncio.gather(
            *(log.commit(unit(draft("user:1"), sender=name)) for name in ("quiet", "calm"))
        )
        await asyncio.sleep(0)
    await many

    offsets = [committed.appended[0].offsets["user:1"] for committed in await quiet]
    assert offsets == [2, 3]


async def test_a_group_holds_at_most_five_hundred_drafts(log, url):
    async with gathering(log, url):
        waiting = submit(log, *(unit(draft("user:1"), draft("user:2")) for _ in range(600)))
        await asyncio.sleep(0)
        before = log.appender.groups
    await waiting

    assert log.appender.groups == before + 1 + 3  # 250 units of two drafts, twice, and the rest


async def test_a_group_holds_at_most_a_mebibyte_and_what_is_larger_goes_alone(log, url):
    quarter, large = "x" * (1 << 18), "x" * (1 << 20)
    quarters = [unit(draft("user:1", data={"text": quarter})) for _ in range(7)]
    assert 3 <= appender.MAX_GROUP_BYTES / quarters[0].size_bytes < 4
    async with gathering(log, url):
        waiting = submit(log, *quarters, unit(draft("user:1", data={"text": large})))
        await asyncio.sleep(0)
        before = log.appender.groups
    committed = await waiting

    assert log.appender.groups == before + 1 + 4  # three, three, one, and the large one
    assert [c.appended[0].offsets["user:1"] for c in committed] == list(range(1, 9))


async def test_more_units_than_can_wait_are_refused_and_the_others_are_stored(log, url):
    async with gathering(log, url):
        waiting = submit(log, *(Unit("loud") for _ in range(appender.MAX_WAITING_UNITS)))
        await asyncio.sleep(0)
        with pytest.raises(RateLimited) as caught:
            await publish(log, "user:1", sender="other")
    assert caught.value.code == "log_busy"
    assert not [outcome for outcome in await waiting if isinstance(outcome, Exception)]
    assert (await publish(log, "user:1")).offsets == {"user:1": 1}


async def test_more_bytes_than_can_wait_are_refused(log, url):
    text = "x" * (appender.MAX_WAITING_BYTES // 24)
    async with gathering(log, url):
        waiting = submit(log, *(unit(draft("user:1", content=text)) for _ in range(8)))
        await asyncio.sleep(0)
        with pytest.raises(RateLimited):
            await publish(log, "user:1")
        assert log.appender.waiting_units == 8
        for_nothing = await asyncio.gather(log.commit(Unit("x")), return_exceptions=True)
        assert isinstance(for_nothing[0], RateLimited)
    assert len(await waiting) == 8


async def test_a_caller_that_gives_up_does_not_take_its_unit_back(log, database, url):
    async with gathering(log, url):
        impatient = asyncio.create_task(publish(log, "user:1"))
        patient = asyncio.create_task(publish(log, "user:1"))
        await asyncio.sleep(0)
        impatient.cancel()
    assert (await patient).offsets == {"user:1": 2}
    assert len((await stored_offsets(database))["user:1"]) == 2


@pytest.mark.parametrize("in_flight", [True, False], ids=["in flight", "waiting"])
async def test_close_commits_what_was_taken_in(in_flight, log, database, url):
    async with writes_held(url, "user:1"):
        first = submit(log, *(unit(draft("user:1"), sender=f"{n % 7}") for n in range(40)))
        await all_taken(log)
        waiting = () if in_flight else [unit(draft("user:1"), sender=f"{n % 7}") for n in range(1_200)]
        second = submit(log, *waiting)
        await asyncio.sleep(0)
        closing = asyncio.create_task(log.close())
        await asyncio.sleep(0)
    await closing

    assert first.done()
    outcomes = [*await first, *await second]
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert len((await stored_offsets(database))["user:1"]) == len(outcomes)


async def test_a_closed_log_refuses_and_may_be_closed_again(log, database):
    await publish(log, "user:1")
    await log.close()

    with pytest.raises(Unavailable) as caught:
        await publish(log, "user:1")
    assert caught.value.code == "stopping"
    await log.close()
    assert len((await stored_offsets(database))["user:1"]) == 1


async def test_a_log_that_was_never_used_closes(url):
    async with opened_log(url) as log:
        await log.close()
