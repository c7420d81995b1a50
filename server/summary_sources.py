"""Summary sources over HTTP: `core.ports.summary.SummarySource` for platforms that answer signed questions."""

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from marshmallow import ValidationError

from core.domain.counters import Counters
from core.domain.principals import User
from core.schemas.summary import SourceAnswer
from server.sources import Source

TIMEOUT_S = 1.0
FRESH_S = 5.0
MAX_REMEMBERED = 10_000
MAX_IN_FLIGHT = 20
MAX_BYTES = 16 << 10
FAILURES_OF_AN_OUTAGE = 3
"""In a row; fewer may be about one person, or a connection that was just closed."""
LEFT_ALONE_S = 5.0
_IDLE_S = 2.0
"""Platforms close idle connections, many after 5 s and some after 2: a question must not meet that moment."""

_NOTHING: Counters = {}
_ANSWER = SourceAnswer()
_logger = logging.getLogger(__name__)


class HttpSummarySource:
    """One platform. Its answers are kept for 5 s; while it fails, it is left alone, and then tried by one question.

    `asked`, `failed` and `spared` count questions: sent, sent in vain, and not sent at all.
    """

    def __init__(
        self, http: ClientSession, source: Source, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._source = source
        self._clock = clock
        self._answers: dict[str, tuple[float, Counters]] = {}
        self._asking: dict[str, asyncio.Task[Counters]] = {}
        self._failures = 0
        self._left_alone_until = 0.0
        self.asked = self.failed = self.spared = 0

    async def counters(self, user: User) -> Counters:
        answered_at, counters = self._answers.get(user.id, (None, _NOTHING))
        if answered_at is not None and self._clock() - answered_at < FRESH_S:
            return counters
        asking = self._asking.get(user.id)
        if asking is None:
            if not self._may_ask():
                self.spared += 1
                return _NOTHING
            asking = self._asking[user.id] = asyncio.create_task(self._ask(user), name="summary source")
        # All who wait share one question, and one who leaves ends it for nobody.
        return await asyncio.shield(asking)

    async def close(self) -> None:
        """Give up what is being asked."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _is_away(self) -> bool:
        return self._failures >= FAILURES_OF_AN_OUTAGE

    def _may_ask(self) -> bool:
        if self._is_away:
            return not self._asking and self._clock() >= self._left_alone_until
        return len(self._asking) < MAX_IN_FLIGHT

    async def _ask(self, user: User) -> Counters:
        self.asked += 1
        try:
            counters = _read(await self._post(_question(user)))
        except (ClientError, TimeoutError, OSError, ValueError, _UnusableError) as error:
            self._fail(error)
            return _NOTHING
        else:
            self._succeed(user.id, counters)
            return counters
        finally:
            del self._asking[user.id]

    async def _post(self, body: bytes) -> bytes:
        answer = bytearray()
        headers = signed_headers(self._source.secret, int(time.time()), body)
        # A redirect could lead from https to http, or to a machine that nobody named.
        async with self._http.post(
            self._source.url, data=body, headers=headers, allow_redirects=False
        ) as response:
            if response.status != 200:  # noqa: PLR2004
                raise _UnusableError(f"status {response.status}")
            async for chunk in response.content.iter_any():
                answer += chunk
                if len(answer) > MAX_BYTES:
                    raise _UnusableError("too large")
        return bytes(answer)

    def _succeed(self, user_id: str, counters: Counters) -> None:
        if self._is_away:
            _logger.info("✅ [摘要] 摘要来源已恢复: %s", self._source.name)
        self._failures = 0
        self._answers.pop(user_id, None)
        while len(self._answers) >= MAX_REMEMBERED:
            del self._answers[next(iter(self._answers))]
        self._answers[user_id] = (self._clock(), counters)

    def _fail(self, error: Exception) -> None:
        self.failed += 1
        self._failures += 1
        self._left_alone_until = self._clock() + LEFT_ALONE_S
        if self._failures == FAILURES_OF_AN_OUTAGE:
            # Of others' errors only the name: their texts may hold the URL, and that a password.
            reason = error if isinstance(error, _UnusableError) else type(error).__name__
            _logger.warning("❌ [摘要] 摘要来源没有正常应答: %s: %s", self._source.name, reason)


class _UnusableError(Exception):
    """What was answered are no counters."""


def _question(user: User) -> bytes:
    return orjson.dumps(
        {
            "user_id": user.id,
            "username": user.username,
            "roles": sorted(user.roles),
            "projects": {project: sorted(roles) for project, roles in sorted(user.projects.items())},
        }
    )


def signed_headers(secret: str, timestamp: int, body: bytes) -> dict[str, str]:
    """What goes with a body at a moment in Unix seconds, so that a platform knows that we ask, and just now."""
    signature = hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",  # few bytes must not become many
        "X-Notify-Timestamp": str(timestamp),
        "X-Notify-Signature": f"sha256={signature}",
    }


def _read(body: bytes) -> Counters:
    try:
        counters: Counters = _ANSWER.load(orjson.loads(body))
    except (ValueError, ValidationError) as error:
        raise _UnusableError("no counters") from error
    return counters


@asynccontextmanager
async def opened_sources(sources: Sequence[Source]) -> AsyncIterator[tuple[HttpSummarySource, ...]]:
    """The sources, for as long as the block runs."""
    async with ClientSession(
        timeout=ClientTimeout(total=TIMEOUT_S),
        connector=TCPConnector(limit=0, keepalive_timeout=_IDLE_S),  # bounded by what is in flight
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
    ) as http:
        opened = tuple(HttpSummarySource(http, source) for source in sources)
        try:
            yield opened
        finally:
            await asyncio.gather(*(source.close() for source in opened))
