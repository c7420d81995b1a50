"""Transactions as the store runs them."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text

from tests.support.store import opened, scalar


async def test_work_that_reads_and_then_writes_waits_for_its_turn_on_one_file(sqlite_url):
    """A transaction that begins as a reader fails at once when another writes: no waiting helps it."""

    def add_one(connection) -> None:
        count = connection.execute(text("SELECT count(*) FROM inbox")).scalar_one()
        connection.execute(text("INSERT INTO inbox VALUES (:user_id, 1)"), {"user_id": str(count)})

    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(opened(sqlite_url)) for _ in range(4)]
        await asyncio.gather(*(database.write(add_one) for database in databases for _ in range(25)))
        assert await scalar(databases[0], "SELECT count(*) FROM inbox") == 100


async def test_work_that_raises_leaves_nothing(database):
    def add_and_fail(connection) -> None:
        connection.execute(text("INSERT INTO inbox VALUES ('1', 1)"))
        raise KeyError("a fault of ours")

    with pytest.raises(KeyError):
        await database.write(add_and_fail)
    assert await scalar(database, "SELECT count(*) FROM inbox") == 0


async def test_postgresql_compiles_nothing_just_in_time(postgres_url):
    async with opened(postgres_url) as database:
        assert await scalar(database, "SHOW jit") == "off"
