"""Waiting for what has no event."""

import asyncio
from collections.abc import Callable


async def eventually(condition: Callable[[], object], deadline_s: float = 20) -> None:
    """Return once `condition()` holds, of which no event tells.

    Between two looks everybody has their turn: who never rests leaves hardly any to the threads of a database.
    """
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.001)
