import asyncio

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from core.store import tables
from core.store.migrations import (
    _ADVISORY_LOCK,
    DataModel,
    config,
    current_revision,
    data_model,
    known_revisions,
    migrate,
)
from server.app import migrate_database
from tests.support.stage import settings_for
from tests.support.store import opened, scalar


def revisions(connection) -> list[str]:
    script = ScriptDirectory.from_config(config(connection))
    return [revision.revision for revision in reversed(list(script.walk_revisions()))]


@pytest.fixture
async def database(database_url):
    """Migrated by the test's own call, on both kinds."""
    async with opened(database_url) as database:
        await migrate(database)
        yield database


def table_names(connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"}


async def test_each_migration_goes_up_down_and_up_again(database_url):
    async with opened(database_url) as database:
        for revision in await database.read(revisions):
            before = await database.read(table_names)
            await database.write(lambda c, to=revision: command.upgrade(config(c), to))
            after = await database.read(table_names)
            await database.write(lambda c: command.downgrade(config(c), "-1"))
            assert await database.read(table_names) == before
            await database.write(lambda c, to=revision: command.upgrade(config(c), to))
            assert await database.read(table_names) == after


@pytest.mark.parametrize(
    ("revision", "model"),
    [("3", DataModel.PRESENT), ("2", DataModel.OLDER), ("1", DataModel.OLDER), ("4", DataModel.NEWER),
     (None, DataModel.MISSING)],
)  # fmt: skip
def test_a_revision_is_older_when_it_is_known_and_newer_when_it_is_not(revision, model):
    assert data_model(revision, ["3", "2", "1"]) is model


async def test_a_migration_takes_longer_than_a_request_may(postgres_cluster, monkeypatch):
    monkeypatch.setattr("core.store.database.STATEMENT_TIMEOUT_S", 0.2)
    url = postgres_cluster.create_database()
    held = await asyncpg.connect(url)
    await held.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
    migrating = asyncio.create_task(migrate_database(settings_for(url)))
    try:
        async with asyncio.timeout(10):
            while not await held.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
        await asyncio.sleep(1)  # the longest that a statement could take, several times
        assert not migrating.done()
    finally:
        await held.close()
        await migrating


async def test_the_migrations_lead_to_the_data_model(database):
    assert await database.read(table_names) == set(tables.metadata.tables)
    assert await database.read(current_revision) == known_revisions()[0]
    await database.write(lambda connection: command.check(config(connection)))


async def test_keys_are_compared_by_their_bytes_on_postgresql(postgres_url):
    """In a database of some language every step into an index would cost several times as much. Names are no keys: whoever
    looks for them does not care for case, in any alphabet.
    """
    async with opened(postgres_url) as database:
        found = await database.read(lambda connection: connection.execute(text(_COLLATED_KEYS)).all())
    others = {f"{table}.{column}" for table, column, collation in found if collation != "C"}
    assert {("posting", "room", "C"), ("notification", "id", "C")} <= set(map(tuple, found))
    assert others == {"user.username", "alembic_version.version_num"}


_COLLATED_KEYS = """
    SELECT relname, attname, collname FROM pg_index
    JOIN pg_class ON pg_class.oid = indrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
    JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
    JOIN pg_collation ON pg_collation.oid = attcollation
    WHERE nspname = 'public'
"""


async def test_migrating_what_is_migrated_keeps_the_epoch(database):
    before = await scalar(database, "SELECT epoch FROM log")

    await migrate(database)

    assert await scalar(database, "SELECT epoch FROM log") == before


async def test_two_databases_never_have_the_same_epoch(database, tmp_path):
    async with opened(f"sqlite:///{tmp_path / 'other.db'}") as other:
        await migrate(other)
        assert await scalar(other, "SELECT epoch FROM log") != await scalar(database, "SELECT epoch FROM log")


async def test_four_servers_may_migrate_at_once(database_url):
    async def migrate_one() -> None:
        async with opened(database_url) as database:
            await migrate(database)

    await asyncio.gather(*(migrate_one() for _ in range(4)))

    async with opened(database_url) as database:
        assert await scalar(database, "SELECT count(*) FROM log") == 1
