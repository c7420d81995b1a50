"""`python -m server serve` with an eye on its loop: at SIGUSR1 it prints the longest turn since the last time.

In milliseconds of its own processor time, since a machine that has too much to do lets everything wait, and of the clock.
"""

import asyncio
import signal
import time

import uvloop

from server.logs import configure_logs
from server.serve import serve
from server.settings import read_settings

SAYS = "longest turn:"
_EVERY_S = 0.002


class Watch:
    def __init__(self) -> None:
        self._busy_s = self._clock_s = 0.0

    async def run(self) -> None:
        while True:
            busy, clock = time.thread_time(), time.monotonic()
            await asyncio.sleep(_EVERY_S)
            self._busy_s = max(self._busy_s, time.thread_time() - busy)
            self._clock_s = max(self._clock_s, time.monotonic() - clock - _EVERY_S)

    def say(self) -> None:
        print(f"{SAYS} {self._busy_s * 1e3:.1f} {self._clock_s * 1e3:.1f}", flush=True)
        self._busy_s = self._clock_s = 0.0


async def _main() -> None:
    settings = read_settings()
    configure_logs(form=settings.log_format, level=settings.log_level)
    watch = Watch()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, watch.say)
    watching = asyncio.create_task(watch.run())
    await serve(settings)
    watching.cancel()


if __name__ == "__main__":
    uvloop.run(_main())
