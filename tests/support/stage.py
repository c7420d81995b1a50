"""The public door for tests: a server process with the demo's people, and a thin HTTP client for each of them."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aiohttp import ClientSession

from server.app import administration, migrate_database
from server.settings import Settings, read_settings
from tests.support.passwords import QUICK_HASHER
from tests.support.processes import SECRET_KEY, ServerProcess
from tests.support.waiting import eventually

PASSWORD = "demo-password"
QUICK = {
    "HEARTBEAT_S": "1",
    "RETRY_FIRST_MS": "100",
    "RETRY_MAX_MS": "500",
    "RETRY_TRIES": "1000",
}
"""Settings under which clients come back at once, so that tests need not wait."""


def settings_for(database_url: str) -> Settings:
    with patch.dict(os.environ, {"DATABASE_URL": database_url, "SECRET_KEY": SECRET_KEY}):
        return read_settings()


def load_demo(database_url: str) -> None:
    """What the commands `migrate` and `demo` do, in a fraction of their time: 1 zhangsan, 2 lisi, 3 wangwu, 4 admin."""
    settings = settings_for(database_url)

    async def load() -> None:
        await migrate_database(settings)
        async with administration(settings) as operator:
            await operator.load_demo()

    with patch("core.services.passwords._hasher", QUICK_HASHER):
        asyncio.run(load())


def demo_server(database_url: str, folder: Path, **options: Any) -> ServerProcess:
    """A server over a database with the demo and with a quick pace, not started yet."""
    env = QUICK | dict(options.pop("env", {}))
    return ServerProcess(database_url, log_path=folder / "server.log", env=env, **options)


class Caller:
    """HTTP as one person."""

    def __init__(self, http: ClientSession, url: str, tokens: Mapping[str, Any]) -> None:
        self.http = http
        self.url = f"{url}/api/v1"
        self.token: str = tokens["access_token"]
        self.refresh_token: str = tokens["refresh_token"]
        self.user: Mapping[str, Any] = tokens["user"]

    async def call(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """The status and the JSON (None without a body) of a request."""
        given = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        async with self.http.request(method, f"{self.url}/{path}", json=body, headers=given) as response:
            return response.status, await response.json() if response.content_length else None

    async def publish(self, *to: str, title: str = "a title", key: str | None = None, **more: Any) -> Any:
        """Publish and expect it to be accepted; what the server answered."""
        headers = {"Idempotency-Key": key} if key else None
        body = {"to": list(to), "title": title, **more}
        status, answer = await self.call("POST", "notifications", body, headers=headers)
        assert status in (200, 201), answer
        return answer


@asynccontextmanager
async def logged_in(url: str, username: str) -> AsyncIterator[Caller]:
    async with ClientSession() as http:
        yield await log_in(http, url, username)


async def log_in(http: ClientSession, url: str, username: str) -> Caller:
    body = {"username": username, "password": PASSWORD}
    async with http.post(f"{url}/api/v1/auth/login", json=body) as response:
        assert response.status == 200, await response.text()
        return Caller(http, url, await response.json())


class Recorder(list[Any]):
    """What a client heard, in order; whoever waits by `until` looks again at every entry."""

    def append(self, entry: Any) -> None:
        super().append(entry)
        for waiting in _waiting:
            if not waiting.done():
                waiting.set_result(None)
        _waiting.clear()


_waiting: list["asyncio.Future[None]"] = []


async def until(condition: Callable[[], Any], deadline_s: float = 20) -> None:
    """Return once `condition()` holds, which speaks of recorders only."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            _waiting.append(asyncio.get_running_loop().create_future())
            await _waiting[-1]


async def until_written(path: Path, text: str) -> None:
    """Return once the file of another process holds the text."""
    await eventually(lambda: text in path.read_text())


async def readiness(server: ServerProcess) -> tuple[int, dict[str, Any]]:
    async with ClientSession() as http, http.get(f"{server.url}/readyz") as response:
        return response.status, await response.json()


async def until_ready_as(server: ServerProcess, status: str, **checks: str) -> int:
    """Return the HTTP status once `/readyz` says so. It has no event to wait for."""
    async with asyncio.timeout(20):
        while True:
            code, body = await readiness(server)
            if body["status"] == status and checks.items() <= body["checks"].items():
                return code
            await asyncio.sleep(0.05)
