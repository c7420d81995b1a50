"""A crowd of WebSocket clients, a process of its own: it comes, says so, and goes when it is told to.

`python -m benchmarks.crowd PORT TOKEN NUMBER` prints `here` once all are live. A line on its standard input then says
how they go: `goodbye` by a close frame each, `vanish` by aborting their connections; all in one turn.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress

import uvloop

_AT_ONCE = 50
_HANDSHAKE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_PING, _PONG = b"\x81\x012", b"\x81\x81\0\0\0\x003"
_GOODBYE = b"\x88\x82\0\0\0\0\x03\xe8"


def masked(text: str) -> bytes:
    """A text frame of less than 64 KiB as clients send it, with a mask of zeros."""
    payload = text.encode()
    head = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2)
    return b"\x81" + head + b"\0\0\0\0" + payload


class Member(asyncio.Protocol):
    """One client. `live` is done when it has its summary."""

    def __init__(self, token: str) -> None:
        self.live = asyncio.get_running_loop().create_future()
        self._connect = masked(f"40{json.dumps({'token': token})}")
        self.transport: asyncio.Transport | None = None
        self._handshaken = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        transport.write(_HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        if not self._handshaken:
            self._handshaken = True
            self.transport.write(self._connect)
        if b'42["summary"' in data and not self.live.done():
            self.live.set_result(None)
        if data.endswith(_PING):
            self.transport.write(_PONG)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.live.done():
            self.live.set_exception(error or ConnectionResetError("Not let in."))


async def _come(port: int, token: str, number: int) -> list[Member]:
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(_AT_ONCE)

    async def enter() -> Member:
        async with gate:
            while True:  # a server with too much to do closes, and expects clients to come again
                _, member = await loop.create_connection(lambda: Member(token), "127.0.0.1", port)
                with suppress(ConnectionError):
                    await member.live
                    return member

    return await asyncio.gather(*(enter() for _ in range(number)))


async def _run(port: int, token: str, number: int) -> None:
    members = await _come(port, token, number)
    print("here", flush=True)
    way = (await asyncio.to_thread(sys.stdin.readline)).strip()
    for member in members:
        if way == "goodbye":
            member.transport.write(_GOODBYE)
        else:
            member.transport.abort()
    print("gone", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    os._exit(0)


if __name__ == "__main__":
    uvloop.run(_run(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
