"""A turnstile for many that come at once: so many a turn of the loop, in the order they came."""

import asyncio
from collections import deque


class Turnstile:
    """Thousands of connections that close together would else be cleared away in one turn, and hold it for a second."""

    def __init__(self, a_turn: int) -> None:
        self._a_turn = a_turn
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._passed = 0

    async def pass_through(self) -> None:
        """Return at once, or in a later turn if this one has let enough through."""
        if self._passed == 0:
            asyncio.get_running_loop().call_soon(self._next_turn)
        if self._passed < self._a_turn:
            self._passed += 1
            return
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def _next_turn(self) -> None:
        self._passed = 0
        while self._waiting and self._passed < self._a_turn:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                self._passed += 1
        if self._passed:
            asyncio.get_running_loop().call_soon(self._next_turn)
