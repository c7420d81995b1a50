"""A turnstile for many that come at once: so many a turn of the loop, in the order they came."""

import asyncio
from collections import deque
from collections.abc import Callable


class Turnstile:
    """Thousands of connections that end together would else be cleared away in one turn, and hold it for a second."""

    def __init__(self, a_turn: int) -> None:
        self._a_turn = a_turn
        self._waiting: deque[Callable[[], None]] = deque()
        self._passed = 0

    @property
    def is_open(self) -> bool:
        """Whether work would be done now."""
        return not self._waiting and self._passed < self._a_turn

    def enter(self, work: Callable[[], None]) -> None:
        """Do the work now, or in a later turn if this one has let enough through."""
        if self._passed == 0:
            asyncio.get_running_loop().call_soon(self._next_turn)
        if self.is_open:
            self._passed += 1
            work()
        else:
            self._waiting.append(work)

    async def pass_through(self) -> None:
        """Return at once, or in a later turn."""
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.enter(lambda: None if passed.done() else passed.set_result(None))
        await passed

    def _next_turn(self) -> None:
        self._passed = min(self._a_turn, len(self._waiting))
        if self._passed:
            asyncio.get_running_loop().call_soon(self._next_turn)
        for _ in range(self._passed):
            self._waiting.popleft()()
