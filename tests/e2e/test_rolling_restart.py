"""Two servers, restarted in turn again and again under load: nobody who publishes or listens has to notice."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from clients.python import Publisher
from tests.support.listeners import check_shown, javascript_listener, python_listeners
from tests.support.postgres import PostgresCluster
from tests.support.redis_server import RedisServer
from tests.support.stage import Recorder, demo_server, logged_in, until

ROUNDS = 2
PUBLISHERS_EACH = 3
MEANWHILE = 30
"""Publishes between two restarts, at least."""


async def test_rolling_restarts_lose_nothing_double_nothing_and_fail_no_publisher(
    postgres_cluster: PostgresCluster, postgres_demo: str, redis_server: RedisServer, tmp_path: Path
):
    url = postgres_cluster.create_database(postgres_demo)
    servers = []
    async with AsyncExitStack() as stack:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            servers.append(demo_server(url, tmp_path / name, redis_url=redis_server.url))
            await asyncio.to_thread(servers[-1].start)
            stack.push_async_callback(asyncio.to_thread, servers[-1].stop)
        admin = await stack.enter_async_context(logged_in(servers[0].url, "admin"))
        zhangsan = await stack.enter_async_context(logged_in(servers[1].url, "zhangsan"))
        listeners: list[Any] = []
        for server in servers:
            listeners += await stack.enter_async_context(
                python_listeners(server.url, zhangsan.token, ["websocket", "websocket", "polling"])
            )
            listeners.append(
                await stack.enter_async_context(javascript_listener(server.url, zhangsan.token, tmp_path, {}))
            )

        accepted = Recorder()
        over = asyncio.Event()

        async def publish(server_url: str, name: str) -> None:
            async with Publisher(server_url, token=admin.token) as publisher:
                number = 0
                while not over.is_set():
                    key = f"{name}-{number}"
                    result = await publisher.publish(to=["user:1", "global"], title=key, idempotency_key=key)
                    accepted.append(result.id)
                    number += 1

        async with asyncio.TaskGroup() as publishing:
            for server in servers:
                for number in range(PUBLISHERS_EACH):
                    publishing.create_task(publish(server.url, f"{server.port}-{number}"))
            try:
                for server in servers * ROUNDS:
                    before = len(accepted)
                    await until(lambda before=before: len(accepted) >= before + MEANWHILE)
                    assert await asyncio.to_thread(server.stop) == 0
                    await asyncio.to_thread(server.start)
            finally:
                over.set()
        accepted.append((await admin.publish("user:1", title="the last one"))["id"])
        for listener in listeners:
            await listener.until_shown("the last one")
            check_shown(listener.shown, accepted)
