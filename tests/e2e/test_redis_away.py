"""Real servers on one PostgreSQL, while Redis is gone, hangs, or does not let them listen."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.support.postgres import PostgresCluster
from tests.support.processes import ServerProcess
from tests.support.redis_server import RedisServer
from tests.support.stage import PASSWORD, Caller, demo_server, logged_in, readiness, until_ready_as
from tests.support.wire import Wire, live_wire


@pytest.fixture
async def pair(
    postgres_cluster: PostgresCluster, postgres_demo: str, redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[list[ServerProcess]]:
    url = postgres_cluster.create_database(postgres_demo)
    servers = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        servers.append(demo_server(url, tmp_path / name, redis_url=redis_server.url))
    await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
    yield servers
    await asyncio.gather(*(asyncio.to_thread(server.stop) for server in servers))


@asynccontextmanager
async def admin_and_listener(pair: list[ServerProcess]) -> AsyncIterator[tuple[Caller, Wire]]:
    """Somebody who publishes on the first server, and a person who listens on the second."""
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(logged_in(pair[0].url, "admin"))
        zhangsan = await stack.enter_async_context(logged_in(pair[1].url, "zhangsan"))
        wire = await stack.enter_async_context(live_wire(pair[1].url, zhangsan.token))
        yield admin, wire


async def until_counted(admin: Caller, connections: int | None, servers: int | None) -> None:
    """Publish until the answer has these numbers: what servers know of each other has no event to wait for."""
    async with asyncio.timeout(30):
        while True:
            answer = await admin.publish("user:1", title="counted")
            if (answer["connections"], answer["servers"]) == (connections, servers):
                return
            await asyncio.sleep(0.05)


async def titles(wire: Wire, number: int) -> list[str]:
    return [notification["title"] for notification in await wire.wait("notification", number)]


@pytest.mark.parametrize("outage", ["killed", "hung"])
async def test_delivery_goes_on_without_redis_and_nobody_is_unready(
    pair: list[ServerProcess], redis_server: RedisServer, outage: str
):
    here, there = pair
    async with admin_and_listener(pair) as (admin, wire):
        await admin.publish("user:1", title="with Redis")
        await titles(wire, 1)
        await (asyncio.to_thread(redis_server.kill) if outage == "killed" else freeze(redis_server))
        for number in range(5):
            await admin.publish("user:1", title=f"without {number}")
        assert await titles(wire, 6) == ["with Redis", *(f"without {number}" for number in range(5))]
        for server in pair:
            assert await until_ready_as(server, "degraded", redis="unreachable") == 200
        await until_counted(admin, None, None)
        async with logged_in(there.url, "lisi") as lisi:
            assert (await lisi.call("GET", "summary"))[0] == 200
        await (asyncio.to_thread(redis_server.start) if outage == "killed" else thaw(redis_server))
        for server in pair:
            assert await until_ready_as(server, "ok", redis="ok") == 200
        await until_counted(admin, 1, 1)
        await admin.publish("user:1", title="with Redis again")
        await wire.until(lambda: wire.of("notification")[-1]["title"] == "with Redis again")
        assert (await readiness(here))[0] == 200


async def test_what_is_settled_without_redis_leaves_the_list_on_the_other_server_within_two_seconds(
    pair: list[ServerProcess], redis_server: RedisServer
):
    async with admin_and_listener(pair) as (admin, wire), logged_in(pair[1].url, "zhangsan") as zhangsan:
        await admin.publish("project:1", title="waiting", thread="task:17")
        await titles(wire, 1)
        await asyncio.to_thread(redis_server.kill)
        await admin.publish("project:1", title="done", thread="task:17", settles=True)
        await wire.until(lambda: len(wire.of("notification")) == 2, "settled", within_s=2)
        _, inbox = await zhangsan.call("GET", "inbox")
    assert inbox["unread"] == 0
    (item,) = inbox["items"]
    assert (item["title"], item["thread"]["count"], item["thread"]["open"]) == ("done", 2, False)
    assert item["thread"]["settled_by"] == {"id": "4", "name": admin.user["name"]}


async def freeze(redis: RedisServer) -> None:
    redis.freeze()


async def thaw(redis: RedisServer) -> None:
    redis.thaw()


async def test_a_server_that_is_deaf_while_redis_answers_is_not_ready(
    sqlite_demo: Path, redis_server: RedisServer, tmp_path: Path
):
    """It may publish and not subscribe: no error reaches it on the way that publishes."""
    redis_server.ask("ACL", "SETUSER", "deaf", "on", ">secret", "allchannels", "-@all", "+publish", "+ping")
    url = redis_server.url.replace("://", "://deaf:secret@")
    database = tmp_path / "log.db"
    await asyncio.to_thread(shutil.copy, sqlite_demo, database)
    server = demo_server(f"sqlite:///{database}", tmp_path, redis_url=url)
    await asyncio.to_thread(server.start)
    try:
        assert await until_ready_as(server, "unavailable", redis="deaf") == 503
        redis_server.ask("ACL", "SETUSER", "deaf", "+subscribe")
        assert await until_ready_as(server, "ok", redis="ok") == 200
    finally:
        await asyncio.to_thread(server.stop)


async def test_two_tabs_on_two_servers_are_two_connections(pair: list[ServerProcess]):
    here, there = pair
    async with admin_and_listener(pair) as (admin, _), logged_in(here.url, "zhangsan") as zhangsan:
        async with live_wire(here.url, zhangsan.token):
            await until_counted(admin, 2, 2)
            await asyncio.to_thread(here.wait_for_log, "📤 发布消息到 notify:user:1, 接收者: 2")
            await asyncio.to_thread(there.kill)
            await until_counted(admin, 1, 1)
        await asyncio.to_thread(there.start)


async def test_redis_shows_who_listens_to_what(pair: list[ServerProcess], redis_server: RedisServer):
    async with admin_and_listener(pair):
        async with asyncio.timeout(20):
            while not redis_server.ask("PUBSUB", "NUMSUB", "notify:user:1").endswith(":1\r\n"):
                await asyncio.sleep(0)
        shown = redis_server.ask("PUBSUB", "CHANNELS", "notify:*").split("\r\n")
        assert {name for name in shown if name.startswith("notify:")} == {
            "notify:user:1",
            "notify:role:annotator",
            "notify:project:1",
            "notify:project:1:annotator",
            "notify:project:2",
            "notify:project:2:annotator",
            "notify:global",
        }


async def test_what_one_reviewer_has_done_leaves_the_others_to_do_without_redis(
    pair: list[ServerProcess], redis_server: RedisServer
):
    here, there = pair
    async with AsyncExitStack() as stack:
        admin, wangwu, zhangsan = [
            await stack.enter_async_context(logged_in(here.url, name))
            for name in ("admin", "wangwu", "zhangsan")
        ]
        person = {"username": "other", "password": PASSWORD, "projects": {"1": ["reviewer"]}}
        assert (await admin.call("POST", "users", person))[0] == 201
        other = await stack.enter_async_context(logged_in(there.url, "other"))
        wire = await stack.enter_async_context(live_wire(there.url, other.token))
        body = {"project": "1", "title": "第一张图", "assignee": "1"}
        task = (await wangwu.call("POST", "tasks", body))[1]["id"]
        for action in ("start", "submit"):
            assert (await zhangsan.call("POST", f"tasks/{task}/{action}", {}))[0] == 200
        (waiting,) = await wire.wait("notification", 1)
        counts = (await other.call("GET", "inbox/counts"))[1]
        assert (counts["todo"], counts["unread"]) == (1, 1)

        await asyncio.to_thread(redis_server.kill)
        assert (await wangwu.call("POST", f"tasks/{task}/approve", {}))[0] == 200
        (changed,) = await wire.wait("changed", 1)

        by = {"id": "3", "name": "王五"}
        assert (changed["kind"], changed["thread"], changed["by"]) == ("settle", f"task:{task}", by)
        assert changed["id"] == waiting["id"]
        counts = (await other.call("GET", "inbox/counts"))[1]
        assert (counts["todo"], counts["unread"]) == (0, 0)
        (item,) = (await other.call("GET", "inbox"))[1]["items"]
        assert item["thread"] == {"key": f"task:{task}", "count": 1, "open": False, "settled_by": by}
