import asyncio
import os
import signal
import time

import pytest
from sqlalchemy import Connection, text

from core.domain.errors import Unavailable
from core.store.database import Database, open_database
from tests.support.postgres import PostgresCluster
from tests.support.store import administer


def one(connection: Connection) -> int:
    return connection.execute(text("SELECT 1")).scalar_one()


async def work_on_every_connection(database: Database) -> list[int]:
    return await asyncio.gather(database.write(one), *(database.read(one) for _ in range(8)))


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restart_of_postgresql_between_two_transactions_is_not_noticed(
    postgres_cluster: PostgresCluster, mode: str
) -> None:
    database = open_database(postgres_cluster.create_database())
    try:
        await work_on_every_connection(database)
        await asyncio.to_thread(postgres_cluster.stop, mode)
        await asyncio.to_thread(postgres_cluster.start)
        assert await work_on_every_connection(database) == [1] * 9
    finally:
        await database.close()


async def test_a_connection_that_died_unseen_while_it_idled_is_replaced(
    postgres_cluster: PostgresCluster,
) -> None:
    url = postgres_cluster.create_database()
    database, other = open_database(url), open_database(url)
    others = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()"
    )
    try:
        await work_on_every_connection(database)
        await other.read(lambda connection: connection.execute(others).all())
        time.sleep(1.1)  # noqa: ASYNC251 - the loop must not see the sockets close, and they must idle
        assert await work_on_every_connection(database) == [1] * 9
    finally:
        await other.close()
        await database.close()


async def test_connections_to_a_server_that_only_reads_are_given_up(
    postgres_cluster: PostgresCluster,
) -> None:
    """As after a failover, when the old primary is a standby."""
    url = postgres_cluster.create_database()
    name = url.rpartition("/")[2]
    database = open_database(url)
    try:
        await administer(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await asyncio.gather(*(database.read(one) for _ in range(8)))
        await administer(url, f"ALTER DATABASE {name} RESET default_transaction_read_only")
        with pytest.raises(Unavailable):
            await database.write(made)
        await database.write(made)
    finally:
        await database.close()


async def test_a_begin_that_was_not_answered_in_time_is_no_part_of_the_next_transaction(
    postgres_cluster: PostgresCluster,
) -> None:
    """A connection that takes itself to be in a transaction would make of COMMIT the end of a savepoint."""
    url = postgres_cluster.create_database()
    database, other = open_database(url, statement_timeout_s=0.5), open_database(url)
    try:
        backend = await database.write(lambda connection: connection.scalar(text("SELECT pg_backend_pid()")))
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable):
                await database.write(one)
        finally:
            os.kill(backend, signal.SIGCONT)
        await database.write(made)
        assert await other.read(lambda connection: connection.scalar(text("SELECT count(*) FROM made"))) == 0
    finally:
        await other.close()
        await database.close()


def made(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE made (id integer)"))
