"""Two server processes on one PostgreSQL: what is published on one is shown on the other."""

import asyncio
from pathlib import Path

import pytest

from clients.python import NotificationClient
from tests.support.postgres import PostgresCluster
from tests.support.redis_server import RedisServer
from tests.support.stage import Recorder, demo_server, logged_in, until


@pytest.mark.parametrize("fast_path", ["none", "redis"])
async def test_a_notification_published_on_one_server_is_shown_on_the_other(
    postgres_cluster: PostgresCluster,
    postgres_demo: str,
    redis_server: RedisServer,
    tmp_path: Path,
    fast_path: str,
):
    url = postgres_cluster.create_database(postgres_demo)
    redis_url = redis_server.url if fast_path == "redis" else None
    servers = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        servers.append(demo_server(url, tmp_path / name, redis_url=redis_url))
    with servers[0] as here, servers[1] as there:
        async with logged_in(here.url, "admin") as admin, logged_in(there.url, "zhangsan") as zhangsan:
            heard, summaries = Recorder(), Recorder()
            client = NotificationClient(
                there.url,
                zhangsan.token,
                on_notification=lambda notification: heard.append(notification["title"]),
                on_summary=summaries.append,
            )
            running = asyncio.create_task(client.run())
            await until(lambda: summaries)
            for number in range(20):
                await admin.publish("user:1", title=str(number))
            await until(lambda: len(heard) >= 20)
            assert heard == [str(number) for number in range(20)]
            status, _ = await zhangsan.call("GET", "me")
            assert status == 200
            client.close()
            await running
