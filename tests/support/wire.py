"""A Socket.IO client that hides nothing: every packet, in the order of the wire."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientConnectionError, ClientSession, ClientWebSocketResponse, WSMsgType

DEADLINE_S = 20
_KINDS = {"0": "connect", "1": "disconnect", "3": "ack", "4": "connect_error"}


class Wire:
    """`packets` are (name, payload): the name is the event's, or connect, connect_error, disconnect, ack."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self.packets: list[tuple[str, Any]] = []
        self.closed = False
        self._ids = itertools.count(1)
        self._changed = asyncio.Event()

    def of(self, name: str) -> list[Any]:
        return [payload for found, payload in self.packets if found == name]

    @property
    def names(self) -> list[str]:
        """The names in order; `session` with its state."""
        return [f"{name} {payload['state']}" if name == "session" else name for name, payload in self.packets]

    async def until(self, condition: Callable[[], Any], what: str = "", within_s: float = DEADLINE_S) -> None:
        """Wait until the condition holds; it is looked at after every packet, and at the end of the connection."""
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            raise AssertionError(
                f"{what} not within {within_s} s; closed: {self.closed}; {self.names}"
            ) from error

    async def wait(self, name: str, number: int = 1) -> list[Any]:
        await self.until(lambda: len(self.of(name)) >= number or self.closed)
        assert len(self.of(name)) >= number, f"closed after {self.names}"
        return self.of(name)

    async def send(self, packet: str) -> None:
        """A Socket.IO packet as it is."""
        await self.socket.send_str(f"4{packet}")

    async def connect(self, auth: Any = None) -> None:
        await self.send("0" if auth is None else f"0{json.dumps(auth)}")

    async def emit(self, event: str, *payload: Any) -> None:
        await self.send(f"2{json.dumps([event, *payload])}")

    async def call(self, event: str, *payload: Any) -> Any:
        """Send an event and return what it is acknowledged with."""
        number = next(self._ids)
        await self.send(f"2{number}{json.dumps([event, *payload])}")
        await self.until(lambda: self.closed or any(ack[0] == number for ack in self.of("ack")))
        answers = [ack[1:] for ack in self.of("ack") if ack[0] == number]
        assert [len(answer) for answer in answers] == [1], f"{event}: {answers}; closed: {self.closed}"
        return answers[0][0]

    async def read(self) -> None:
        """Take in what comes, until the connection is over."""
        try:
            async for message in self.socket:
                if message.type is WSMsgType.TEXT:
                    await self._take(message.data)
        except ClientConnectionError:
            pass
        finally:
            self.closed = True
            self._changed.set()

    async def _take(self, data: str) -> None:
        if data == "2":
            await self.socket.send_str("3")
        elif data.startswith("4"):
            self.packets.append(_decode(data[1:]))
            self._changed.set()


def _decode(packet: str) -> tuple[str, Any]:
    if packet.startswith("2"):
        event, payload = json.loads(packet[1:])
        return event, payload
    name, rest = _KINDS[packet[0]], packet[1:]
    if name != "ack":
        return name, json.loads(rest) if rest.startswith("{") else rest or None
    number, _, answer = rest.partition("[")
    return name, (int(number), *json.loads(f"[{answer}"))


@asynccontextmanager
async def opened_wire(url: str) -> AsyncIterator[Wire]:
    """A WebSocket that has read its handshake and sent nothing yet."""
    address = f"{url}/socket.io/?EIO=4&transport=websocket"
    async with ClientSession() as http, http.ws_connect(address, max_msg_size=0) as socket:
        assert (await socket.receive_str()).startswith("0")
        wire = Wire(socket)
        reading = asyncio.create_task(wire.read())
        try:
            yield wire
        finally:
            await socket.close()
            await reading


@asynccontextmanager
async def live_wire(url: str, token: str, **claim: Any) -> AsyncIterator[Wire]:
    """A session that has been greeted: live, and told what was missed."""
    async with opened_wire(url) as wire:
        await wire.connect({"token": token, **claim})
        await wire.wait("summary")
        yield wire
