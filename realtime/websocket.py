"""One WebSocket as a carrier of packets: it writes at once what the transport takes, and never holds much."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from realtime.background import Background
from realtime.intake import Intake
from realtime.outgoing import OutgoingPacket, OutgoingQueue, frame_header

HIGH_WATER_BYTES = 64 << 10
"""What the transport may hold before the queue waits; and about what the kernel may hold unsent."""
CLOSE_GRACE_S = 1.0

_FIN_CLOSE, _FIN_PONG = 0x88, 0x8A
_MESSAGES = (WSMsgType.TEXT, WSMsgType.BINARY)
_SIGNS_OF_LIFE = (WSMsgType.PING, WSMsgType.PONG)


class WebSocket:
    """Without compression, which costs 20 MB for 100 connections, and with a bound on messages."""

    __slots__ = (
        "_background",
        "_drained_at",
        "_drained_bytes",
        "_draining",
        "_intake",
        "_protocol",
        "_queue",
        "_transport",
        "_written_bytes",
        "response",
    )

    def __init__(self, max_message_bytes: int, background: Background) -> None:
        self.response = web.WebSocketResponse(
            max_msg_size=max_message_bytes,
            compress=False,
            autoclose=False,
            autoping=False,  # aiohttp answers any number of them in one turn
            timeout=CLOSE_GRACE_S,
        )
        self._intake = Intake()
        self._background = background
        self._queue = OutgoingQueue()
        self._draining = False
        self._written_bytes = 0
        self._drained_bytes = 0
        self._drained_at = 0.0

    async def open(self, request: web.Request) -> None:
        """Answer the handshake. Raises `HTTPBadRequest` for none, and `ConnectionError` when the client has gone."""
        await self.response.prepare(request)
        self._protocol = request.protocol
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("The client has gone.")
        self._transport: asyncio.Transport = transport
        transport.set_write_buffer_limits(HIGH_WATER_BYTES)
        limit_unsent(transport)

    def carry(self, queue: OutgoingQueue) -> None:
        """Write what waits in the queue, and from now on what is put into it."""
        self._queue = queue
        queue.write, queue.backlog = self._write, self._transport.get_write_buffer_size
        if not queue.empty():
            self._start_draining()

    async def receive(self) -> str | bytes | None:
        """The next message; None when there will be no more. Raises `Flood` when too many came."""
        while True:
            message = await self.response.receive()
            if message.type not in _MESSAGES and message.type not in _SIGNS_OF_LIFE:
                return None
            await self._intake.admit()
            if message.type in _MESSAGES:
                content: str | bytes = message.data
                return content
            if message.type is WSMsgType.PING:
                self._write_frames(frame_header(_FIN_PONG, len(message.data)) + message.data)

    def send(self, packet: OutgoingPacket) -> None:
        self._write_frames(packet.wire)

    def _write_frames(self, frames: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(frames)
            self._written_bytes += len(frames)

    def close(self, code: int = WSCloseCode.OK) -> None:
        """Say goodbye behind what was written, and cut whoever does not take it within a second."""
        if not self._transport.is_closing():
            self._transport.write(frame_header(_FIN_CLOSE, 2) + code.to_bytes(2))
            self._transport.close()
            asyncio.get_running_loop().call_later(CLOSE_GRACE_S, self.abort)

    async def finish(self) -> web.WebSocketResponse:
        """The response of a connection that is over, without the cycle of an exception, its frame and the response:
        it would keep 60 objects of each connection until a whole garbage collection.
        """
        await self.response.close()
        self.response._exception = None  # noqa: SLF001 - nobody asks for it any more
        return self.response

    def abort(self) -> None:
        """Cut the connection, whatever waits."""
        self._transport.abort()

    def is_stuck(self, now: float, patience_s: float) -> bool:
        """Whether bytes wait, and none of them got any further within the patience. To be asked often."""
        backlog = self._transport.get_write_buffer_size()
        drained = self._written_bytes - backlog
        if not backlog or drained > self._drained_bytes:
            self._drained_bytes, self._drained_at = drained, now
        return now - self._drained_at > patience_s

    def _write(self, frames: bytes) -> bool:
        """Write the frames, or say that they have to wait: then the queue is drained as the peer reads.

        Called for every delivery. A transport that holds nothing has room, which saves asking further.
        """
        transport = self._transport
        if not self._draining and (not transport.get_write_buffer_size() or self._has_room()):
            if not transport.is_closing():
                transport.write(frames)
                self._written_bytes += len(frames)
            return True
        self._start_draining()
        return False

    def _has_room(self) -> bool:
        return (
            not self._protocol.writing_paused and self._transport.get_write_buffer_size() <= HIGH_WATER_BYTES
        )

    def _start_draining(self) -> None:
        if not self._draining:
            self._draining = True
            self._background.start(self._drain(), "drain")

    async def _drain(self) -> None:
        try:
            while not self._queue.empty():
                await asyncio.sleep(0)  # uvloop flushes, and pauses, only between two turns
                await self._protocol._drain_helper()  # noqa: SLF001 - aiohttp has no other way to wait for it
                while not self._queue.empty() and self._has_room():
                    self.send(self._queue.get_nowait())
        except ConnectionError:
            pass  # whoever reads from it hears of the end too, and cleans up
        finally:
            self._draining = False


def limit_unsent(transport: asyncio.Transport) -> None:
    """Keep the kernel from taking megabytes that the peer does not read: they would be invisible to every limit."""
    option: Any = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    connection = transport.get_extra_info("socket")
    if option is not None and connection is not None:
        with suppress(OSError):  # not TCP
            connection.setsockopt(socket.IPPROTO_TCP, option, HIGH_WATER_BYTES)
