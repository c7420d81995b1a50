"""Transactions as the store runs them."""

import asyncio
import os
import sqlite3
import threading
import time
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from core.domain.errors import Unavailable
from core.domain.inbox import InboxFilter
from core.store import database as database_module
from core.store import inbox as inbox_module
from core.store import turn
from core.store.inbox import SqlInbox
from tests.support.plans import rows_scanned
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


async def test_who_writes_all_the_time_keeps_nobody_out(sqlite_url):
    """As when somebody adds a user beside a busy server. SQLite's own waiting missed its pauses for seconds."""
    commits = 0

    def take_long(connection) -> None:
        connection.execute(text("INSERT INTO inbox VALUES (:user_id, 1)"), {"user_id": str(commits)})
        time.sleep(0.05)

    async with opened(sqlite_url) as busy, opened(sqlite_url) as other:
        for _ in range(10):
            adding = asyncio.create_task(
                other.write(lambda connection: connection.execute(text("DELETE FROM inbox")))
            )
            before = commits
            while not adding.done():
                await busy.write(take_long)
                commits += 1
            await adding
            assert commits - before < 5


def test_whom_the_machine_held_up_past_the_deadline_still_tries(tmp_path, monkeypatch):
    """As a laptop that slept, or a virtual machine that was moved: the time went by, and nobody held the lock in it."""
    monkeypatch.setattr(turn, "BUSY_TIMEOUT_S", 0)
    holder, waiting = (
        sqlite3.connect(tmp_path / "log.db", isolation_level=None, timeout=0) for _ in range(2)
    )
    holder.execute("BEGIN IMMEDIATE")

    def attempt() -> None:
        try:
            waiting.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            if holder.in_transaction:
                holder.execute("ROLLBACK")
            raise

    turn.once_free(attempt)

    assert waiting.in_transaction
    holder.close()
    waiting.close()


async def test_whose_turn_does_not_come_in_time_is_told_so_and_may_try_again(sqlite_url, monkeypatch):
    monkeypatch.setattr(turn, "BUSY_TIMEOUT_S", 0)
    async with opened(sqlite_url) as database:
        await database.write(lambda connection: connection.execute(text("INSERT INTO inbox VALUES ('1', 1)")))
        other = turn.Turn(sqlite_url.removeprefix("sqlite:///"))
        with other, pytest.raises(Unavailable):
            await database.write(lambda connection: connection.execute(text("DELETE FROM inbox")))
        other.close()
        assert await scalar(database, "SELECT count(*) FROM inbox") == 1
        await database.write(lambda connection: connection.execute(text("DELETE FROM inbox")))
        assert await scalar(database, "SELECT count(*) FROM inbox") == 0


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


async def test_what_was_planned_for_an_empty_table_is_planned_anew(postgres_cluster, monkeypatch):
    """PostgreSQL keeps a plan until it counts the table again, and reads all of it for every question until then."""
    url = postgres_cluster.create_database()
    monkeypatch.setattr(database_module, "_TRUSTED_S", 0)

    def find(connection) -> None:
        connection.execute(
            text("SELECT id FROM thing WHERE id = ANY(:ids)"), {"ids": [str(number) for number in range(10)]}
        ).all()

    async with opened(url) as watching, opened(url) as database:
        await watching.write(
            lambda connection: connection.execute(
                text("CREATE TABLE thing (id text PRIMARY KEY, rest char(1000))")
            )
        )
        for _ in range(10):
            await database.read(find)
        await watching.write(
            lambda connection: connection.execute(
                text("INSERT INTO thing SELECT generate_series(1, 10000), ''")
            )
        )
        await database.read(find)
        assert await rows_scanned(watching, "thing") == 0


@pytest.mark.parametrize("what", ["page", "counts"])
async def test_lists_that_take_long_hold_up_nobody_else(database, url, monkeypatch, what):
    """As when many search a large room for what is not in it."""
    let_go = threading.Event()
    holding = None if url.startswith("sqlite") else await asyncpg.connect(url)

    def walk(connection, **_) -> None:
        if holding:
            connection.execute(text("SELECT pg_advisory_xact_lock_shared(1)"))
        elif not let_go.wait(20):
            raise TimeoutError

    monkeypatch.setattr(inbox_module, f"_{what}", walk)
    inbox = SqlInbox(database)
    ask = {"page": ("1", ["global"], InboxFilter(), None, 10), "counts": ("1", ["global"])}[what]
    if holding:
        await holding.execute("SELECT pg_advisory_lock(1)")
    walking = [asyncio.create_task(getattr(inbox, what)(*ask)) for _ in range(20)]
    try:
        await asyncio.sleep(0.1)  # so many have begun as may
        async with asyncio.timeout(4):
            assert await scalar(database, "SELECT count(*) FROM inbox") == 0
            await database.write(lambda connection: connection.execute(text("DELETE FROM inbox")))
    finally:
        let_go.set()
        if holding:
            await holding.close()
        await asyncio.gather(*walking)


async def test_what_root_makes_beside_a_file_belongs_to_whom_the_file_belongs(sqlite_url):
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    for made in path.parent.glob(f"{path.name}-*"):
        made.unlink()
    owner = os.geteuid() or 65534
    os.chown(path, owner, -1)

    async with opened(sqlite_url) as database:
        await database.write(lambda connection: connection.execute(text("DELETE FROM inbox")))
        made = {
            file.name.removeprefix(path.name): file.stat().st_uid
            for file in path.parent.glob(f"{path.name}-*")
        }

    assert made == dict.fromkeys(("-wal", "-shm", "-turn"), owner)
