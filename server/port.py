"""The port: listened on, and closed without turning away whoever is connected already.

The kernel makes connections before the program takes them. A port that is simply closed resets those, whose request may
have been sent: then a balancer cannot know whether it was heard, and must not send a POST to another server. To take them
all first is not enough: one more comes between the last look and the end. So the kernel first makes no new ones.
"""

import asyncio
import ctypes
import os
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

from aiohttp import web

from server.runner import Runner

BACKLOG = 4096
CONNECTING_S = 0.01
"""For connections that are half made when no new ones are: a balancer's way there and back."""
ARRIVING_S = 0.1
"""For those who were connected last to send their request."""

_SO_ATTACH_FILTER = 26
_WITHOUT_SYN = struct.pack(
    "=" + "HBBI" * 5,
    *(0x30, 0, 0, 13),  # load the byte of the TCP header that has its flags
    *(0x54, 0, 0, 0x12),  # of them, SYN and ACK
    *(0x15, 0, 1, 0x02),  # SYN alone: a connection that begins
    *(0x06, 0, 0, 0),  # drop it
    *(0x06, 0, 0, 0xFFFFFFFF),  # keep all else
)
"""A classic BPF program: struct sock_filter (code, jt, jf, k) five times, see linux/filter.h."""


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

    @property
    def number(self) -> int:
        """What it came to, where any free one was asked for."""
        return int(self._kept[0].getsockname()[1])

    async def close(self) -> None:
        """Listen no more, and return when everybody who was connected could send their request.

        Who asks for a connection in the last moment gets no answer, asks again after a second as TCP does, and is
        refused.
        """
        await self._site.stop()  # the loop takes nobody any more; the kernel still does, for the kept ones
        for kept in self._kept:
            _make_no_more(kept)
        await asyncio.sleep(CONNECTING_S)
        connected: list[socket.socket] = []
        for kept in self._kept:
            with kept:
                kept.setblocking(False)
                while (connection := _next(kept)) is not None:
                    connected.append(connection)
        for connection in connected:
            await asyncio.get_running_loop().connect_accepted_socket(self._runner.server, connection)
        await asyncio.sleep(ARRIVING_S)


def _make_no_more(listening: socket.socket) -> None:
    """Let the kernel finish the connections that have begun, and begin none. Where it cannot, it goes on."""
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_WITHOUT_SYN, len(_WITHOUT_SYN))
    header = struct.pack("@HP", len(_WITHOUT_SYN) // 8, ctypes.addressof(program))
    with suppress(OSError):  # a sandbox may forbid it
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)


def _next(listening: socket.socket) -> socket.socket | None:
    while True:
        try:
            return listening.accept()[0]
        except BlockingIOError:
            return None
        except ConnectionAbortedError:
            continue
