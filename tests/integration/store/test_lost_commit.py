"""The COMMIT whose answer is lost: it may have happened or not, and it is neither doubled nor lost."""

import asyncio

from core.domain.errors import Unavailable
from core.domain.membership import FOREVER
from tests.support.appending import append, opened_log
from tests.support.postgres import PostgresCluster
from tests.support.proxy import TcpProxy


async def test_it_is_looked_up_and_neither_doubled_nor_lost(postgres_cluster: PostgresCluster):
    url = postgres_cluster.create_database()
    async with opened_log(url) as (witness, _), TcpProxy(url) as proxy, opened_log(proxy.url) as (log, _):
        found = 0
        for number in range(25):
            proxy.drop_replies(after=b"COMMIT")
            try:
                accepted = await append(log, "user:1", "global", key=f"k{number}")
                found += 1
            except Unavailable:
                accepted = None
            again = await append(log, "user:1", "global", key=f"k{number}")
            assert again.duplicate or accepted is None
            assert accepted is None or accepted.offsets == again.offsets
            postings = await witness.read({"user:1": ((1, FOREVER),), "global": ((1, FOREVER),)}, 1_000)
            assert len(postings) == 2 * (number + 1)
        assert found > 0


async def test_units_that_shared_the_lost_commit_are_each_found(postgres_cluster: PostgresCluster):
    url = postgres_cluster.create_database()
    async with opened_log(url) as (witness, _), TcpProxy(url) as proxy, opened_log(proxy.url) as (log, _):
        await append(log, "user:1")
        proxy.drop_replies(after=b"COMMIT")
        results = await asyncio.gather(*(append(log, "user:1") for _ in range(40)), return_exceptions=True)
        accepted = [result for result in results if not isinstance(result, BaseException)]
        assert all(isinstance(result, Unavailable) for result in results if result not in accepted)
        stored = await witness.read({"user:1": ((1, FOREVER),)}, 1_000)
        offsets = {posting.notification_id: posting.offset for posting in stored}
        assert [posting.offset for posting in stored] == list(range(1, len(stored) + 1))
        for result in accepted:
            assert offsets[result.notification.id] == result.offsets["user:1"]


async def test_a_database_that_is_away_is_unavailable_and_all_is_whole_afterwards(
    postgres_cluster: PostgresCluster,
):
    url = postgres_cluster.create_database()
    async with TcpProxy(url) as proxy, opened_log(proxy.url) as (log, _):
        await append(log, "user:1", key="before")
        await asyncio.to_thread(postgres_cluster.stop, "immediate")
        results = await asyncio.gather(
            *(append(log, "user:1", key=f"k{n}") for n in range(20)), return_exceptions=True
        )
        assert all(isinstance(result, Unavailable) for result in results)
        await asyncio.to_thread(postgres_cluster.start)
        for number in range(20):
            assert not (await append(log, "user:1", key=f"k{number}")).duplicate
        assert (await append(log, "user:1", key="before")).duplicate
        assert (await log.heads(["user:1"]))["user:1"].head == 21
