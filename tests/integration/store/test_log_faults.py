"""A database that goes away at the worst moment: nothing accepted is lost, nothing is stored twice."""

import asyncio

import pytest

from core.domain.errors import Unavailable
from tests.support.proxy import TcpProxy
from tests.support.store import administer, opened, opened_log, publish, stored_offsets

ROOMS = ("user:1", "global")


async def publish_until_accepted(log, key: str, *, rooms=ROOMS):
    """As a sender does it: unknown is tried again with the same key."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await publish(log, *rooms, key=key, body=key)
            except Unavailable:
                await asyncio.sleep(0.05)  # a sender's pause between tries, not a wait for an event


async def assert_each_is_stored_once(url: str, accepted) -> None:
    async with opened(url) as database:
        stored = await stored_offsets(database)
    for room in ROOMS:
        ids = [notification_id for _, notification_id in stored[room]]
        assert [offset for offset, _ in stored[room]] == list(range(1, len(ids) + 1))
        assert len(set(ids)) == len(ids) == len(accepted)
        assert dict(stored[room]) == {a.offsets[room]: a.notification.id for a in accepted}


async def test_a_commit_whose_answer_is_lost_is_looked_up_and_stored_once(postgres_url):
    accepted, unknown = [], 0
    async with TcpProxy(postgres_url) as proxy, opened_log(proxy.url) as log:
        for number in range(25):
            key = f"k{number}"
            proxy.drop_replies(after=b"COMMIT")
            try:
                told = await publish(log, *ROOMS, key=key, body=key)
                assert not told.duplicate
            except Unavailable:
                unknown += 1
                told = await publish_until_accepted(log, key)
            assert proxy.dropped.is_set()
            repeated = await publish(log, *ROOMS, key=key, body=key)
            assert repeated.duplicate
            assert repeated.notification == told.notification
            assert repeated.offsets == told.offsets == dict.fromkeys(ROOMS, number + 1)
            accepted.append(told)
    assert unknown < 25, "what can be looked up is looked up"
    await assert_each_is_stored_once(postgres_url, accepted)


async def test_a_group_whose_commit_nobody_answered_is_looked_up_as_a_whole(postgres_url):
    async with TcpProxy(postgres_url) as proxy, opened_log(proxy.url) as log:
        accepted = [await publish(log, *ROOMS, key="before", body="before")]
        for number in range(5):
            proxy.drop_replies(after=b"COMMIT")
            keys = [f"{number}:{at}" for at in range(20)]
            accepted += await asyncio.gather(*(publish_until_accepted(log, key) for key in keys))
            assert proxy.dropped.is_set()
    await assert_each_is_stored_once(postgres_url, accepted)


async def test_a_transaction_that_never_reached_its_commit_is_not_stored_and_said_to_be_unavailable(
    postgres_url,
):
    async with TcpProxy(postgres_url) as proxy, opened_log(proxy.url) as log:
        proxy.drop_replies(after=b"INSERT INTO posting")  # sent once a connection, to be prepared
        with pytest.raises(Unavailable):
            await publish(log, *ROOMS, key="k", body="k")
        assert proxy.dropped.is_set()
        accepted = await publish_until_accepted(log, "k")
        assert accepted.offsets == dict.fromkeys(ROOMS, 1)
        assert not accepted.duplicate
    await assert_each_is_stored_once(postgres_url, [accepted])


async def test_a_commit_into_a_database_that_then_lets_nobody_in_is_unknown_and_the_log_goes_on_later(
    postgres_url,
):
    name = postgres_url.rpartition("/")[2]
    async with TcpProxy(postgres_url) as proxy, opened_log(proxy.url) as log:
        accepted = [await publish(log, *ROOMS, key="before", body="before")]
        await administer(postgres_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            proxy.drop_replies(after=b"COMMIT")
            with pytest.raises(Unavailable):
                await publish(log, *ROOMS, key="k", body="k")
            assert proxy.dropped.is_set()
            with pytest.raises(Unavailable):
                await log.heads(ROOMS)
        finally:
            await administer(postgres_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        accepted.append(await publish_until_accepted(log, "k"))
        assert accepted[-1].duplicate, "it was stored the first time"
    await assert_each_is_stored_once(postgres_url, accepted)


async def test_a_connection_that_an_operator_ends_in_mid_flight_costs_nobody_anything(postgres_url):
    end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
    accepted = []
    async with opened_log(postgres_url) as log:
        for number in range(12):
            *told, _ = await asyncio.gather(
                *(publish_until_accepted(log, f"{number}:{at}") for at in range(5)),
                administer(postgres_url, end_all, postgres_url.rpartition("/")[2]),
            )
            accepted += told
    await assert_each_is_stored_once(postgres_url, accepted)


async def test_a_crash_of_the_database_loses_and_doubles_nothing(postgres_cluster, postgres_url):
    async with opened_log(postgres_url) as log:
        accepted = await asyncio.gather(*(publish_until_accepted(log, f"before:{at}") for at in range(5)))
        during = asyncio.Event()

        async def publish_on(sender: int):
            mine, number = [], 0
            while not during.is_set():
                mine.append(await publish_until_accepted(log, f"{sender}:{number}"))
                number += 1
            return mine

        senders = [asyncio.create_task(publish_on(sender)) for sender in range(4)]
        await asyncio.to_thread(postgres_cluster.stop, "immediate")
        await asyncio.to_thread(postgres_cluster.start)
        accepted += [await publish_until_accepted(log, "after")]
        during.set()
        accepted += [appended for mine in await asyncio.gather(*senders) for appended in mine]
    await assert_each_is_stored_once(postgres_url, accepted)


async def test_an_unreachable_database_is_unavailable_and_comes_back(postgres_url):
    async with TcpProxy(postgres_url) as proxy, opened_log(proxy.url) as log:
        await publish(log, "user:1")
        proxy.drop_replies()
        for ask in (
            log.epoch(),
            log.heads(["user:1"]),
            log.read({"user:1": ((1, 9),)}, 9),
            publish(log, "user:1"),
        ):
            with pytest.raises(Unavailable):
                await ask
        proxy.heal()
        assert (await log.heads(["user:1"]))["user:1"].head == 1
        assert (await publish(log, "user:1")).offsets == {"user:1": 2}


@pytest.mark.parametrize("missing", ["nothing_is_called_so", "template0"])
async def test_a_database_that_does_not_let_us_in_is_unavailable(postgres_url, missing):
    async with opened_log(f"{postgres_url.rpartition('/')[0]}/{missing}") as log:
        with pytest.raises(Unavailable):
            await log.epoch()
