import asyncio
import shutil
from pathlib import Path

import pytest

from core.store.migrations import migrate
from tests.support.store import opened


async def migrated(url: str) -> str:
    async with opened(url) as database:
        await migrate(database)
    return url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the present data model, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "log.db"
    asyncio.run(migrated(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """An SQLite database with the present data model."""
    return f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'log.db')}"
