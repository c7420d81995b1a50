"""The port: listened on, and closed without turning away whoever is connected already.

The kernel makes connections before the program takes them. A port that is simply closed resets those, whose request may
have been sent: then a balancer cannot know whether it was heard, and must not send a POST to another server.
"""

import asyncio
import os
import socket
from typing import Any

from aiohttp import web

from server.runner import Runner

BACKLOG = 4096
ARRIVING_S = 0.1
"""For those who were connected last to send their request."""


class Port:
    """Where the runner's application is served."""

    def __init__(self, runner: Runner, host: str, port: int) -> None:
        self._runner = runner
        self._site = web.TCPSite(runner, host, port, backlog=BACKLOG)
        self._kept: list[socket.socket] = []

    async def open(self) -> None:
        """Listen. Raises `OSError` when the port cannot be had."""
        await self._site.start()
        server: Any = self._site._server  # noqa: SLF001 - aiohttp has no other way to the sockets of a site
        self._kept = [socket.socket(fileno=os.dup(listening.fileno())) for listening in server.sockets]

    async def close(self) -> None:
        """Listen no more, and return when everybody who was connected could send their request."""
        await self._site.stop()  # the loop takes nobody any more; the kernel still does, for the kept ones
        connected: list[socket.socket] = []
        for kept in self._kept:
            with kept:
                kept.setblocking(False)
                while (connection := _next(kept)) is not None:
                    connected.append(connection)
        for connection in connected:
            await asyncio.get_running_loop().connect_accepted_socket(self._runner.server, connection)
        await asyncio.sleep(ARRIVING_S)


def _next(listening: socket.socket) -> socket.socket | None:
    while True:
        try:
            return listening.accept()[0]
        except BlockingIOError:
            return None
        except ConnectionAbortedError:
            continue
