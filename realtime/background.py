"""Background tasks that are kept, named, and heard when they fail."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

_CANCEL_AGAIN_S = 1.0

_logger = logging.getLogger(__name__)


class Background:
    """Owns tasks until they end. asyncio itself forgets a task nobody holds, and swallows what it raised."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def repeat(self, work: Callable[[], Awaitable[None]], interval_s: float, name: str) -> None:
        """Run the work again and again, `interval_s` apart. A run that fails is logged, and the next one comes."""
        self.start(_repeat(work, interval_s, name), name)

    async def close(self) -> None:
        """Cancel what is left and wait for it, again and again: a library may have lost a cancellation, as
        `asyncio.wait_for` does before Python 3.12 when what it waits for ends at the same moment.
        """
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=_CANCEL_AGAIN_S)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("background task failed", extra={"task": task.get_name()}, exc_info=error)


async def _repeat(work: Callable[[], Awaitable[None]], interval_s: float, name: str) -> None:
    while True:
        await asyncio.sleep(interval_s)
        try:
            await work()
        except Exception:
            # The edge of a supervised loop: one failed turn must not end all the later ones.
            _logger.exception("background turn failed", extra={"task": name})
