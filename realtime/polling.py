"""Long polling without losses: what an answer could not deliver goes back, what a request holds is read whole.

Browsers, and some balancers, send a request again by themselves when a connection that they had used before breaks ahead
of its answer, for it may have been closed while nobody used it; nothing tells their client that an answer was lost. What
comes again is known by its `t`, of which a client of Engine.IO makes another for each request, so that no cache answers
it: it gets the same answer, and what it brings is taken once.
"""

import asyncio
import base64
import binascii
from collections.abc import Iterable, Iterator

from aiohttp import ClientError, web

from realtime.connection import NOOP, Connection
from realtime.intake import Flood, Intake
from realtime.outgoing import OutgoingPacket

MAX_ANSWER_PACKETS = 16
"""python-socketio's client accepts no more."""
MAX_ANSWER_BYTES = 256 << 10
DEADLINE_S = 10.0
"""How long an answer may take to be taken, and a body to arrive."""

_TURNS_TO_NOTICE = 2
"""After so many turns the loop has told of a client that has gone by now, to whom the kernel would still let us write."""

_SEPARATOR = "\x1e"
_HEADERS = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


class BadPoll(Exception):
    """A request that ends its session."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Polling:
    """The requests of one connection: one that waits for packets, and one that brings some."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: web.Request | None = None
        self._answered: tuple[str | None, list[OutgoingPacket]] = (None, [])
        self._taken: tuple[str | None, int] = (None, 0)
        self._last_word: OutgoingPacket | None = None
        self._answering = asyncio.Lock()
        self._posting: web.Request | None = None
        self._taking = asyncio.Lock()
        self._intake = Intake()

    def end(self, last_word: OutgoingPacket) -> None:
        """Answer the request that waits with this packet, if nothing else is there."""
        if self._waiting is not None:
            self._last_word = last_word
            self._connection.queue.stir()

    async def get(self, request: web.Request, headers: Iterable[tuple[str, str]]) -> web.StreamResponse:
        """Answer with what waits, or with the next packet that comes.

        Raises `BadPoll` when another request waits already. One whose client has gone does not count, nor one that has
        come again; and it takes nothing.
        """
        waiting = self._waiting
        if waiting is not None and not _has_gone(waiting) and not _is_again(request, _stamp(waiting)):
            raise BadPoll(400, "There is a poll already.")
        self._waiting, self._last_word = request, None
        if not self._lost(request):
            self._answered = (None, [])
        self._connection.queue.stir()
        try:
            while self._must_wait(request):
                await self._connection.queue.wait_stirred()
            for _ in range(_TURNS_TO_NOTICE):
                await asyncio.sleep(0)
            async with self._answering:
                if self._waiting is not request or _has_gone(request):
                    return web.Response(status=400)  # which nobody will read
                self._waiting = None
                return await self._answer(request, headers)
        finally:
            if self._waiting is request:
                self._waiting = None

    async def _answer(self, request: web.Request, headers: Iterable[tuple[str, str]]) -> web.StreamResponse:
        queue = self._connection.queue
        queue.give_back(self._lost(request))
        packets = queue.take(MAX_ANSWER_PACKETS, MAX_ANSWER_BYTES)
        body = _SEPARATOR.encode().join(packet.payload for packet in packets or [self._last_word or NOOP])
        response = web.Response(
            body=body, content_type="text/plain", charset="utf-8", headers=(*_HEADERS, *headers)
        )
        if self._connection.is_leaving:
            response.force_close()
        if await _arrives(request, response):
            self._answered = (_stamp(request), packets)
            queue.stir()
        else:
            self._answered = (None, [])
            queue.give_back(packets)
        return response

    def _lost(self, request: web.Request) -> list[OutgoingPacket]:
        """What the last answer held, if this is the request of that again."""
        stamp, packets = self._answered
        return packets if _is_again(request, stamp) else []

    def _must_wait(self, request: web.Request) -> bool:
        return (
            self._waiting is request
            and self._last_word is None
            and self._connection.queue.empty()
            and not self._connection.upgrading
            and not self._connection.ending
            and not self._lost(request)
        )

    async def post(self, request: web.Request, max_bytes: int) -> None:
        """Take all packets of the body, once all of it is there, and once only if it comes again.

        Raises `BadPoll`; also when another request is being taken.
        """
        before = self._posting
        if before is not None and not _is_again(request, _stamp(before)):
            raise BadPoll(400, "There is a request already.")
        self._posting = request
        try:
            body = await _read(request, max_bytes)
            async with self._taking:
                await self._take(_stamp(request), body)
        except ValueError as error:
            raise BadPoll(400, "Not a payload of packets.") from error
        except Flood as error:
            raise BadPoll(429, str(error)) from error
        finally:
            if self._posting is request:
                self._posting = None

    async def _take(self, stamp: str | None, body: bytes) -> None:
        taken = (stamp, hash(body))
        if stamp is not None and taken == self._taken:
            return
        self._taken = taken
        for content in _split(body):
            await self._intake.admit()
            await self._connection.receive(content)
            if self._connection.ending:
                break


async def _read(request: web.Request, max_bytes: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(DEADLINE_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    raise BadPoll(413, "More than a request may hold.")
    except TimeoutError as error:
        raise BadPoll(408, "The body did not come.") from error
    except (ClientError, ConnectionError, web.RequestPayloadError) as error:
        raise BadPoll(400, "The body broke off.") from error
    return bytes(body)


def _split(body: bytes) -> Iterator[str | bytes]:
    """The packets of a payload. Raises `ValueError`."""
    for content in body.decode().split(_SEPARATOR):
        if content.startswith("b"):
            try:
                yield base64.b64decode(content[1:], validate=True)
            except binascii.Error as error:
                raise ValueError("Not base64.") from error
        else:
            yield content


async def _arrives(request: web.Request, response: web.Response) -> bool:
    """Write the response; whether the kernel took all of it while the client was there."""
    transport, protocol = request.transport, request.protocol
    if transport is None:
        return False
    try:
        async with asyncio.timeout(DEADLINE_S):
            await response.prepare(request)
            await response.write_eof()
            has_arrived = not transport.is_closing()
            transport.set_write_buffer_limits(0)  # writing is paused now if anything is left
            if protocol.writing_paused:
                await protocol._drain_helper()  # noqa: SLF001 - aiohttp has no other way to wait for it
                has_arrived = not protocol.writing_paused
            transport.set_write_buffer_limits()
    except TimeoutError:
        transport.abort()
        return False
    except ConnectionError:
        return False
    return has_arrived


def _stamp(request: web.Request) -> str | None:
    return request.query.get("t")


def _is_again(request: web.Request, stamp: str | None) -> bool:
    """Whether it is the request that had this stamp."""
    return stamp is not None and stamp == _stamp(request)


def _has_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
