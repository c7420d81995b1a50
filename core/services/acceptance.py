"""Acceptance: how long a request waits for its commit."""

import asyncio

from core.domain.errors import Unavailable
from core.ports.log import Committed, Log, Unit

ACCEPT_DEADLINE_S = 5.0
"""How long a request waits for its commit before it is told to try again."""


async def accept(log: Log, unit: Unit) -> Committed:
    """Commit the unit. Raises as `Log.commit` does, and `Unavailable` when it takes too long to know."""
    try:
        async with asyncio.timeout(ACCEPT_DEADLINE_S):
            return await log.commit(unit)
    except TimeoutError as error:
        raise Unavailable("It is not known yet whether it was stored; try again.") from error
