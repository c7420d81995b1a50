"""One Socket.IO connection, from its handshake to its end. It is never revived: each try makes a new one.

Events come out of `next` in the order of the wire. python-socketio starts one task an event, so the functions
registered with it are synchronous and only append to the inbox: tasks start in the order they were made, and a
function that does not await cannot be overtaken. The inbox is bounded; what does not fit is not dropped from
the middle: the connection is closed, what was received is still handed out, and the next connection resumes.
"""

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import aiohttp
import engineio
import socketio
from engineio.base_client import connected_clients

from .errors import ClientError, RefusedError, UnreachableError
from .follow import Payload

INBOX_EVENTS = 8192
CONNECT_TIMEOUT_S = 10.0
GOODBYE_TIMEOUT_S = 1.0
CLOSE_TIMEOUT_S = 2.0
EVENTS = ("session", "notification", "changed", "summary", "inbox", "rooms")
TRANSPORTS = ("websocket", "polling")

CONNECT_FAILURES = (
    socketio.exceptions.ConnectionError,
    aiohttp.ClientError,
    OSError,
    *(ValueError, TypeError, LookupError),  # what the libraries raise when the answer is not Engine.IO at all
)

log = logging.getLogger("clients.python")
transport_log = logging.getLogger("clients.python.transport")
transport_log.setLevel(logging.ERROR)  # the libraries log tokens and texts at INFO, and each close at WARNING


