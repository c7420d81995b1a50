"""Publishing over HTTP: each call is accepted once, however often it has to be sent."""

import asyncio
import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, NotRequired, Self, TypedDict, Unpack

import aiohttp

from .auth import api_url, body_of, error_of
from .errors import PublishError
from .retry import Retry

REQUEST_TIMEOUT_S = 10.0
GIVE_UP_AFTER_S = 30.0
RETRY = Retry(first_ms=200, max_ms=5000)
ACCEPTED = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})
RETRIED_STATUSES = frozenset({429, 502, 503, 504})  # too much, or a server that is away behind its balancer


class Content(TypedDict, total=False):
    """The optional fields of a notification, as on the wire; `expires_at` is RFC 3339."""

    type: str
    level: str
    urgent: bool
    content: str
    data: Any
    link: str
    thread: str
    settles: bool
    expires_at: str


class Draft(Content):
    """One notification of a batch."""

    to: Sequence[str]
    title: str
    idempotency_key: NotRequired[str]


@dataclass(frozen=True, slots=True)
class PublishResult:
    """Accepted, hence durable. `postings` has the offset per room; `connections` and `servers` are who was
    online at about that moment, None when unknown; `duplicate` means that the key had been accepted before.
    """

    id: str
    created_at: str | None
    postings: dict[str, int]
    connections: int | None
    servers: int | None
    duplicate: bool
    idempotency_key: str


class Publisher:
    """Publishes as a person (`token`) or as a program (`api_key`). Use as an asynchronous context manager.

    A request that met no answer, 429 or an unavailable server is sent again with the same idempotency key,
    after what Retry-After asks for or 200 ms, doubled, at most 5 s, plus 0–20 %; never after another refusal.
    After `give_up_after_s` in all, PublishError.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        api_key: str | None = None,
        give_up_after_s: float = GIVE_UP_AFTER_S,
    ) -> None:
        if (token is None) == (api_key is None):
            raise ValueError("give either a token or an API key")
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if api_key is None else {"X-API-Key": api_key}
        self._give_up_after_s = give_up_after_s
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def publish(
        self, *, to: Sequence[str], title: str, idempotency_key: str | None = None, **content: Unpack[Content]
    ) -> PublishResult:
        """Publish one notification. Without a key one is made, good for the retries of this call only."""
        key = idempotency_key or uuid.uuid4().hex
        body = {"to": list(to), "title": title, **content}
        status, answer = await self._post("notifications", body, key)
        return _result(status, answer, key)

    async def publish_batch(self, drafts: Iterable[Draft]) -> list[PublishResult | PublishError]:
        """Publish many in one request; each is accepted or refused for itself, in the order given."""
        bodies: list[dict[str, Any]] = [
            {
                **draft,
                "to": list(draft["to"]),
                "idempotency_key": draft.get("idempotency_key") or uuid.uuid4().hex,
            }
            for draft in drafts
        ]
        _, answer = await self._post("notifications/batch", {"notifications": bodies}, None)
        return [
            _result(item["status"], item, body["idempotency_key"])
            if item["status"] in ACCEPTED
            else _error(item["status"], item, body["idempotency_key"])
            for body, item in zip(bodies, answer["results"], strict=True)
        ]

    async def _post(self, path: str, body: dict[str, Any], key: str | None) -> tuple[int, dict[str, Any]]:
        """Send until there is a definite answer or the time is up; what was known last is raised then."""
        deadline = asyncio.get_running_loop().time() + self._give_up_after_s
        attempt = 0
        while True:
            try:
                status, answer, retry_after_s = await self._post_once(path, body, key)
                error = _error(status, answer, key)
            except (aiohttp.ClientError, TimeoutError) as exc:
                error, retry_after_s = PublishError(0, "unreachable", str(exc), idempotency_key=key), None
            else:
                if status in ACCEPTED and isinstance(answer, dict):
                    return status, answer
                if status not in RETRIED_STATUSES:
                    raise error
            chance = random.random()  # noqa: S311  # jitter is no secret
            delay_s = RETRY.delay_ms(attempt, chance) / 1000 if retry_after_s is None else retry_after_s
            attempt += 1
            if asyncio.get_running_loop().time() + delay_s >= deadline:
                raise error
            await asyncio.sleep(delay_s)

    async def _post_once(
        self, path: str, body: dict[str, Any], key: str | None
    ) -> tuple[int, Any, float | None]:
        if self._http is None:
            raise RuntimeError("use `async with Publisher(...)`")
        headers = self._headers if key is None else {**self._headers, "Idempotency-Key": key}
        async with self._http.post(api_url(self._url, path), json=body, headers=headers) as response:
            return response.status, await body_of(response), _seconds(response.headers.get("Retry-After"))


def _result(status: int, answer: dict[str, Any], key: str) -> PublishResult:
    return PublishResult(
        id=answer["id"],
        created_at=answer.get("created_at"),
        postings=dict(answer.get("postings") or {}),
        connections=answer.get("connections"),
        servers=answer.get("servers"),
        duplicate=status == HTTPStatus.OK,
        idempotency_key=key,
    )


def _error(status: int, answer: Any, key: str | None) -> PublishError:
    error = error_of(answer)
    return PublishError(
        status,
        error.get("code", "unexpected"),
        error.get("message", ""),
        fields=error.get("fields"),
        idempotency_key=key,
    )


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is left to our own delays."""
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
