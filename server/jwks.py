"""Key sets over HTTP: `core.ports.keys.Keys` for issuers that publish theirs at a URL."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout
from cryptography.exceptions import UnsupportedAlgorithm
from jwt import PyJWK, PyJWTError

from core.domain.errors import Unavailable

REFRESH_S = 3600.0
ASK_AGAIN_S = 10.0
CHECK_S = 60.0
TIMEOUT_S = 5.0
MAX_BYTES = 256 << 10

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _KeySet:
    """One issuer's keys as they were fetched last; `asked_at` is when an unknown key made us ask. Seconds, monotonic."""

    url: str
    keys: dict[str, PyJWK] = field(default_factory=dict)
    fetched_at: float | None = None
    asked_at: float | None = None
    failed: bool = False
    fetching: asyncio.Task[None] | None = None


class HttpKeys:
    """Key sets that are kept, refreshed every hour by `refresh`, and fetched anew for an unknown key."""

    def __init__(
        self, http: ClientSession, urls: Iterable[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._clock = clock
        self._sets = {url: _KeySet(url) for url in urls}

    async def key(self, url: str, kid: str) -> PyJWK | None:
        held = self._sets[url]
        if kid not in held.keys and self._may_ask(held):
            await self._fetched(held)
        key = held.keys.get(kid)
        if key is None and held.failed:
            raise Unavailable(
                "The issuer's keys cannot be had at the moment.",
                code="issuer_unavailable",
                retry_after_s=int(ASK_AGAIN_S),
            )
        return key

    async def refresh(self) -> None:
        """Fetch the sets that are an hour old, or were never had. What fails is tried again at the next call."""
        now = self._clock()
        old = [
            held
            for held in self._sets.values()
            if held.fetched_at is None or now - held.fetched_at >= REFRESH_S
        ]
        await asyncio.gather(*map(self._fetched, old))

    async def close(self) -> None:
        """Give up what is being fetched."""
        tasks = [held.fetching for held in self._sets.values() if held.fetching is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _may_ask(self, held: _KeySet) -> bool:
        """Whoever makes up key ids must not make us hammer the issuer; joining a fetch under way costs nothing."""
        if held.fetching is not None:
            return True
        now = self._clock()
        if held.asked_at is not None and now - held.asked_at < ASK_AGAIN_S:
            return False
        held.asked_at = now
        return True

    async def _fetched(self, held: _KeySet) -> None:
        """Return when the set was fetched, by one request for all who wait. One who leaves ends it for nobody."""
        if held.fetching is None:
            held.fetching = asyncio.create_task(self._fetch(held), name="key set")
        await asyncio.shield(held.fetching)

    async def _fetch(self, held: _KeySet) -> None:
        """Take the place of what is held; on any failure, that stays."""
        try:
            held.keys = _read_keys(await self._get(held.url))
            held.fetched_at = self._clock()
            held.failed = False
        except (ClientError, TimeoutError, OSError, _UnusableError) as error:
            held.failed = True
            # Of others' errors only the name: their texts may hold the URL, and that a password.
            reason = error if isinstance(error, _UnusableError) else type(error).__name__
            _logger.warning("❌ [JWKS] 无法取得密钥集: %s: %s", urlsplit(held.url).hostname, reason)
        finally:
            held.fetching = None

    async def _get(self, url: str) -> bytes:
        body = bytearray()
        # A redirect could lead from https to http, or to a machine that nobody named.
        async with self._http.get(url, allow_redirects=False) as response:
            if response.status != 200:  # noqa: PLR2004
                raise _UnusableError(f"status {response.status}")
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise _UnusableError("too large")
        return bytes(body)


class _UnusableError(Exception):
    """What was answered is no key set."""


def _read_keys(body: bytes) -> dict[str, PyJWK]:
    """The keys for signatures by their ids; those that we do not understand are left out."""
    try:
        entries = orjson.loads(body)["keys"]
    except (ValueError, TypeError, KeyError) as error:
        raise _UnusableError("no key set") from error
    keys: dict[str, PyJWK] = {}
    for entry in entries if isinstance(entries, list) else []:
        key = _read_key(entry)
        if key is not None and isinstance(key.key_id, str) and key.public_key_use in (None, "sig"):
            keys.setdefault(key.key_id, key)
    if not keys:
        raise _UnusableError("no key for signatures with an id")
    return keys


def _read_key(entry: Any) -> PyJWK | None:
    """One by one, and for whatever an odd key raises: it must not cost the others, as with `jwt.PyJWKSet`."""
    try:
        return PyJWK(entry) if isinstance(entry, dict) else None
    except (PyJWTError, UnsupportedAlgorithm, NotImplementedError, ValueError, TypeError, AttributeError):
        return None


@asynccontextmanager
async def opened_keys(urls: Iterable[str]) -> AsyncIterator[HttpKeys]:
    """The key sets at these URLs, for as long as the block runs."""
    async with ClientSession(timeout=ClientTimeout(total=TIMEOUT_S)) as http:
        keys = HttpKeys(http, urls)
        try:
            yield keys
        finally:
            await keys.close()
