"""A part fails, the rest goes on: one of two servers, Redis, PostgreSQL."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import PostgresCluster
from tests.support.processes import ServerProcess, free_port
from tests.support.redis_server import RedisServer
from tests.support.stage import demo_server, logged_in, until_ready_as
from tests.support.store import administer
from tests.support.wire import live_wire, opened_wire

SWEPT_WITHIN_S = 3


@pytest.fixture
def url(postgres_cluster: PostgresCluster, postgres_demo: str) -> str:
    return postgres_cluster.create_database(postgres_demo)


@contextmanager
def two_servers(
    url: str, folder: Path, redis_url: str | None = None
) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    for name in ("a", "b"):
        (folder / name).mkdir()
    with (
        demo_server(url, folder / "a", redis_url=redis_url) as a,
        demo_server(url, folder / "b", redis_url=redis_url) as b,
    ):
        yield a, b


async def test_what_a_server_accepted_right_before_it_died_is_shown_by_the_other(url: str, tmp_path: Path):
    with two_servers(url, tmp_path) as (a, b):
        async with (
            logged_in(a.url, "admin") as admin,
            logged_in(b.url, "zhangsan") as zhangsan,
            live_wire(b.url, zhangsan.token) as wire,
        ):
            postings = [(await admin.publish("user:1", "global"))["postings"] for _ in range(20)]
            await asyncio.to_thread(a.kill)
            await wire.until(lambda: len(wire.of("notification")) == 40, within_s=SWEPT_WITHIN_S)
            for room in ("user:1", "global"):
                found = [n["offset"] for n in wire.of("notification") if n["room"] == room]
                assert found == [posting[room] for posting in postings] == list(range(1, 21))


async def test_both_servers_write_one_order_and_know_each_others_keys_and_logouts(url: str, tmp_path: Path):
    with two_servers(url, tmp_path) as (a, b):
        async with (
            logged_in(a.url, "admin") as on_a,
            logged_in(b.url, "admin") as on_b,
            logged_in(a.url, "zhangsan") as zhangsan,
            live_wire(a.url, zhangsan.token) as at_a,
            live_wire(b.url, zhangsan.token) as at_b,
        ):
            first = await on_a.publish("user:1", title="once", key="k1")
            again = await on_b.publish("user:1", title="once", key="k1")
            assert again["id"] == first["id"]
            await asyncio.gather(
                *(caller.publish("user:1", title=f"{n}") for n in range(100) for caller in (on_a, on_b))
            )
            for wire in (at_a, at_b):
                await wire.until(lambda wire=wire: len(wire.of("notification")) >= 201, within_s=10)
                assert [n["offset"] for n in wire.of("notification")] == list(range(1, 202))
            assert [n["id"] for n in at_a.of("notification")] == [n["id"] for n in at_b.of("notification")]
            await zhangsan.call("POST", "auth/logout")
            await at_a.until(lambda: at_a.closed)
        async with asyncio.timeout(SWEPT_WITHIN_S):
            while (refused := await refusal(b, zhangsan.token)) is None:
                """What b remembers of a token is a second old at most."""
        assert refused["data"]["code"] == "token_revoked"


async def refusal(server: ServerProcess, token: str) -> dict[str, Any] | None:
    """How the server refuses the token, None when it lets it in."""
    async with opened_wire(server.url) as wire:
        await wire.connect({"token": token})
        await wire.until(lambda: wire.packets)
        return (wire.of("connect_error") or [None])[0]


async def test_redis_that_goes_away_and_comes_back_costs_nothing(
    url: str, redis_server: RedisServer, tmp_path: Path
):
    with two_servers(url, tmp_path, redis_server.url) as (a, b):
        async with (
            logged_in(a.url, "admin") as admin,
            logged_in(b.url, "zhangsan") as zhangsan,
            live_wire(a.url, zhangsan.token) as here,
            live_wire(b.url, zhangsan.token) as there,
        ):
            for number, change in enumerate((redis_server.kill, redis_server.start, redis_server.restart), 1):
                await asyncio.to_thread(change)
                await admin.publish("user:1", title=str(number))
                for wire in (here, there):
                    heard = await wire.wait("notification", number)
                    assert [n["title"] for n in heard] == [str(n) for n in range(1, number + 1)]
            async with live_wire(b.url, zhangsan.token) as late:
                await admin.publish("global")
                await late.wait("notification")
        await asyncio.to_thread(redis_server.kill)
        for server in (a, b):
            assert await asyncio.to_thread(server.stop) == 0
        await asyncio.to_thread(redis_server.start)


async def test_a_server_starts_and_serves_while_redis_is_away(url: str, tmp_path: Path):
    with demo_server(url, tmp_path, redis_url=f"redis://127.0.0.1:{free_port()}/0") as server:
        async with (
            logged_in(server.url, "admin") as admin,
            logged_in(server.url, "zhangsan") as zhangsan,
            live_wire(server.url, zhangsan.token) as wire,
        ):
            await admin.publish("user:1")
            await wire.wait("notification")


async def test_while_postgresql_is_away_connections_stay_and_afterwards_all_is_whole(
    url: str, postgres_cluster: PostgresCluster, tmp_path: Path
):
    with demo_server(url, tmp_path) as server:
        async with (
            logged_in(server.url, "admin") as admin,
            logged_in(server.url, "zhangsan") as zhangsan,
            live_wire(server.url, zhangsan.token) as wire,
        ):
            await admin.publish("user:1", title="before")
            await asyncio.to_thread(postgres_cluster.stop, "immediate")
            try:
                body = {"to": ["user:1"], "title": "while it was away"}
                status, answer = await admin.call("POST", "notifications", body)
                assert (status, answer["error"]["code"]) == (503, "storage_unavailable")
                assert (await wire.call("ping", {"timestamp": 1}))["ok"] is True
                answer = await wire.call("read", {"all": True})
                assert (answer["ok"], answer["error"]["code"]) == (False, "storage_unavailable")
                async with opened_wire(server.url) as stranger:
                    await stranger.connect({"token": zhangsan.token})
                    await stranger.until(lambda: stranger.closed)
                    assert stranger.of("connect_error") == [], "a refusal would keep it away for good"
            finally:
                await asyncio.to_thread(postgres_cluster.start)
            async with asyncio.timeout(20):
                while (await admin.call("POST", "notifications", body, headers={"Idempotency-Key": "k"}))[
                    0
                ] == 503:
                    pass
            await wire.wait("notification", 2)
            titles = [n["title"] for n in wire.of("notification")]
            assert titles == ["before", "while it was away"]
            assert [n["offset"] for n in wire.of("notification")] == [1, 2]
            assert not wire.closed


async def test_a_database_that_only_reads_refuses_and_is_said_to(url: str, tmp_path: Path):
    """As after a failover, until the address leads to the new primary."""
    name = url.rpartition("/")[2]
    with demo_server(url, tmp_path) as server:
        async with (
            logged_in(server.url, "admin") as admin,
            logged_in(server.url, "zhangsan") as zhangsan,
            live_wire(server.url, zhangsan.token) as wire,
        ):
            await admin.publish("user:1", title="before")
            await administer(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            ended = "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE datname = $1"
            await administer(url, ended, name)
            body = {"to": ["user:1"], "title": "refused"}
            status, answer = await admin.call("POST", "notifications", body)
            assert (status, answer["error"]["code"]) == (503, "storage_unavailable")
            assert await until_ready_as(server, "degraded", database="read_only") == 200
            assert (await zhangsan.call("GET", "inbox"))[1]["items"][0]["title"] == "before"

            await administer(url, f"ALTER DATABASE {name} RESET default_transaction_read_only")
            async with asyncio.timeout(5):
                while (await admin.call("POST", "notifications", body | {"title": "after"}))[0] == 503:
                    """A connection of before says so once."""
            assert await until_ready_as(server, "ok") == 200
            assert [n["title"] for n in await wire.wait("notification", 2)] == ["before", "after"]
