"""Stopping: everybody is sent elsewhere, what was accepted is finished, and the end comes in time."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api.middleware import refused
from realtime.gateway import Gateway
from server.pulse import end_process

STOPS_WITHIN_S = 5.0
"""The promise: from the signal to the end of the process."""
SESSIONS_S = 1.5
"""For sessions to take their goodbye; whoever does not read is cut after less."""
REQUESTS_S = 1.25
"""For requests under way, once the sessions have gone; then as long again for those that have to be broken off."""
_HARD_END_S = STOPS_WITHIN_S - 0.6
_SOCKETS_PATH = "/socket.io/"

_logger = logging.getLogger(__name__)


def last_answers(is_stopping: Callable[[], bool]) -> Middleware:
    """A middleware for the time of stopping: no connection to Socket.IO begins, and each answer is the last of its
    TCP connection, so that whoever asks again, a balancer or a client, asks another server.
    """

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_stopping() and request.path == _SOCKETS_PATH and "sid" not in request.query:
            response: web.StreamResponse = refused(503, "stopping", "This server is stopping; try again.")
            response.headers["Retry-After"] = "1"
        else:
            response = await handler(request)
        if is_stopping() and not response.prepared:
            response.force_close()
        return response

    return answer


async def send_away(gateway: Gateway) -> None:
    """Tell every session to come back elsewhere, and wait until they have gone or had their time."""
    began, sessions = time.monotonic(), gateway.stop()
    with suppress(TimeoutError):
        async with asyncio.timeout(SESSIONS_S):
            await gateway.wait_gone()
    took_s = round(time.monotonic() - began, 3)
    _logger.info("🛑 [Shutdown] 会话已送走", extra={"sessions": sessions, "took_s": took_s})


def end_hard_later() -> None:
    """Let the process end in time whatever hangs: a database, a thread, the loop itself.

    Nothing accepted is lost by it, as nothing is by a crash: an answer is given only behind a commit.
    """
    timer = threading.Timer(_HARD_END_S, _end_hard)
    timer.daemon = True
    timer.start()


def _end_hard() -> None:
    end_process(1, lambda: _logger.error("🛑 [Shutdown] 未能按时停止，强制结束"))
