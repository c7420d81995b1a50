"""The client: stay connected, come back after every loss, apply each notification once and in order."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Unpack

import aiohttp

from .auth import Tokens, tokens_from
from .connection import TRANSPORTS, Connection, open_connection
from .errors import HandlerFailedError, RefusedError, SessionEndedError, UnreachableError
from .follow import Payload
from .handlers import Handlers, call_handler
from .journal import StateKeeper, open_state
from .retry import Retry
from .session import End, Failure, Failures, Session

HANDLER_TRIES = 5

log = logging.getLogger("clients.python")


class NotificationClient:
    """Receives the notifications of one person from the server at `url`.

    `token` is a token or an API key of a person, a coroutine function that returns one, or a `TokenSource`.
    With `state`, the path of a file, the client goes on where it was when it runs again; without it, it begins
    live. The handlers are called one at a time, in the order of the log, each notification once; the position
    is stored after the handler returned. A handler that raises gets the same event again over a new connection,
    `HANDLER_TRIES` times in a row at most. A crash between the end of a handler and the storing, or a handler
    that raised halfway, means a second call: at least once there, with the notification's `id` to tell.
    """

    def __init__(
        self,
        url: str,
        token: str | Callable[[], Awaitable[str]] | Tokens,
        *,
        state: Path | str | None = None,
        transports: Sequence[str] = TRANSPORTS,
        **handlers: Unpack[Handlers],
    ) -> None:
        self._url = url
        self._tokens = tokens_from(token)
        self._state_path = None if state is None else Path(state)
        self._transports = transports
        self._handlers = handlers
        self._retry = Retry()
        self._attempt = 0
        self._failures = Failures()
        self._session: Session | None = None
        self._closing = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Return after `close`. RefusedError, SessionEndedError, LoginError: the server does not want us.
        HandlerFailedError: a handler raised `HANDLER_TRIES` times for one event. StateFileError: see there.
        Being offline ends nothing: `run` waits for `retry_now` or `close`.
        """
        keeper = open_state(self._state_path)
        try:
            while not self._closing.is_set():
                end = await self._live_once(keeper)
                if not self._closing.is_set():
                    await self._recover(end)
        finally:
            keeper.close()
            await self._become("closed")

    def close(self) -> None:
        """Let `run` end: after the handler that is running, and a last acknowledgement."""
        self._closing.set()
        self._hurry.set()
        if self._session is not None:
            self._session.stop()

    def retry_now(self) -> None:
        """Come back at once from waiting or from offline, with all tries ahead again."""
        self._attempt = 0
        self._hurry.set()

    async def _live_once(self, keeper: StateKeeper) -> End:
        """One session, from connecting to its end."""
        await self._become("connecting", attempt=self._attempt)
        try:
            connection = await self._unless_closing(self._connect(keeper))
        except (UnreachableError, aiohttp.ClientError, OSError) as exc:
            log.warning("❌ [WS] 通知连接出错: %s", type(exc.__cause__ or exc).__name__)
            return End("unreachable")
        if connection is None:
            return End("stopped")
        try:
            return await self._converse(connection, keeper)
        finally:
            self._session = None
            await connection.close()

    async def _connect(self, keeper: StateKeeper) -> Connection:
        """RefusedError is final, but for an expired token that can be renewed: that is tried once."""
        token = await self._tokens.token()
        try:
            return await self._open(keeper, token)
        except RefusedError as exc:
            if exc.code != "token_expired" or not self._tokens.refreshable:
                raise
        return await self._open(keeper, await self._tokens.refresh())

    async def _open(self, keeper: StateKeeper, token: str) -> Connection:
        auth: Payload = {"token": token}
        if keeper.state.epoch is not None:
            auth |= {"epoch": keeper.state.epoch, "position": dict(keeper.state.position)}
        return await open_connection(self._url, auth, self._transports)

    async def _converse(self, connection: Connection, keeper: StateKeeper) -> End:
        log.info("🔔 [WS] 通知服务连接成功: %s", self._url)
        session = Session(connection, keeper, self._tokens, self._handlers, self._became_live, self._failures)
        self._session = session
        if self._closing.is_set():
            session.stop()
        end = await session.run()
        self._retry = session.retry or self._retry
        log.info("🔔 [WS] 通知连接已关闭: %s", end.reason)
        return end

    async def _became_live(self) -> None:
        self._attempt = 0
        await self._become("live")

    async def _recover(self, end: End) -> None:
        """Wait as long as the end of the last session asks for, or raise if there is no way on."""
        self._hurry.clear()
        if not end.retry:
            raise SessionEndedError(end.reason)
        if end.failure is not None:
            self._survive(end.failure)
        if end.retry_ms is not None:  # the server was reached, and wants them back
            self._attempt = 0
        if self._attempt >= self._retry.tries:
            log.warning("🔔 [WS] 已达到最大重连次数")
            await self._become("offline")
            await self._hurry.wait()
            self._attempt = 0
        else:
            await self._wait(end.retry_ms)
        if not self._closing.is_set():
            log.info("🔔 [WS] 尝试重连通知服务...")

    async def _wait(self, retry_ms: int | None) -> None:
        chance = random.random()  # noqa: S311  # jitter is no secret
        delay_ms = self._retry.delay_ms(self._attempt, chance) if retry_ms is None else retry_ms
        self._attempt += 1
        log.info("🔔 [WS] 将在 %dms 后尝试重连（第 %d 次）", delay_ms, self._attempt)
        await self._become("waiting", attempt=self._attempt, delay_ms=delay_ms)
        try:
            async with asyncio.timeout(delay_ms / 1000):
                await self._hurry.wait()
        except TimeoutError:
            return

    def _survive(self, failure: Failure) -> None:
        """A handler's failure says nothing about the server: all tries to reach it are ahead again."""
        self._attempt = 0
        log.error("❌ [WS] 处理函数出错，将重新接收: %s", type(failure.error).__name__)
        if failure.times >= HANDLER_TRIES:
            raise HandlerFailedError(
                f"the handler of {failure.event} raised {failure.times} times for the same event"
            ) from failure.error

    async def _become(self, state: str, **more: Any) -> None:
        await call_handler(self._handlers.get("on_state"), {"state": state, **more})

    async def _unless_closing(self, opening: Coroutine[Any, Any, Connection]) -> Connection | None:
        """What was opened, or None when `close` comes first; `opening` is cancelled then."""
        working = asyncio.create_task(opening)
        closing = asyncio.create_task(self._closing.wait())
        try:
            await asyncio.wait({working, closing}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        except asyncio.CancelledError:
            if working.done() and not working.cancelled() and working.exception() is None:
                await working.result().close()  # nobody else knows of it
            raise
        finally:
            for task in (working, closing):
                task.cancel()
            await asyncio.wait({working, closing})
