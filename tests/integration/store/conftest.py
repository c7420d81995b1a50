from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from core.store.database import open_database
from core.store.migrations import migrate
from tests.support.store import Store

OpenStore = Callable[..., Store]


async def migrated(url: str) -> str:
    database = open_database(url)
    await migrate(database)
    await database.close()
    return url


@pytest.fixture
async def store_url(database_url) -> str:
    """A database of each kind with the tables in it."""
    return await migrated(database_url)


@pytest.fixture
async def postgres_url(postgres_cluster) -> str:
    """A PostgreSQL database with the tables in it."""
    return await migrated(postgres_cluster.create_database())


@pytest.fixture
async def sqlite_url(tmp_path) -> str:
    """A SQLite database with the tables in it."""
    return await migrated(f"sqlite:///{tmp_path / 'log.db'}")


@pytest.fixture
async def open_store() -> AsyncIterator[OpenStore]:
    """Opens stores by URL, and closes them."""
    async with AsyncExitStack() as stack:

        def open_(url: str) -> Store:
            store = Store(url)
            stack.push_async_callback(store.close)
            return store

        yield open_


@pytest.fixture
def store(store_url, open_store) -> Store:
    return open_store(store_url)
