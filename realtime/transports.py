"""The Engine.IO server: which requests open, carry and end a connection, by polling and by WebSocket."""

import asyncio
import logging
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import engineio
import orjson
from aiohttp import WSCloseCode, web

from realtime.background import Background
from realtime.connection import Connection
from realtime.intake import Flood
from realtime.outgoing import OutgoingPacket
from realtime.polling import BadPoll, Polling
from realtime.turnstile import Turnstile
from realtime.websocket import WebSocket

SWEEP_INTERVAL_S = 1.0
PROGRESS_DEADLINE_S = 10.0
ENDS_A_TURN = 64

# Numbers and texts as the reference server's.
_UNKNOWN_TRANSPORT = (0, "Transport unknown")
_UNKNOWN_SESSION = (1, "Session ID unknown")
_BAD_METHOD = (2, "Bad handshake method")
_BAD_REQUEST = (3, "Bad request")
_FORBIDDEN = (4, "Forbidden")
_BAD_VERSION = (5, "Unsupported protocol version")

_ID_BYTES = 15
_DRAWN_AT_ONCE = 256

_logger = logging.getLogger(__name__)


def _draws(size_bytes: int) -> Iterator[bytes]:
    """Secret bytes, drawn for many at once: each draw gives up the interpreter, and waits to get it back."""
    while True:
        drawn = secrets.token_bytes(size_bytes * _DRAWN_AT_ONCE)
        for at in range(0, len(drawn), size_bytes):
            yield drawn[at : at + size_bytes]


