from collections.abc import AsyncIterator

import pytest

from tests.support.hub import Stage, hub_stage


@pytest.fixture
async def stage(sqlite_url: str) -> AsyncIterator[Stage]:
    async with hub_stage(sqlite_url) as stage:
        yield stage
