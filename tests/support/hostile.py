"""Clients that connect and go in every ugly way."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Way = Callable[["Attacker"], Awaitable[None]]

_AT_ONCE = 50
_PATIENCE_S = 5
_MASK = b"\0\0\0\0"


def frame(text: str | bytes, opcode: int = 1) -> bytes:
    """A WebSocket frame as clients send it."""
    payload = text.encode() if isinstance(text, str) else text
    head = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2)
    return bytes((0x80 | opcode,)) + head + _MASK + payload


class Attacker:
    """Opens connections to one server; those that it `holds` stay open, and nobody reads from them."""

    def __init__(self, port: int, token: str, seed: int) -> None:
        self.port = port
        self.chance = random.Random(seed)
        self._connect = frame(f"40{json.dumps({'token': token})}")
        self._held: list[asyncio.StreamWriter] = []

    async def run(self, number: int, ways: Sequence[Way]) -> None:
        """So many attempts, the ways in turns, some at a time."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def attempt(way: Way) -> None:
            # A server may end a connection at any moment, or rightly not answer what is no request.
            async with gate:
                with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
                    async with asyncio.timeout(_PATIENCE_S):
                        await way(self)

        await asyncio.gather(*(attempt(ways[turn % len(ways)]) for turn in range(number)))

    def let_go(self) -> None:
        """Close what was held."""
        for writer in self._held:
            writer.transport.abort()
        self._held.clear()

    @asynccontextmanager
    async def tcp(self, *, held: bool = False) -> AsyncIterator[Streams]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        if held:
            self._held.append(writer)
            yield reader, writer
            return
        try:
            yield reader, writer
        finally:
            (writer.transport.abort if self.chance.random() < 0.5 else writer.close)()

    @asynccontextmanager
    async def websocket(self, sid: str = "", *, held: bool = False) -> AsyncIterator[Streams]:
        async with self.tcp(held=held) as (reader, writer):
            writer.write(self.handshake(sid))
            await reader.readuntil(b"\r\n\r\n")
            yield reader, writer

    def handshake(self, sid: str = "") -> bytes:
        key = base64.b64encode(self.chance.randbytes(16)).decode()
        return self.request(
            "GET", "websocket", sid, "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}",
        )  # fmt: skip

    @staticmethod
    def request(method: str, transport: str, sid: str, *headers: str) -> bytes:
        path = f"/socket.io/?EIO=4&transport={transport}" + (f"&sid={sid}" if sid else "")
        return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()

    async def polling(self) -> str:
        """The sid of a session by polling."""
        async with self.tcp() as (reader, writer):
            writer.write(self.request("GET", "polling", ""))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return json.loads((await reader.readexactly(length))[1:])["sid"]

    async def post(self, sid: str, body: str) -> None:
        async with self.tcp() as (reader, writer):
            writer.write(self.request("POST", "polling", sid, f"Content-Length: {len(body)}") + body.encode())
            await reader.readuntil(b"\r\n\r\n")

    async def half_a_handshake(self) -> None:
        async with self.tcp() as (_, writer):
            request = self.handshake()
            writer.write(request[: self.chance.randrange(len(request))])
            await writer.drain()

    async def handshake_only(self) -> None:
        async with self.websocket():
            pass

    async def handshake_unread(self) -> None:
        async with self.tcp() as (_, writer):
            writer.write(self.handshake())
            await writer.drain()

    async def half_a_frame(self) -> None:
        async with self.websocket() as (_, writer):
            writer.write(self._connect[: self.chance.randrange(1, len(self._connect))])
            await writer.drain()

    async def wrong_token(self) -> None:
        async with self.websocket() as (reader, writer):
            writer.write(frame('40{"token":"wrong"}'))
            await reader.readuntil(b"44{")

    async def gone_while_connecting(self) -> None:
        async with self.websocket() as (_, writer):
            writer.write(self._connect)
            await writer.drain()

    async def gone_once_connected(self) -> None:
        async with self.websocket() as (reader, writer):
            writer.write(self._connect)
            await reader.readuntil(b'40{"sid"')

    async def gone_with_a_goodbye(self) -> None:
        async with self.websocket() as (reader, writer):
            writer.write(self._connect)
            await reader.readuntil(b'"state"')
            writer.write(frame(self.chance.choice(["1", "41"])) + frame(b"\x03\xe8", 8))
            await writer.drain()

    async def frames_of_no_sense(self) -> None:
        senseless = ["9", "42", "42{", '451-["x"]', "40", "430[]", "2probe", "4" * 70_000]
        async with self.websocket() as (_, writer):
            first = self._connect if self.chance.random() < 0.5 else b""
            writer.write(first + frame("1") + frame("40") if self.chance.random() < 0.2 else first)
            text = self.chance.choice(senseless)
            writer.write(frame(text) if len(text) < 65_536 else b"\x81\xff" + len(text).to_bytes(8))
            await writer.drain()

    async def binary(self) -> None:
        async with self.websocket() as (_, writer):
            writer.write(frame(self.chance.randbytes(100), 2))
            await writer.drain()

    async def polling_abandoned(self) -> None:
        await self.polling()

    async def polling_closed(self) -> None:
        sid = await self.polling()
        await self.post(sid, "1")

    async def poll_broken_off(self) -> None:
        sid = await self.polling()
        async with self.tcp() as (_, writer):
            writer.write(self.request("GET", "polling", sid))
            await writer.drain()

    async def body_broken_off(self) -> None:
        sid = await self.polling()
        async with self.tcp() as (_, writer):
            writer.write(self.request("POST", "polling", sid, "Content-Length: 50") + b"40")
            await writer.drain()

    async def connected_by_polling_and_abandoned(self) -> None:
        sid = await self.polling()
        await self.post(sid, self._connect.rpartition(_MASK)[2].decode())

    async def upgrade_abandoned(self) -> None:
        sid = await self.polling()
        async with self.websocket(sid) as (_, writer):
            writer.write(b"".join(map(frame, ["2probe", "5", "40"][: self.chance.randrange(4)])))
            await writer.drain()

    async def half_open(self) -> None:
        async with self.websocket(held=True) as (reader, writer):
            writer.write(self._connect)
            await reader.readuntil(b'"state"')

    async def silent(self) -> None:
        async with self.websocket(held=True):
            pass


WAYS: tuple[Way, ...] = (
    Attacker.half_a_handshake,
    Attacker.handshake_only,
    Attacker.handshake_unread,
    Attacker.half_a_frame,
    Attacker.wrong_token,
    Attacker.gone_while_connecting,
    Attacker.gone_once_connected,
    Attacker.gone_with_a_goodbye,
    Attacker.frames_of_no_sense,
    Attacker.binary,
    Attacker.polling_abandoned,
    Attacker.polling_closed,
    Attacker.poll_broken_off,
    Attacker.body_broken_off,
    Attacker.connected_by_polling_and_abandoned,
    Attacker.upgrade_abandoned,
    Attacker.half_open,
    Attacker.silent,
)
