import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from core.store import tables
from core.store.database import Database
from core.store.log import SqlLog
from tests.integration.conftest import migrated
from tests.support.postgres import PostgresCluster
from tests.support.store import administer, opened, opened_log


async def empty(url: str) -> None:
    """Delete what is in a PostgreSQL database, but for the line that each log has."""
    filled = [table for table in tables.metadata.sorted_tables if table is not tables.log]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("; ".join(str(table.delete()) for table in reversed(filled)))
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def migrated_database(postgres_cluster: PostgresCluster) -> str:
    """The URL of a PostgreSQL database with the present data model, to be emptied for each test: quicker than a new one."""
    return asyncio.run(migrated(postgres_cluster.create_database()))


@pytest.fixture
def postgres_url(migrated_database: str) -> str:
    """A PostgreSQL database with the present data model, for what only it can do wrong."""
    asyncio.run(empty(migrated_database))
    return migrated_database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """A database with the present data model and nothing in it; each test runs on both kinds."""
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with opened(url) as database:
        yield database


@pytest.fixture
async def log(url: str) -> AsyncIterator[SqlLog]:
    """A log on that database, with connections of its own."""
    async with opened_log(url) as log:
        yield log


@pytest.fixture
async def quick_url(postgres_url: str) -> AsyncIterator[str]:
    """Commits that do not wait for the disk: more of them, and closer together."""
    name = postgres_url.rpartition("/")[2]
    await administer(postgres_url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    yield postgres_url
    await administer(postgres_url, f"ALTER DATABASE {name} RESET synchronous_commit")


@pytest.fixture
async def two_logs(quick_url: str) -> AsyncIterator[tuple[SqlLog, SqlLog]]:
    """The logs of two servers."""
    async with opened_log(quick_url) as one, opened_log(quick_url) as other:
        yield one, other


@pytest.fixture
def no_deadlocks(postgres_cluster: PostgresCluster) -> Iterator[None]:
    """Fails the test when the server broke up a circle meanwhile: it takes a second to notice one."""
    before = len(postgres_cluster.lines)
    yield
    assert not [line for line in postgres_cluster.lines[before:] if "deadlock detected" in line]
