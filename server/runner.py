"""The runner: HTTP connections that answer also what is no HTTP in the one form of refusals."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web

from api.middleware import refused
from realtime.turnstile import Turnstile

_A_TURN = 64
"""How many connections are heard, or ended, in one turn of the loop: the others, and timers, have their turn too."""

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_logger = logging.getLogger(__name__)


class Runner(web.AppRunner):
    """Serves the application; `shutdown_timeout` is how long it waits for requests when it stops."""

    async def setup(self) -> None:
        await super().setup()
        server = super().server
        if server is None:
            raise RuntimeError("A runner that is set up has a server.")
        server.request_handler = partial(_answer, server.request_handler)

    @property
    def server(self) -> Any:
        """What makes the protocol of a connection, once it is set up; sites ask for it."""
        server = super().server
        if server is None:
            return None
        options: dict[str, Any] = {
            "loop": asyncio.get_running_loop(),
            "access_log": None,
            "auto_decompress": False,  # also what is refused already is read to its end
            "turnstile": Turnstile(_A_TURN),
        }
        return partial(_Connection, server, **options)


class _Connection(web.RequestHandler):
    """One connection. What the parser refuses reaches no middleware: a line over 8 KiB, an unknown method."""

    __slots__ = ("_turnstile",)

    def __init__(self, *args: Any, turnstile: Turnstile, **options: Any) -> None:
        super().__init__(*args, **options)
        self._turnstile = turnstile

    def data_received(self, data: bytes) -> None:
        if self._turnstile.is_open:
            self._turnstile.enter(partial(super().data_received, data))
        elif (transport := self.transport) is not None:
            transport.pause_reading()  # so that no more than this waits here
            self._turnstile.enter(partial(self._receive_late, transport, data))

    def _receive_late(self, transport: asyncio.Transport, data: bytes) -> None:
        super().data_received(data)
        if not (self._reading_paused or self._buffer_paused or transport.is_closing()):
            transport.resume_reading()

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it
        """Whether the connection stays open a little longer: to close thousands in one turn takes the kernel long."""
        transport = self.transport
        if transport is None or self._turnstile.is_open:
            self._turnstile.enter(super().eof_received)
            return False
        self._turnstile.enter(transport.close)
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        self._turnstile.enter(partial(super().connection_lost, exc))

    def log_exception(self, *args: Any, **options: Any) -> None:
        fault = options.get("exc_info")
        if isinstance(fault, web.RequestPayloadError):  # the rest of a body that was refused already
            _logger.debug("body not readable", extra={"fault": type(fault).__name__})
        else:
            super().log_exception(*args, **options)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:  # noqa: PLR2004 - our own fault, and the library says it
            return super().handle_error(request, status, exc, message)
        # Neither the answer nor the log repeats what came: it may hold a token, and anybody can send it.
        _logger.debug("not HTTP", extra={"fault": type(exc).__name__})
        response = refused(
            status,
            "malformed_request",
            "The request cannot be read: not HTTP, or a line or header that is too long.",
        )
        response.force_close()
        return response


async def _answer(handler: _Handler, request: web.BaseRequest) -> web.StreamResponse:
    """What the application answers. It looks at `Expect` before any middleware, and refuses in plain text."""
    try:
        return await handler(request)
    except web.HTTPExpectationFailed as error:
        return refused(error.status, "expectation_failed", "Only 100-continue can be expected.")
