"""The pulse of the event loop: how late it is, and the watchdog that ends a process whose loop is dead."""

import asyncio
import faulthandler
import logging
import os
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NoReturn

BEAT_S = 0.25
MAX_LAG_S = 2.0
DEAD_S = 10
EXIT_CODE = 70
"""EX_SOFTWARE: whatever supervises the process starts another."""
_MEMORY_S = 10.0
_LAST_WORDS_S = 0.5

_logger = logging.getLogger(__name__)


class Pulse:
    """Beats in the loop; each beat that comes late is remembered for 10 s."""

    def __init__(self) -> None:
        self.beats = 0
        self._late: deque[tuple[float, float]] = deque(maxlen=round(_MEMORY_S / BEAT_S))

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            due = time.monotonic() + BEAT_S
            await asyncio.sleep(BEAT_S)
            now = time.monotonic()
            self.beats += 1
            self._late.append((now, now - due))

    @property
    def lag_s(self) -> float:
        """The longest that something had to wait for the loop in the last 10 s, in seconds."""
        since = time.monotonic() - _MEMORY_S
        return max((late for at, late in self._late if at >= since), default=0.0)

    @property
    def is_stuck(self) -> bool:
        return self.lag_s > MAX_LAG_S


class Watchdog:
    """Ends the process when the loop has not beaten for 10 s: one that is frozen holds its clients, and serves none.

    It counts seconds by its own ticks, so that a process that was stopped and goes on is not ended for its sleep.
    """

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        seen, ticks = self._pulse.beats, 0
        while not self._stop.wait(1):
            ticks = ticks + 1 if self._pulse.beats == seen else 0
            seen = self._pulse.beats
            if ticks >= DEAD_S:
                end_process(EXIT_CODE, _say_where)


def _say_where() -> None:
    # By way of a file: writing to what nobody reads, this would hold all threads, also the one that ends the process.
    with tempfile.TemporaryFile("w+", errors="replace") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        sys.stderr.write(file.read())
    _logger.critical("❌ [Watchdog] 事件循环已停止，进程退出")


def end_process(code: int, last_words: Callable[[], None]) -> NoReturn:
    """End at once, whatever hangs. Also when the log does: nobody waits for the last words longer than a moment."""
    saying = threading.Thread(target=last_words, name="last words", daemon=True)
    saying.start()
    saying.join(_LAST_WORDS_S)
    os._exit(code)
