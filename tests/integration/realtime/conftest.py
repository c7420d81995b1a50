from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.hub import Stage, hub_stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with hub_stage(tmp_path / "log.db") as stage:
        yield stage