class Connection:
    """Made by `open_connection`; `close` must follow."""

    def __init__(self) -> None:
        tracing = aiohttp.TraceConfig()
        tracing.on_request_end.append(self._note_response)
        self._responses: WeakSet[aiohttp.ClientResponse] = WeakSet()
        self._http = aiohttp.ClientSession(trace_configs=[tracing])
        self._sio = socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            logger=transport_log,
            engineio_logger=transport_log,
            http_session=self._http,
            websocket_extra_options={"timeout": aiohttp.ClientWSTimeout(ws_close=GOODBYE_TIMEOUT_S)},
        )
        self._inbox: deque[tuple[str, Payload]] = deque()
        self._stirred = asyncio.Event()
        self._closed = asyncio.Event()
        self._unanswered: set[asyncio.Future[Payload]] = set()
        self._full = False
        self._cutting: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[ClientError | None] = asyncio.get_running_loop().create_future()
        self._sio.on("connect", self._accept)
        self._sio.on("connect_error", self._refuse)
        for event in EVENTS:
            self._sio.on(event, self._receiver(event))

    async def open(self, url: str, auth: Payload, transport: str) -> None:
        """Return when the server accepted. RefusedError: it said no, with a code. UnreachableError: anything
        that may pass.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._sio.connect(
                    url,
                    auth=auth,
                    transports=[transport],
                    socketio_path=f"{urlsplit(url).path.rstrip('/')}/socket.io",
                    wait=False,
                )
                self._sio.eio.read_loop_task.add_done_callback(self._ended)
                error = await self._answer
        except CONNECT_FAILURES as exc:
            raise UnreachableError(str(exc) or type(exc).__name__) from exc
        if error is not None:
            raise error

    async def next(self) -> tuple[str, Payload] | None:
        """The next event; None when the connection is closed and everything received was handed out."""
        while not self._inbox:
            if self._closed.is_set():
                return None
            self._stirred.clear()
            await self._stirred.wait()
        return self._inbox.popleft()

    async def send(
        self, event: str, payload: Payload, acknowledged: Callable[[Payload], None] | None = None
    ) -> None:
        """Send, or do nothing on a closed connection. `acknowledged` is called in the order of the wire: if it
        calls `deliver`, the answer takes its place among the events.
        """
        try:
            await self._sio.emit(event, payload, callback=acknowledged and _payload_of(acknowledged))
        except socketio.exceptions.BadNamespaceError:
            log.debug("not sent, the connection is closed: %s", event)

    async def call(self, event: str, payload: Payload, timeout_s: float) -> Payload:
        """Send and wait for the answer. TimeoutError: none came. UnreachableError: the connection is closed."""
        answer: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()

        def settle(reply: Payload) -> None:
            if not answer.done():
                answer.set_result(reply)

        if self._closed.is_set():
            raise UnreachableError("the connection is closed")
        self._unanswered.add(answer)
        try:
            async with asyncio.timeout(timeout_s):
                await self.send(event, payload, settle)
                return await answer
        finally:
            self._unanswered.discard(answer)

    def deliver(self, event: str, payload: Payload) -> None:
        """Put an event behind those that came before it."""
        if self._full:
            return
        if len(self._inbox) >= INBOX_EVENTS:
            self._full = True
            log.warning("🔔 [WS] 处理太慢，断开后从当前位置恢复")
            self.abort()
            return
        self._inbox.append((event, payload))
        self._stirred.set()

    def abort(self) -> None:
        """Cut the transport without asking the peer, who may be gone. The engine's own loops notice and end."""
        websocket = self._sio.eio.ws
        raw = websocket.get_extra_info("socket") if websocket is not None else None
        if raw is None:
            self._cutting = self._cutting or asyncio.create_task(self._http.close())
            return
        try:
            with socket.socket(fileno=os.dup(raw.fileno())) as ours:  # uvloop's own may not be shut down
                ours.shutdown(socket.SHUT_RDWR)
        except OSError as exc:
            log.debug("already cut: %s", exc)

    async def close(self) -> None:
        """Say good-bye if the peer still answers, and free everything in any case."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._sio.disconnect()
        except TimeoutError:
            log.debug("no good-bye: the transport is stuck")
            if self._sio.eio in connected_clients:  # where the library keeps what it did not see end
                connected_clients.remove(self._sio.eio)
        await (self._cutting or self._http.close())
        loops = {loop for loop in (self._sio.eio.read_loop_task, self._sio.eio.write_loop_task) if loop}
        if loops:
            _, stuck = await asyncio.wait(loops, timeout=CLOSE_TIMEOUT_S)
            for loop in stuck:
                loop.cancel()
        for response in self._responses:  # the engine drops a WebSocket that does not begin as it should
            response.close()

    async def _note_response(self, _: object, __: object, request: aiohttp.TraceRequestEndParams) -> None:
        self._responses.add(request.response)

    def _accept(self) -> None:
        self._settle(None)

    def _refuse(self, reason: Any = None) -> None:
        """A refusal carries a code. Without one it is some failure on the way, and may pass."""
        data = reason.get("data") if isinstance(reason, dict) else None
        if isinstance(data, dict) and "code" in data:
            self._settle(RefusedError(str(data["code"]), str(reason.get("message", ""))))
        else:
            self._settle(UnreachableError("the server did not accept the connection"))

    def _settle(self, error: ClientError | None) -> None:
        if not self._answer.done():
            self._answer.set_result(error)

    def _receiver(self, event: str) -> Callable[..., None]:
        def receive(payload: Any = None, *_: Any) -> None:
            if isinstance(payload, dict):
                self.deliver(event, payload)

        return receive

    def _ended(self, reader: asyncio.Task[None]) -> None:
        if not reader.cancelled() and reader.exception() is not None:
            log.warning("🔔 [WS] 读取中断: %s", type(reader.exception()).__name__)
        lost = UnreachableError("closed before the server had answered")
        self._settle(lost)
        for answer in self._unanswered:
            if not answer.done():
                answer.set_exception(lost)
        self._closed.set()
        self._stirred.set()


async def open_connection(url: str, auth: Payload, transports: Sequence[str] = TRANSPORTS) -> Connection:
    """Try each transport in turn, the next only when the one before could not be opened at all."""
    for transport in transports:
        connection = Connection()
        try:
            await connection.open(url, auth, transport)
        except UnreachableError as exc:
            await connection.close()
            if transport == transports[-1] or not _never_opened(exc):
                raise
        except BaseException:  # also when cancelled: nobody else knows of it
            await connection.close()
            raise
        else:
            return connection
    raise ValueError("no transport is allowed")


def _never_opened(exc: UnreachableError) -> bool:
    refused = exc.__cause__
    return isinstance(refused, socketio.exceptions.ConnectionError) and isinstance(
        refused.__cause__, engineio.exceptions.ConnectionError
    )


def _payload_of(acknowledged: Callable[[Payload], None]) -> Callable[..., None]:
    def receive(payload: Any = None, *_: Any) -> None:
        acknowledged(payload if isinstance(payload, dict) else {})

    return receive
