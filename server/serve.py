"""Serving: one process on one port, until it is told to stop."""

import asyncio
import gc
import logging
import signal
import sys
import time

from server.app import started_server
from server.port import Port
from server.pulse import Watchdog
from server.runner import Runner
from server.settings import Settings
from server.stopping import REQUESTS_S, end_hard_later, send_away

_GC_THRESHOLDS = (2_000, 10, 50)
"""Whole collections five times as rare as usual: with 8,000 connections, each holds the loop for 0.8 s."""

_SWITCH_S = 0.0005
"""How long a thread waits for the interpreter until it demands it: a loop that is never idle takes turns as long.

One that lets go for a moment in each turn, as ours does, is not asked earlier, and SQLite asks for the interpreter
once a row: at the usual 5 ms, a publish took 0.8 s beside requests that kept the loop busy, and now takes 17 ms. At
0.1 ms it took 9, and every publish a quarter more processor time; this costs some tenth.
"""

_logger = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises `OSError` when the port cannot be had."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sys.setswitchinterval(_SWITCH_S)
    async with started_server(settings) as server:
        watchdog = Watchdog(server.pulse)
        runner = Runner(server.application, shutdown_timeout=REQUESTS_S)
        await runner.setup()
        watchdog.start()
        try:
            port = Port(runner, settings.host, settings.port)
            await port.open()
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_GC_THRESHOLDS)
            _logger.info(
                "🚀 [Startup] 服务已启动: http://%s:%d",
                _shown_host(settings.host),
                port.number,
                extra={"database": settings.database_shown},
            )
            await stop.wait()
            _logger.info("🛑 [Shutdown] 正在停止")
            end_hard_later()
            began = time.monotonic()
            # The port stays open until the sessions have gone: meanwhile a balancer sees /readyz say 503.
            await send_away(server.gateway)
            await port.close()
        finally:
            await runner.cleanup()
            watchdog.stop()
    _logger.info("🛑 [Shutdown] 已停止", extra={"took_s": round(time.monotonic() - began, 3)})


def _shown_host(host: str) -> str:
    return "localhost" if host in ("127.0.0.1", "0.0.0.0", "::") else host  # noqa: S104 - only shown
