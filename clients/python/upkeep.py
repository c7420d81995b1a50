"""What keeps a session in order beside its events: heartbeat, acknowledgement, renewal of the token."""

import asyncio
import logging
import time
from collections.abc import Callable
from http import HTTPStatus

import aiohttp

from .auth import Tokens, error_of
from .connection import Connection
from .errors import LoginError, UnreachableError
from .follow import Payload
from .state import ClientState

ACK_DELAY_S = 1.0
ANSWER_TIMEOUT_S = 5.0
MISSED_PONGS = 2

log = logging.getLogger("clients.python")


def standing(state: ClientState) -> Payload:
    """{epoch, position}, as `ping`, `ack` and `sync` carry it; a copy."""
    return {"epoch": state.epoch, "position": dict(state.position)}


class Heartbeat:
    """Unanswered pings are counted, not seconds: a process that was stopped and continued is not cut off for
    its sleep. A pong is put among the events, so that what it says is weighed behind those that came before it.
    """

    def __init__(self, connection: Connection, state: ClientState) -> None:
        self._connection = connection
        self._state = state
        self._unanswered = 0

    async def keep_beating(self, every_s: float, also: Callable[[], None]) -> None:
        """Ping, and call `also`, at each beat; cut the connection when two pings stayed unanswered."""
        while True:
            await asyncio.sleep(every_s)
            if self._unanswered >= MISSED_PONGS:
                log.warning("💓 [WS] 连续 %d 次心跳无响应，断开重连", self._unanswered)
                self._connection.abort()
                return
            self._unanswered += 1
            log.info("💓 [WS] 发送心跳")
            ping = {"type": "ping", "timestamp": round(time.time() * 1000), **standing(self._state)}
            await self._connection.send("ping", ping, self._pong_after(time.monotonic()))
            also()

    def _pong_after(self, sent: float) -> Callable[[Payload], None]:
        def arrived(pong: Payload) -> None:
            self._unanswered = 0
            latency_ms = round((time.monotonic() - sent) * 1000)
            log.info("💓 [WS] 收到心跳响应 延迟: %dms", latency_ms)
            self._connection.deliver("pong", {**pong, "latency_ms": latency_ms})

        return arrived


class Acknowledgement:
    """Tells the server how far this client is: once for a burst, and only when there is something new."""

    def __init__(self, connection: Connection, state: ClientState) -> None:
        self._connection = connection
        self._state = state
        self._due = asyncio.Event()
        self._acknowledged: dict[str, int] = {}

    def note(self) -> None:
        """The position may have moved: it is told within `ACK_DELAY_S`."""
        self._due.set()

    async def keep_telling(self) -> None:
        while True:
            await self._due.wait()
            await asyncio.sleep(ACK_DELAY_S)
            self._due.clear()
            await self.tell(ANSWER_TIMEOUT_S)

    async def tell(self, timeout_s: float) -> None:
        """Best effort: what is not answered is told the next time."""
        told = standing(self._state)
        if told["epoch"] is None or told["position"] == self._acknowledged:
            return
        try:
            answer = await self._connection.call("ack", told, timeout_s)
        except (TimeoutError, UnreachableError):
            log.debug("an acknowledgement was not answered")
        else:
            if answer.get("ok"):
                self._acknowledged = told["position"]


async def keep_authenticated(connection: Connection, tokens: Tokens) -> None:
    """Give the open connection a new token shortly before the old one expires, where `tokens` can.

    When that is refused, the session is left to end by itself: the next connection learns why.
    """
    renewed = True
    try:
        while (due_s := tokens.renewal_due_s() if renewed else ANSWER_TIMEOUT_S) is not None:
            await asyncio.sleep(due_s)
            renewed = await _renewed(connection, tokens)
    except UnreachableError:
        return
    except LoginError as exc:
        log.warning("🔔 [WS] 令牌无法续期: %s", exc.code)


async def _renewed(connection: Connection, tokens: Tokens) -> bool:
    """Whether the server has a new token now; False: that may pass, though `tokens` may have renewed itself already.

    LoginError: it is refused. UnreachableError: the connection is closed.
    """
    try:
        token = await tokens.token()
        answer = await connection.call("authenticate", {"token": token}, ANSWER_TIMEOUT_S)
    except (aiohttp.ClientError, OSError) as exc:
        log.warning("🔔 [WS] 令牌续期失败，稍后再试: %s", type(exc).__name__)
        return False
    error = error_of(answer)
    if str(error.get("code")).startswith("token_"):
        raise LoginError(HTTPStatus.UNAUTHORIZED, str(error["code"]), str(error.get("message", "")))
    if not answer.get("ok"):
        log.warning("🔔 [WS] 服务器未接受新令牌，稍后再试: %s", error.get("code"))
    return bool(answer.get("ok"))