class Engine(engineio.AsyncServer):  # type: ignore[misc]
    """The library's server with connections of our own. `sockets` are those that are not closed, by sid."""

    sockets: dict[str, Connection]
    id_prefix = ""
    close_code: int = WSCloseCode.OK
    """What WebSockets that we close say."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.background = Background()
        self._turnstile = Turnstile(ENDS_A_TURN)
        self._sweeping = False
        self._draws = _draws(_ID_BYTES)

    def generate_id(self) -> str:
        return f"{self.id_prefix}{urlsafe_b64encode(next(self._draws)).decode()}"

    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None:
        app.router.add_route("*", f"/{engineio_path.strip('/')}/", self.handle_request)

    def _cors_allowed_origins(self, environ: dict[str, Any]) -> list[str]:
        """The configured origins and the server's own: never everybody, and never what X-Forwarded-Host says."""
        scheme = environ["wsgi.url_scheme"].partition(",")[0].strip()
        return [*(self.cors_allowed_origins or ()), f"{scheme}://{environ.get('HTTP_HOST', '')}"]

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        environ = self._async["translate_request"](request)
        headers = self._cors_headers(environ)
        if (fault := self._fault(request, environ)) is not None:
            return _refused(400, *fault, headers)
        if request.method == "OPTIONS":
            return web.Response(headers=headers)
        if request.query["transport"] == "websocket":
            return await self._serve_websocket(request)
        return await self._serve_polling(request, headers)

    def _fault(self, request: web.Request, environ: dict[str, Any]) -> tuple[int, str] | None:
        """What is wrong with the request, if anything is."""
        origin = environ.get("HTTP_ORIGIN")
        if origin and origin not in self._cors_allowed_origins(environ):
            return _FORBIDDEN
        if request.method == "OPTIONS":
            return None
        transport, sid = request.query.get("transport", ""), request.query.get("sid")
        if transport not in self.transports:
            return _UNKNOWN_TRANSPORT
        if transport == "websocket" and request.headers.get("Upgrade", "").lower() != "websocket":
            return _BAD_REQUEST
        if request.method not in ("GET", "POST"):
            return _BAD_METHOD
        return self._fault_of_opening(request) if sid is None else self._fault_of_session(sid, transport)

    @staticmethod
    def _fault_of_opening(request: web.Request) -> tuple[int, str] | None:
        if request.query.get("EIO") != "4":
            return _BAD_VERSION
        return None if request.method == "GET" else _BAD_METHOD

    def _fault_of_session(self, sid: str, transport: str) -> tuple[int, str] | None:
        connection = self.sockets.get(sid)
        if connection is None or connection.ending or connection.is_late:
            return _UNKNOWN_SESSION
        return _BAD_REQUEST if transport == "polling" and connection.upgraded else None

    async def _serve_polling(
        self, request: web.Request, headers: list[tuple[str, str]]
    ) -> web.StreamResponse:
        sid = request.query.get("sid")
        if sid is None:
            connection = await self._begin(None)
        else:
            connection = self.sockets[sid]
        polling = connection.polling
        if polling is None:
            return _refused(400, *_BAD_REQUEST, headers)
        try:
            if request.method == "GET":
                return await polling.get(request, headers)
            await polling.post(request, self.max_http_buffer_size)
        except BadPoll as fault:
            connection.refuse()
            return _refused(fault.status, _BAD_REQUEST[0], str(fault), headers)
        if connection.ending and not connection.closing:
            return _refused(400, *_BAD_REQUEST, headers)
        return web.Response(text="ok", headers=headers)

    async def _serve_websocket(self, request: web.Request) -> web.StreamResponse:
        sid = request.query.get("sid")
        websocket = WebSocket(self.max_http_buffer_size, self.background)
        try:
            answer = await websocket.open(request)
        except ConnectionError:
            return web.Response(status=400)  # which nobody will read
        if sid is None:
            connection = await self._begin(websocket)
        else:
            known = self.sockets.get(sid)
            if known is None or not await known.upgrade(websocket):
                websocket.close()
                return answer
            connection = known
        websocket.listen(partial(self._arrived, connection, websocket))
        return answer

    def _arrived(self, connection: Connection, websocket: WebSocket) -> None:
        if not connection.is_read:
            connection.is_read = True
            self.background.start(self._read(connection, websocket), "read")

    async def _read(self, connection: Connection, websocket: WebSocket) -> None:
        """Handle what has arrived, one packet after the other, and the end."""
        is_over = True
        try:
            while not connection.ending and (content := await websocket.take()) is not None:
                await connection.receive(content)
            is_over = connection.ending or websocket.has_ended
        except ValueError:
            connection.refuse(WSCloseCode.UNSUPPORTED_DATA)
        except Flood:
            connection.refuse()
        finally:
            if is_over:
                await self._turnstile.pass_through()
                await connection.close(reason=self.reason.TRANSPORT_CLOSE)
                websocket.listen(None)
            else:
                connection.is_read = False

    async def _begin(self, websocket: WebSocket | None) -> Connection:
        if not self._sweeping:
            self._sweeping = True
            self.background.repeat(self._sweep, SWEEP_INTERVAL_S, "sockets sweep")
        sid = self.generate_id()
        connection = self.sockets[sid] = Connection(self, sid)
        if websocket is None:
            connection.polling = Polling(connection)
        else:
            connection.websocket = websocket
            websocket.carry(connection.queue)
        opening = {
            "sid": sid,
            "upgrades": ["websocket"] if websocket is None and "websocket" in self.transports else [],
            "pingInterval": round(self.ping_interval * 1000),
            "pingTimeout": round(self.ping_timeout * 1000),
            "maxPayload": self.max_http_buffer_size,
        }
        connection.queue.put_nowait(OutgoingPacket(f"0{orjson.dumps(opening).decode()}"))
        # Of the request nothing is kept: with its headers it may be a megabyte, for as long as the connection lasts.
        await self._trigger_event("connect", sid, {}, run_async=False)
        connection.start()
        return connection

    async def _trigger_event(self, event: str, *args: Any, run_async: bool = False) -> Any:  # noqa: ARG002 - the library's
        """Call what the Socket.IO server registered, a coroutine; the library looks anew each time whether it is one."""
        try:
            return await self.handlers[event](*args)
        except Exception:
            # The edge of a connection: what goes wrong above must not keep it from ending.
            _logger.exception("socket event failed", extra={"event_name": event})
            return None

    async def _sweep(self) -> None:
        """Cut connections on which bytes wait, and nothing gets any further."""
        now = asyncio.get_running_loop().time()
        for connection in list(self.sockets.values()):
            if connection.websocket is not None and connection.websocket.is_stuck(now, PROGRESS_DEADLINE_S):
                _logger.info("a connection makes no progress")
                connection.cut(self.reason.TRANSPORT_ERROR)

    async def send(self, sid: str, data: str | bytes) -> None:
        """Send a Socket.IO packet, or one of its attachments; to nobody when the connection is gone."""
        connection = self.sockets.get(sid)
        if connection is not None and not connection.ending:
            connection.send(OutgoingPacket(f"4{data}" if isinstance(data, str) else data))

    async def send_packet(self, sid: str, pkt: Any) -> None:
        await self.send(sid, pkt.data)

    async def disconnect(self, sid: str | None = None) -> None:
        """Close a connection, or all of them."""
        for connection in list(self.sockets.values()) if sid is None else [self.sockets.get(sid)]:
            if connection is not None:
                await connection.close(reason=self.reason.SERVER_DISCONNECT)

    async def shutdown(self) -> None:
        self._sweeping = False
        await self.background.close()


def _refused(status: int, code: int, message: str, headers: Iterable[tuple[str, str]]) -> web.StreamResponse:
    body = orjson.dumps({"code": code, "message": message})
    return web.Response(status=status, body=body, content_type="application/json", headers=tuple(headers))
