"""One WebSocket as a carrier of packets: it writes at once what the transport takes, and never holds much.

aiohttp answers the handshake, and lets go of the connection: its request, its tasks and its buffers would be half of what
an idle client costs.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.http_websocket import WebSocketError, WSMessage

from realtime.background import Background
from realtime.frames import Frames
from realtime.intake import Intake
from realtime.outgoing import OutgoingPacket, OutgoingQueue, frame_header

HIGH_WATER_BYTES = 64 << 10
"""What the transport may hold before the queue waits; and about what the kernel may hold unsent."""
UNREAD_BYTES = 128 << 10
"""What may wait to be read before no more is taken from the kernel."""
CLOSE_GRACE_S = 1.0

_FIN_CLOSE, _FIN_PONG = 0x88, 0x8A
_MESSAGES = (WSMsgType.TEXT, WSMsgType.BINARY)
_SIGNS_OF_LIFE = (WSMsgType.PING, WSMsgType.PONG)


class _Handshake(web.WebSocketResponse):
    """Answers, and does not begin to read."""

    def _post_start(self, *_: Any) -> None:
        return None


class _HandedOver(web.StreamResponse):
    """What aiohttp gets as the answer to a request whose connection is not its own any more."""

    async def prepare(self, _: web.BaseRequest) -> None:
        return None

    async def write_eof(self, _: bytes = b"") -> None:
        return None


class WebSocket(asyncio.Protocol):
    """Without compression, which costs 20 MB for 100 connections, and with a bound on messages.

    `has_ended` when nothing more comes than what is still to be taken.
    """

    __slots__ = (
        "__weakref__",
        "_background",
        "_drained_at",
        "_drained_bytes",
        "_draining",
        "_frames",
        "_intake",
        "_moved",
        "_on_arrival",
        "_over",
        "_paused_writing",
        "_queue",
        "_reading_paused",
        "_transport",
        "_written_bytes",
        "has_ended",
    )

    def __init__(self, max_message_bytes: int, background: Background) -> None:
        self._frames = Frames(max_message_bytes)
        self._intake = Intake()
        self._background = background
        self._queue: OutgoingQueue | None = None
        self._moved: asyncio.Event | None = None
        self._paused_writing = False
        self._reading_paused = False
        self._draining = False
        self._written_bytes = 0
        self._drained_bytes = 0
        self._drained_at = 0.0
        self._on_arrival: Callable[[], None] | None = None
        self._over = False
        self.has_ended = False

    async def open(self, request: web.Request) -> web.StreamResponse:
        """Answer the handshake, and take the connection over. What comes back is for aiohttp.

        Raises `HTTPBadRequest` for no handshake, and `ConnectionError` when the client has gone.
        """
        await _Handshake(compress=False).prepare(request)
        protocol, transport = request.protocol, request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("The client has gone.")
        self._transport: asyncio.Transport = transport
        self._frames.feed(_let_go(protocol))
        transport.set_protocol(self)
        transport.set_write_buffer_limits(HIGH_WATER_BYTES)
        transport.resume_reading()
        limit_unsent(transport)
        return _HandedOver(status=101)

    def data_received(self, data: bytes) -> None:
        self._frames.feed(data)
        if self._frames.size_bytes > UNREAD_BYTES and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._arrived()

    def connection_lost(self, _: Exception | None) -> None:
        self.has_ended = True
        self._paused_writing = False
        self._move()
        self._arrived()

    def pause_writing(self) -> None:
        self._paused_writing = True

    def resume_writing(self) -> None:
        self._paused_writing = False
        self._move()

    def _arrived(self) -> None:
        self._move()
        if self._on_arrival is not None:
            self._on_arrival()

    def listen(self, on_arrival: Callable[[], None] | None) -> None:
        """Be told, now and later, when there may be something to take, which may be the end; or no longer."""
        self._on_arrival = on_arrival
        if on_arrival is not None:
            on_arrival()

    def _move(self) -> None:
        """Let everybody look again who waits for something to come, or to go."""
        if self._moved is not None:
            self._moved.set()

    async def _wait_moved(self) -> None:
        self._moved = self._moved or asyncio.Event()
        self._moved.clear()
        await self._moved.wait()

    def carry(self, queue: OutgoingQueue) -> None:
        """Write what waits in the queue, and from now on what is put into it."""
        self._queue = queue
        queue.carrier = self
        connection = self._transport.get_extra_info("socket")
        if connection is not None and self._transport.get_extra_info("sslcontext") is None:
            queue.fd, queue.transport = connection.fileno(), self._transport
        if not queue.empty():
            self._start_draining()

    async def receive(self) -> str | bytes | None:
        """The next message; None when there will be no more. Raises `Flood` when too many came."""
        while (message := await self.take()) is None and not self.has_ended:
            await self._wait_moved()
        return message

    async def take(self) -> str | bytes | None:
        """The next message; None when no whole one is here. Raises `Flood` when too many came."""
        while not self._over and (message := self._next()) is not None:
            if message.type not in _MESSAGES and message.type not in _SIGNS_OF_LIFE:
                self._over = self.has_ended = True
                break
            await self._intake.admit()
            if message.type in _MESSAGES:
                content: str | bytes = message.data
                return content
            if message.type is WSMsgType.PING:
                self.write_rest(frame_header(_FIN_PONG, len(message.data)) + message.data)
        return None

    def _next(self) -> WSMessage | None:
        try:
            message = self._frames.take()
        except WebSocketError as error:
            self._over = self.has_ended = True
            self.close(error.code)
            return None
        if self._reading_paused and self._frames.size_bytes <= UNREAD_BYTES // 2:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return message

    def send(self, packet: OutgoingPacket) -> None:
        self.write_rest(packet.wire)

    def write_rest(self, frames: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(frames)
            self._written_bytes += len(frames)

    def close(self, code: int = WSCloseCode.OK) -> None:
        """Say goodbye behind what was written, and cut whoever does not take it within a second."""
        if not self._transport.is_closing():
            self._transport.write(frame_header(_FIN_CLOSE, 2) + code.to_bytes(2))
            self._transport.close()
            asyncio.get_running_loop().call_later(CLOSE_GRACE_S, self.abort)

    def abort(self) -> None:
        """Cut the connection, whatever waits."""
        self._transport.abort()

    def is_stuck(self, now: float, patience_s: float) -> bool:
        """Whether bytes wait, and none of them got any further within the patience. To be asked often."""
        backlog = self.backlog
        drained = self._written_bytes - backlog
        if not backlog or drained > self._drained_bytes:
            self._drained_bytes, self._drained_at = drained, now
        return now - self._drained_at > patience_s

    @property
    def backlog(self) -> int:
        """How many bytes the transport holds."""
        return self._transport.get_write_buffer_size()

    def write(self, frames: bytes) -> bool:
        """Write the frames, or say that they have to wait: then the queue is drained as the peer reads."""
        if self._draining or not self._has_room():
            self._start_draining()
            return False
        self.write_rest(frames)
        return True

    def _has_room(self) -> bool:
        return not self._paused_writing and self.backlog <= HIGH_WATER_BYTES

    def _start_draining(self) -> None:
        if not self._draining:
            self._draining = True
            self._background.start(self._drain(), "drain")

    async def _drain(self) -> None:
        queue = self._queue
        try:
            while queue and not self._transport.is_closing():
                await asyncio.sleep(0)  # uvloop flushes, and pauses, only between two turns
                while self._paused_writing:
                    await self._wait_moved()
                while queue and self._has_room():
                    self.send(queue.get_nowait())
        finally:
            self._draining = False


def _let_go(protocol: web.RequestHandler) -> bytes:
    """Make aiohttp forget a connection whose WebSocket it has opened; what it has read of it and not parsed.

    It forgets those that are lost, so it is told that this one is.
    """
    tail: bytes = protocol._message_tail  # noqa: SLF001 - aiohttp has no other way, and its version is pinned
    protocol.transport = None  # or it would be closed
    protocol.connection_lost(None)
    return tail


def limit_unsent(transport: asyncio.Transport) -> None:
    """Keep the kernel from taking megabytes that the peer does not read: they would be invisible to every limit."""
    option: Any = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    connection = transport.get_extra_info("socket")
    if option is not None and connection is not None:
        with suppress(OSError):  # not TCP
            connection.setsockopt(socket.IPPROTO_TCP, option, HIGH_WATER_BYTES)
