"""What is on its way to one client: packets as they are on the wire, and the queue in front of its transport."""

import asyncio
import base64
from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol, Self

import orjson

MAX_UNSENT_PACKETS = 500
MAX_UNSENT_BYTES = 1 << 20

_FIN_TEXT, _FIN_BINARY = 0x81, 0x82
_LENGTH_16, _LENGTH_64 = 126, 127


class OutgoingPacket:
    """One Engine.IO packet, encoded once as a whole WebSocket frame; any number of connections can share it."""

    __slots__ = ("_header_bytes", "wire")

    def __init__(self, content: str | bytes) -> None:
        """`content` is what a WebSocket message holds: text with the packet type in front, or bytes."""
        is_text = isinstance(content, str)
        self._set(content.encode() if isinstance(content, str) else content, is_text=is_text)

    def _set(self, payload: bytes, *, is_text: bool) -> None:
        header = frame_header(_FIN_TEXT if is_text else _FIN_BINARY, len(payload))
        self._header_bytes = len(header)
        self.wire = header + payload

    @property
    def size_bytes(self) -> int:
        return len(self.wire)

    @property
    def payload(self) -> bytes:
        """As a polling client gets it."""
        payload = self.wire[self._header_bytes :]
        return payload if self.wire[0] == _FIN_TEXT else b"b" + base64.b64encode(payload)

    @property
    def data(self) -> str:
        """The Socket.IO packet."""
        return self.payload[1:].decode()


class EventPacket(OutgoingPacket):
    """An event of our namespace, the JSON of `[event, payload]`."""

    __slots__ = ()

    def __init__(self, body: bytes) -> None:
        self._set(b"42" + body, is_text=True)

    @classmethod
    def of(cls, event: str, payload: Any) -> Self:
        return cls(orjson.dumps((event, payload)))


def frame_header(first: int, length: int) -> bytes:
    """The head of a WebSocket frame from a server, RFC 6455 section 5.2."""
    if length < _LENGTH_16:
        return bytes((first, length))
    if length < 1 << 16:
        return bytes((first, _LENGTH_16)) + length.to_bytes(2)
    return bytes((first, _LENGTH_64)) + length.to_bytes(8)


class Carrier(Protocol):
    """What brings packets to the client without being asked for them."""

    @property
    def backlog(self) -> int:
        """How many bytes it took and still holds."""

    def write(self, frames: bytes) -> bool:
        """Take whole frames at once, or say that they have to wait."""

    def write_rest(self, rest: bytes) -> None:
        """Take the rest of frames whose beginning the client has already."""


class OutgoingQueue:
    """The packets that wait for one client, in order, and how many bytes they are.

    What its carrier does not take at once waits here, in `packets`. A carrier that is nothing but a socket and what waits
    before it says so: while neither its `transport` nor this holds anything, whole frames may be written to `fd`.
    """

    __slots__ = (
        "_abandoned",
        "_emptied",
        "_queued_bytes",
        "_stirred",
        "carrier",
        "fd",
        "packets",
        "transport",
    )

    def __init__(self) -> None:
        self.packets: deque[OutgoingPacket] = deque()
        self._queued_bytes = 0
        self._stirred: asyncio.Event | None = None
        self._emptied: asyncio.Event | None = None
        self._abandoned = False
        self.carrier: Carrier | None = None
        self.transport: asyncio.WriteTransport | None = None
        self.fd = -1

    def __len__(self) -> int:
        return len(self.packets)

    def empty(self) -> bool:
        return not self.packets

    @property
    def size_bytes(self) -> int:
        """What waits here and in the carrier's hands."""
        return self._queued_bytes + (0 if self.carrier is None else self.carrier.backlog)

    @property
    def is_full(self) -> bool:
        """Whether more waits than any client is owed: it is to be cut, and resumes."""
        return len(self.packets) >= MAX_UNSENT_PACKETS or self.size_bytes >= MAX_UNSENT_BYTES

    def put_nowait(self, packet: OutgoingPacket) -> None:
        if self._abandoned:
            return
        if self.carrier is not None and not self.packets and self.carrier.write(packet.wire):
            return
        self.packets.append(packet)
        self._queued_bytes += packet.size_bytes
        self.stir()

    def write_rest(self, rest: bytes) -> None:
        """The rest of frames of which `fd` took only the beginning."""
        if self.carrier is not None:
            self.carrier.write_rest(rest)

    def put_first(self, packet: OutgoingPacket) -> None:
        """For the carrier's own packets, such as a ping: data that waits does not hold them up."""
        if self._abandoned:
            return
        if self.carrier is not None and self.carrier.write(packet.wire):
            return
        self.give_back([packet])

    def give_back(self, packets: Iterable[OutgoingPacket]) -> None:
        """Put packets that were taken and did not arrive in front again, in their order.

        Whoever takes them next may be a carrier that came meanwhile, and took what it found.
        """
        if self._abandoned:
            return
        returned = list(packets)
        self.packets.extendleft(reversed(returned))
        self._queued_bytes += sum(packet.size_bytes for packet in returned)
        self.stir()
        while self.carrier is not None and self.packets and self.carrier.write(self.packets[0].wire):
            self.get_nowait()

    def take(self, max_packets: int, max_bytes: int) -> list[OutgoingPacket]:
        """What waits, from the front: as many as fit, at least one if there is any."""
        taken: list[OutgoingPacket] = []
        size_bytes = 0
        while (
            self.packets
            and len(taken) < max_packets
            and (not taken or size_bytes + self.packets[0].size_bytes <= max_bytes)
        ):
            taken.append(self.get_nowait())
            size_bytes += taken[-1].size_bytes
        return taken

    def get_nowait(self) -> OutgoingPacket:
        packet = self.packets.popleft()
        self._queued_bytes -= packet.size_bytes
        if not self.packets:
            self._tell(self._emptied)
        return packet

    async def get(self) -> OutgoingPacket:
        await self.wait_filled()
        return self.get_nowait()

    async def wait_filled(self) -> None:
        """Return when something waits."""
        while not self.packets:
            await self.wait_stirred()

    async def wait_stirred(self) -> None:
        """Return when something came, or when somebody stirred."""
        self._stirred = self._stirred or asyncio.Event()
        self._stirred.clear()
        await self._stirred.wait()

    def stir(self) -> None:
        """Let everybody look again who waits for something to come."""
        self._tell(self._stirred)

    async def wait_empty(self) -> None:
        """Return when the carrier has taken everything, or when whoever waits was let go."""
        if self.packets:
            self._emptied = self._emptied or asyncio.Event()
            self._emptied.clear()
            await self._emptied.wait()

    def let_go(self) -> None:
        """Let those go who wait for it to be empty."""
        self._tell(self._emptied)

    def abandon(self) -> None:
        """Nobody will take anything any more: forget what waits, and let those go who wait for it."""
        self._abandoned = True
        self.carrier = self.transport = None
        self.packets.clear()
        self._queued_bytes = 0
        self.let_go()
        self.stir()

    @staticmethod
    def _tell(event: asyncio.Event | None) -> None:
        if event is not None:
            event.set()
