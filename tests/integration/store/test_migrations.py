import asyncio

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from core.store.database import Database, open_database
from core.store.migrations import config, migrate
from tests.support.postgres import PostgresCluster


@pytest.fixture
async def database(database_url: str):
    opened = open_database(database_url)
    yield opened
    await opened.close()


async def test_every_migration_goes_up_down_and_up_again(database: Database):
    def climb(connection: Connection) -> None:
        settings = config(connection)
        revisions = list(ScriptDirectory.from_config(settings).walk_revisions())
        for revision in reversed(revisions):
            command.upgrade(settings, revision.revision)
            command.downgrade(settings, "-1")
            command.upgrade(settings, revision.revision)
        command.downgrade(settings, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]

    await database.write(climb)


async def test_the_migrations_make_the_data_model_and_nothing_else(database: Database):
    await migrate(database)
    await database.write(lambda connection: command.check(config(connection)))


async def test_four_servers_may_migrate_at_once(postgres_cluster: PostgresCluster):
    url = postgres_cluster.create_database()
    databases = [open_database(url) for _ in range(4)]
    await asyncio.gather(*(migrate(database) for database in databases))
    for database in databases:
        await database.close()
