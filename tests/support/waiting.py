"""Waiting for what has no event."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

_PAUSE_S = 0.02


async def eventually(condition: Callable[[], object], deadline_s: float = 20) -> None:
    """Return once `condition()` holds, of which no event tells.

    Between two looks everybody has their turn: who never rests leaves hardly any to the threads of a database.
    """
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.001)


def ask_until(ask: Callable[[], Answer], holds: Callable[[Answer], object], deadline_s: float = 20) -> Answer:
    """The first answer of a server for which `holds`, where no event tells that it will.

    Who asks without a pause takes the processor from what is waited for.
    """
    deadline = time.monotonic() + deadline_s
    while not holds(answer := ask()):
        assert time.monotonic() < deadline, f"still {answer}"
        time.sleep(_PAUSE_S)
    return answer
