"""The pulse of the event loop: how late it is, and the watchdog that ends a process whose loop is dead."""

import asyncio
import faulthandler
import logging
import os
import sys
import threading
import time
from collections import deque

BEAT_S = 0.25
MAX_LAG_S = 2.0
DEAD_S = 10
EXIT_CODE = 70
"""EX_SOFTWARE: whatever supervises the process starts another."""
_MEMORY_S = 10.0

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
                _logger.critical("❌ [Watchdog] 事件循环已停止 %d 秒，进程退出", ticks)
                faulthandler.dump_traceback(sys.stderr, all_threads=True)
                sys.stderr.flush()
                os._exit(EXIT_CODE)
