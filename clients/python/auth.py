"""Where a client's token comes from: given once, asked for each time, or a login that renews itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp

from .errors import LoginError

REQUEST_TIMEOUT_S = 10.0
RENEW_BEFORE_S = 60.0


class Tokens(Protocol):
    """`token` returns one that is good now, as far as is known; `refresh` insists on another one.

    Both may raise LoginError (final) and aiohttp.ClientError or TimeoutError (may pass).
    `refreshable` False: `refresh` is never worth a call. `renewal_due_s` is the time until an open connection
    should be given a new token, None when that is not known.
    """

    @property
    def refreshable(self) -> bool: ...

    async def token(self) -> str: ...

    async def refresh(self) -> str: ...

    def renewal_due_s(self) -> float | None: ...


class FixedToken:
    """One token, or the API key of a person."""

    refreshable = False

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        return self._token

    async def refresh(self) -> str:
        return self._token

    def renewal_due_s(self) -> float | None:
        return None


class ProvidedToken:
    """Tokens from the caller's coroutine function, asked anew for each connection."""

    refreshable = True

    def __init__(self, provide: Callable[[], Awaitable[str]]) -> None:
        self._provide = provide

    async def token(self) -> str:
        return await self._provide()

    async def refresh(self) -> str:
        return await self._provide()

    def renewal_due_s(self) -> float | None:
        return None


class TokenSource:
    """A login that renews its access token with the rotating refresh token. Made by `login`.

    `user` is who logged in, as the server describes them. When the refresh token itself is refused (it expired,
    was revoked, or was used elsewhere), LoginError: only a new login helps.
    """

    refreshable = True

    def __init__(self, url: str, granted: dict[str, Any]) -> None:
        self._url = url
        self._renewing = asyncio.Lock()
        self._take(granted)

    async def token(self) -> str:
        return self._access_token if self.renewal_due_s() > 0 else await self.refresh()

    async def refresh(self) -> str:
        """Callers that come while one renewal is under way share it: a refresh token is good once."""
        seen = self._access_token
        async with self._renewing:
            if self._access_token == seen:
                self._take(await _post(self._url, "auth/refresh", {"refresh_token": self._refresh_token}))
        return self._access_token

    def renewal_due_s(self) -> float:
        return max(self._renew_at - time.monotonic(), 0.0)

    def _take(self, granted: dict[str, Any]) -> None:
        expires_in_s = max(float(granted["expires_in"]), 1.0)
        self._access_token: str = granted["access_token"]
        self._refresh_token: str = granted["refresh_token"]
        self._renew_at = time.monotonic() + expires_in_s - min(RENEW_BEFORE_S, expires_in_s / 5)
        self.user: dict[str, Any] = granted.get("user") or {}


async def login(url: str, username: str, password: str) -> TokenSource:
    """Log in at the server `url`. LoginError when it refuses, aiohttp.ClientError when it is not reached."""
    return TokenSource(url, await _post(url, "auth/login", {"username": username, "password": password}))


def tokens_from(token: str | Callable[[], Awaitable[str]] | Tokens) -> Tokens:
    if isinstance(token, str):
        return FixedToken(token)
    return ProvidedToken(token) if callable(token) else token


def api_url(url: str, path: str) -> str:
    return f"{url.rstrip('/')}/api/v1/{path}"


def error_of(body: Any) -> dict[str, Any]:
    """The `error` object of an answer, {} when it has none, e.g. from a balancer."""
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


async def body_of(response: aiohttp.ClientResponse) -> Any:
    """The JSON of an answer, None when it is something else."""
    try:
        return await response.json(content_type=None)
    except ValueError:
        return None


async def _post(url: str, path: str, fields: dict[str, str]) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        http.post(api_url(url, path), json=fields) as response,
    ):
        body = await body_of(response)
        if (
            response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            or response.status == HTTPStatus.TOO_MANY_REQUESTS
        ):
            response.raise_for_status()
        if response.status != HTTPStatus.OK or not isinstance(body, dict):
            error = error_of(body)
            raise LoginError(response.status, error.get("code", "unexpected"), error.get("message", ""))
        return body
