"""Acceptance: how long a request waits for its commit."""

import asyncio
from asyncio import Future
from collections.abc import Iterable

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
        raise _unknown() from error


async def know(begun: Iterable[Future[Committed]]) -> None:
    """Wait until it is known what came of each, together as long as for one."""
    if waiting := tuple(begun):
        await asyncio.wait(waiting, timeout=ACCEPT_DEADLINE_S)


def known(begun: Future[Committed]) -> Committed:
    """What came of it until now. Raises as `accept` does."""
    if not begun.done():
        raise _unknown()
    return begun.result()


def _unknown() -> Unavailable:
    return Unavailable("It is not known yet whether it was stored; try again.")
