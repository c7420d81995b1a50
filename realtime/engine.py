"""The hardened Socket.IO server: python-socketio with its private hooks taken hold of in this one module.

Changed against the library, each for a fault seen:
- connect fails closed: nothing a handler does by mistake lets a client in, and a refused one leaves nothing;
- a socket that goes away while it connects does not stay as a ghost;
- frames after the end, a second CONNECT, acknowledgements and binary are not served;
- a client cannot call the handlers of connect and disconnect by sending events of these names;
- who never sends CONNECT is cut after ten seconds;
- outgoing queues know their size in bytes, so that a slow reader can be cut;
- no per-message compression, which costs 20 MB for 100 connections;
- the origins that browsers may come from are the configured ones and the server's own, nobody else's say.

The versions are pinned exactly; `tests/integration/realtime/test_engine.py` fails when a hook moves.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

import engineio
import orjson
import socketio
from aiohttp import WSCloseCode, web
from engineio import packet as eio_packet
from engineio.async_drivers import aiohttp as aiohttp_driver
from socketio import packet as sio_packet
from socketio.exceptions import ConnectionRefusedError as Refused

from realtime.background import Background

NAMESPACE = "/"
MAX_MESSAGE_BYTES = 64 << 10
MAX_PACKETS_AT_ONCE = 16
CONNECT_DEADLINE_S = 10.0
RESERVED_EVENTS = ("connect", "disconnect")
_HANDLER_DEADLINE_S = 5.0

_logger = logging.getLogger(__name__)


class OutgoingQueue(asyncio.Queue[Any]):
    """What waits to be sent to one client: as the engine expects it, and with its size in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = 0
        self._taken = 0
        self._drained: asyncio.Event | None = None

    async def wait_empty(self) -> None:
        """Return when the writer has taken everything; at once if there is nothing."""
        if self.size_bytes:
            self._drained = self._drained or asyncio.Event()
            self._drained.clear()
            await self._drained.wait()

    def abandon(self) -> None:
        """Nobody will take anything any more: let those go who wait for it."""
        if self._drained is not None:
            self._drained.set()

    async def get(self) -> Any:
        self._taken = 0
        return await super().get()

    def get_nowait(self) -> Any:
        """The engine takes whatever there is; of one poll, python-socketio's client accepts no more than this."""
        if self._taken >= MAX_PACKETS_AT_ONCE:
            raise asyncio.QueueEmpty
        self._taken += 1
        return super().get_nowait()

    def _put(self, item: Any) -> None:
        self.size_bytes += _size(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self.size_bytes -= _size(item)
        if self._drained is not None and not self.size_bytes:
            self._drained.set()
        return item


def _size(item: Any) -> int:
    if isinstance(item, EventPacket):
        return item.size_bytes
    return len(item.data) if item is not None and isinstance(item.data, str) else 0


class EventPacket(eio_packet.Packet):  # type: ignore[misc]
    """An event of our namespace, the JSON of `[event, payload]`; any number of connections can share it."""

    def __init__(self, body: bytes) -> None:
        super().__init__(eio_packet.MESSAGE, f"2{body.decode()}")
        self.size_bytes = len(body)

    @classmethod
    def of(cls, event: str, payload: Any) -> Self:
        return cls(orjson.dumps((event, payload)))


class _WebSocket(aiohttp_driver.WebSocket):  # type: ignore[misc]
    """The engine's WebSocket without compression, with a bound on messages, refusing what is not text."""

    async def __call__(self, environ: dict[str, Any]) -> web.StreamResponse:
        # The engine forgets the transport, and keeps the request that began the session: after an upgrade from
        # polling that is another connection. Kicking somebody needs this one.
        self.handler.__self__.websocket_transport = environ["aiohttp.request"].transport
        self._sock = web.WebSocketResponse(max_msg_size=self.server.max_http_buffer_size, compress=False)
        await self._sock.prepare(environ["aiohttp.request"])
        await self.handler(self)
        return self._sock

    async def close(self) -> None:
        await self._sock.close(code=self.server.close_code)

    async def wait(self) -> str:
        message = await self._sock.receive()
        data = message.data
        if not isinstance(data, str) or not data or data[0] not in "0123456":
            # OSError is what the engine takes for a closed connection: it cleans up and logs nothing.
            raise OSError
        return data


class _Engine(engineio.AsyncServer):  # type: ignore[misc]
    """The Engine.IO server with our queue, our WebSocket and our origins."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._async: dict[str, Any] = {**self._async, "websocket": _WebSocket}

    def _cors_allowed_origins(self, environ: dict[str, Any]) -> list[str]:
        """The configured origins and the server's own: never everybody, and never what X-Forwarded-Host says."""
        scheme = environ["wsgi.url_scheme"].partition(",")[0].strip()
        return [*(self.cors_allowed_origins or ()), f"{scheme}://{environ.get('HTTP_HOST', '')}"]

    id_prefix = ""

    def generate_id(self) -> str:
        return f"{self.id_prefix}{super().generate_id()}"

    close_code = WSCloseCode.OK
    """What WebSockets that we close say."""

    def create_queue(self, *_: Any, **__: Any) -> OutgoingQueue:
        return OutgoingQueue()


class _Packet(sio_packet.Packet):  # type: ignore[misc]
    """Socket.IO packets through orjson; binary attachments are refused."""

    uses_binary_events = False

    class json:  # noqa: N801 - the library's name for it
        @staticmethod
        def dumps(value: Any, **_: Any) -> str:
            return orjson.dumps(value).decode()

        @staticmethod
        def loads(text: str) -> Any:
            return orjson.loads(text)

    def decode(self, encoded_packet: str) -> int:
        if encoded_packet[:1] in ("5", "6"):
            raise ValueError("Binary is not accepted.")
        return int(super().decode(encoded_packet))


class SocketServer(socketio.AsyncServer):  # type: ignore[misc]
    """A python-socketio server that is safe to leave open to the internet.

    `on_connected(sid, eio_sid)` is called once the CONNECT packet is on its way, so that whatever it sends comes
    after it. With `strict`, a connect handler accepts only by returning True. `name` begins every connection's id.
    """

    def __init__(self, *, strict: bool = True, name: str = "", **options: Any) -> None:
        super().__init__(serializer=_Packet, async_handlers=False, always_connect=False, **options)
        self._strict = strict
        self.eio.id_prefix = f"{name}." if name else ""
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self._closing = Background()
        self.on_connected: Callable[[str, str], None] | None = None

    def _engineio_server_class(self) -> type[_Engine]:
        return _Engine

    def outgoing(self, eio_sid: str) -> OutgoingQueue | None:
        """The queue of a connection, None when it is gone."""
        socket = self.eio.sockets.get(eio_sid)
        return None if socket is None or socket.closed else socket.queue

    def transport(self, eio_sid: str) -> str:
        """How a connection is carried: `polling` or `websocket`."""
        socket = self.eio.sockets.get(eio_sid)
        return "websocket" if socket is not None and socket.upgraded else "polling"

    def abort(self, eio_sid: str) -> None:
        """Cut the connection at once: nothing gentler works on a peer that does not read."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is None:
            return
        transport = getattr(socket, "websocket_transport", None)
        if transport is not None:
            transport.abort()
        if not socket.upgraded:
            self._closing.start(self._close_polling(eio_sid), "close polling")

    def go_away(self) -> None:
        """The server is stopping: WebSockets that we close from now on say so (1001)."""
        self.eio.close_code = WSCloseCode.GOING_AWAY

    async def cut_everybody(self, _: web.Application) -> None:
        """Cut whoever is still there when the program ends, who may be nobody's session: nobody holds it up."""
        for eio_sid in list(self.eio.sockets):
            self.abort(eio_sid)

    def hang_up(self, eio_sid: str, grace_s: float) -> None:
        """Close the connection behind what waits to be sent; cut it if that takes longer than the grace."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is None:
            return
        if socket.upgraded:
            # The writer's own sign for the end: it sends what is before it, then closes the WebSocket.
            socket.queue.put_nowait(None)
            asyncio.get_running_loop().call_later(grace_s, self.abort, eio_sid)
        else:
            self._closing.start(self._close_polled(eio_sid, socket.queue, grace_s), "close polling")

    async def _close_polled(self, eio_sid: str, outgoing: OutgoingQueue, grace_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await outgoing.wait_empty()
        await self._close_polling(eio_sid)

    async def _close_polling(self, eio_sid: str) -> None:
        """The CLOSE packet ends a pending poll; the sid is unknown afterwards."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None:
            await socket.close(wait=False, reason=self.reason.SERVER_DISCONNECT)
            self.eio.sockets.pop(eio_sid, None)

    def _is_open(self, eio_sid: str) -> bool:
        socket = self.eio.sockets.get(eio_sid)
        return eio_sid in self.environ and socket is not None and not (socket.closed or socket.closing)

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        loop = asyncio.get_running_loop()
        self._deadlines[eio_sid] = loop.call_later(CONNECT_DEADLINE_S, self._connect_late, eio_sid)

    def _connect_late(self, eio_sid: str) -> None:
        self._deadlines.pop(eio_sid, None)
        self.abort(eio_sid)

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        if not self._is_open(eio_sid):
            return
        try:
            await super()._handle_eio_message(eio_sid, data)
        except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
            _logger.info("malformed packet", extra={"reason": type(error).__name__})
            self.abort(eio_sid)

    async def _handle_event(self, eio_sid: str, namespace: str | None, id_: int | None, data: Any) -> None:
        if data[0] in RESERVED_EVENTS:
            raise ValueError("The name of an event of ours.")
        await super()._handle_event(eio_sid, namespace, id_, data)

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        namespace = namespace or NAMESPACE
        if namespace not in self.handlers and namespace not in self.namespace_handlers:
            await self._refuse(eio_sid, namespace, {"message": "Invalid namespace"})
            return
        sid = await self.manager.pre_connect(eio_sid, namespace)
        if sid is None:
            self.abort(eio_sid)
            return
        accepted = refused = False
        try:
            async with asyncio.timeout(_HANDLER_DEADLINE_S):
                answer = await self._ask(sid, eio_sid, namespace, data)
            accepted = (answer is True or (answer is not False and not self._strict)) and self._is_open(
                eio_sid
            )
        except Refused as refusal:
            refused = True
            await self._refuse(eio_sid, namespace, refusal.error_args)
        except Exception:
            # The edge of the connect handler: whatever it raised, nobody was let in. The client may try again.
            _logger.exception("connect handler failed")
        finally:
            if not (accepted or refused):
                self.abort(eio_sid)
            if not accepted:
                await self.manager.disconnect(sid, namespace, ignore_queue=True)
        if accepted:
            await self._accept(sid, eio_sid, namespace)

    async def _ask(self, sid: str, eio_sid: str, namespace: str, data: Any) -> object:
        environ = self.environ[eio_sid]
        handler, args = self._get_event_handler("connect", namespace, (sid, environ, data))
        if handler is None:
            return namespace != NAMESPACE or not self._strict
        answer: object | Awaitable[object] = handler(*args)
        return await answer if isinstance(answer, Awaitable) else answer

    async def _accept(self, sid: str, eio_sid: str, namespace: str) -> None:
        if deadline := self._deadlines.pop(eio_sid, None):
            deadline.cancel()
        packet = self.packet_class(sio_packet.CONNECT, {"sid": sid}, namespace=namespace)
        await self._send_packet(eio_sid, packet)
        await self.manager.connect(sid, namespace)
        if self.on_connected is not None and namespace == NAMESPACE:
            self.on_connected(sid, eio_sid)

    async def _refuse(self, eio_sid: str, namespace: str, reason: Any) -> None:
        packet = self.packet_class(sio_packet.CONNECT_ERROR, data=reason, namespace=namespace)
        await self._send_packet(eio_sid, packet)

    async def _handle_disconnect(self, eio_sid: str, namespace: str | None, reason: Any = None) -> None:
        namespace = namespace or NAMESPACE
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        try:
            await super()._handle_disconnect(eio_sid, namespace, reason)
        except BaseException:
            self.manager.basic_disconnect(sid, namespace)
            raise

    async def _handle_eio_disconnect(self, eio_sid: str, reason: Any) -> None:
        if deadline := self._deadlines.pop(eio_sid, None):
            deadline.cancel()
        await super()._handle_eio_disconnect(eio_sid, reason)

    async def _handle_ack(self, *_: Any) -> None:
        """Acknowledgements are not served: we never ask for any, and an unknown one corrupts the counter."""
