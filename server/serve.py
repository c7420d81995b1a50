"""Serving: one process on one port, until it is told to stop."""

import asyncio
import gc
import logging
import signal
from contextlib import suppress

from aiohttp import web

from server.app import started_server
from server.pulse import Watchdog
from server.runner import Runner
from server.settings import Settings

BACKLOG = 4096
SHUTDOWN_TIMEOUT_S = 5.0

_logger = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises `OSError` when the port cannot be had."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with started_server(settings) as server:
        watchdog = Watchdog(server.pulse)
        runner = Runner(server.application, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        await runner.setup()
        watchdog.start()
        try:
            await web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG).start()
            gc.collect()
            gc.freeze()
            _logger.info("🚀 [Startup] 服务已启动: http://%s:%d", _shown_host(settings.host), settings.port)
            await stop.wait()
            _logger.info("🛑 [Shutdown] 正在停止")
            server.gateway.stop()
            with suppress(TimeoutError):
                async with asyncio.timeout(SHUTDOWN_TIMEOUT_S):
                    await server.gateway.wait_gone()
        finally:
            await runner.cleanup()
            watchdog.stop()


def _shown_host(host: str) -> str:
    return "localhost" if host in ("127.0.0.1", "0.0.0.0", "::") else host  # noqa: S104 - only shown
