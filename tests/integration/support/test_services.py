import asyncpg
import pytest
import redis

from tests.support.proxy import TcpProxy


async def run(url: str, *statements: str):
    connection = await asyncpg.connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def test_each_database_is_empty_and_as_durable_as_in_production(postgres_cluster):
    first, second = postgres_cluster.create_database(), postgres_cluster.create_database()

    await run(first, "CREATE TABLE only_here ()", "SELECT 1")

    assert await run(second, "SELECT to_regclass('only_here')") is None
    for setting, value in {"fsync": "on", "synchronous_commit": "on", "max_connections": "200"}.items():
        assert await run(second, f"SHOW {setting}") == value


async def test_what_was_committed_survives_a_crash_of_the_cluster(postgres_cluster):
    url = postgres_cluster.create_database()
    await run(url, "CREATE TABLE kept AS SELECT 7 AS n", "SELECT 1")
    pid = postgres_cluster.pid

    postgres_cluster.stop("immediate")
    postgres_cluster.start()

    assert postgres_cluster.pid != pid
    assert await run(url, "SELECT n FROM kept") == 7


def test_a_cluster_left_stopped_is_started_for_the_next_database(postgres_cluster):
    postgres_cluster.stop()

    postgres_cluster.create_database()

    assert postgres_cluster.running


async def test_a_commit_whose_reply_is_lost_is_in_the_database(postgres_cluster):
    url = postgres_cluster.create_database()
    await run(url, "CREATE TABLE paid (n int)", "SELECT 1")
    async with TcpProxy(url) as proxy:
        connection = await asyncpg.connect(proxy.url)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("INSERT INTO paid VALUES (1)")
        proxy.drop_replies(after=b"COMMIT")

        with pytest.raises((ConnectionError, asyncpg.PostgresConnectionError)):
            await transaction.commit()

        assert await run(proxy.url, "SELECT count(*) FROM paid") == 1
        connection.terminate()


def test_redis_is_empty_and_forgets_over_a_restart_on_the_same_port(redis_server):
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.dbsize() == 0
        client.set("a", 1)
        redis_server.restart()
        assert client.dbsize() == 0


def test_redis_killed_is_gone_and_comes_back(redis_server):
    with redis.Redis.from_url(redis_server.url) as client:
        client.ping()
        redis_server.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        redis_server.start()
        assert client.ping()


def test_a_database_url_names_a_database_of_its_kind(database_url, request, tmp_path):
    if request.node.callspec.params["database_url"] == "sqlite":
        assert database_url == f"sqlite:///{tmp_path}/log.db"
    else:
        assert database_url.startswith("postgresql://postgres@127.0.0.1:")
