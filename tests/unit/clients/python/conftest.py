"""A scripted server on a real port, and handlers that remember: tests say what the server does, then wait."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
import socketio
from aiohttp import web

from clients.python import NotificationClient, connection

PATIENCE_S = 15
EVENTS = (
    "notification",
    "changed",
    "summary",
    "session",
    "inbox",
    "inbox_stale",
    "rooms",
    "heartbeat",
    "state",
)


class Silence:
    """As an answer: there is none."""


class Link:
    """One accepted connection, seen from the server."""

    def __init__(self, sio: socketio.AsyncServer, sid: str, auth: dict[str, Any]) -> None:
        self._sio, self.sid, self.auth = sio, sid, auth
        self._said: dict[str, asyncio.Queue[dict[str, Any]]] = defaultdict(asyncio.Queue)
        self.gone = asyncio.Event()

    @property
    def sent(self) -> dict[str, Any]:
        """What of its state the client sent."""
        return {name: value for name, value in self.auth.items() if name != "token"}

    async def emit(self, event: str, payload: dict[str, Any]) -> None:
        await self._sio.emit(event, payload, to=self.sid)

    async def begin(
        self, position: dict[str, int], *, epoch: str = "e1", live: bool = True, **more: Any
    ) -> None:
        await self.emit(
            "session",
            {
                "state": "syncing",
                "epoch": epoch,
                "recovered": dict.fromkeys(position, True),
                "position": position,
                "skip": {},
                "heartbeat_s": 30,
                "retry_ms": {"first": 10, "max": 20, "tries": 3},
                **more,
            },
        )
        if live:
            await self.live()

    async def live(self) -> None:
        await self.emit("session", {"state": "live"})

    async def post(self, room: str, offset: int | None, *, id: str | None = None, **more: Any) -> None:  # noqa: A002
        notification = {"id": id or f"{room}/{offset}", "room": room, "offset": offset, "epoch": "e1", **more}
        await self.emit("notification", {"title": "secret title", "level": "info", **notification})

    async def said(self, event: str) -> dict[str, Any]:
        """The next thing of this kind that the client says."""
        return await asyncio.wait_for(self._said[event].get(), PATIENCE_S)

    def silent(self, event: str) -> bool:
        return self._said[event].empty()

    def hear(self, event: str, payload: dict[str, Any]) -> None:
        self._said[event].put_nowait(payload)

    async def cut(self) -> None:
        await self._sio.disconnect(self.sid)


class Peer:
    """`answers` has what each client event is acknowledged with: a dict, or a function of the payload."""

    def __init__(self) -> None:
        self.sio = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins=[])
        self.refusals: list[str] = []
        self.answers: dict[str, Any] = {}
        self.transports: list[str] = []
        self.url = ""
        self.routes: list[web.RouteDef] = []
        self._links: asyncio.Queue[Link] = asyncio.Queue()
        self._by_sid: dict[str, Link] = {}
        self._over = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.sio.on("connect", self._connect)
        self.sio.on("disconnect", self._disconnect)
        self.sio.on("*", self._hear)

    async def start(self, port: int = 0) -> None:
        app = web.Application()
        app.add_routes(self.routes)
        self.sio.attach(app)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self._over.set()
        for sid in list(self._by_sid):
            with contextlib.suppress(KeyError):
                await self.sio.disconnect(sid)
        if self._runner is not None:
            await self._runner.cleanup()

    async def connected(self) -> Link:
        """The next connection that was accepted."""
        return await asyncio.wait_for(self._links.get(), PATIENCE_S)

    def unvisited(self) -> bool:
        return self._links.empty()

    def _connect(self, sid: str, _environ: dict[str, Any], auth: dict[str, Any]) -> None:
        if self.refusals:
            raise socketio.exceptions.ConnectionRefusedError("unauthorized", {"code": self.refusals.pop(0)})
        link = Link(self.sio, sid, auth)
        self._by_sid[sid] = link
        self.transports.append(self.sio.transport(sid))
        self._links.put_nowait(link)

    def _disconnect(self, sid: str, _reason: str) -> None:
        if sid in self._by_sid:
            self._by_sid.pop(sid).gone.set()

    async def _hear(self, event: str, sid: str, payload: dict[str, Any]) -> Any:
        if (link := self._by_sid.get(sid)) is not None:
            link.hear(event, payload)
        answer = self.answers.get(event, {"ok": True})
        if callable(answer) and answer is not Silence:
            answer = answer(payload)
        if answer is Silence:
            await self._over.wait()
            return None
        return answer


class Record:
    """Handlers that remember what they were given, and let a test wait for the next."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self._queues: dict[str, asyncio.Queue[dict[str, Any]]] = defaultdict(asyncio.Queue)

    def handlers(self) -> dict[str, Callable[[dict[str, Any]], None]]:
        return {f"on_{event}": partial(self.take, event) for event in EVENTS}

    def take(self, event: str, payload: dict[str, Any]) -> None:
        self.seen.append((event, payload))
        self._queues[event].put_nowait(payload)

    async def next(self, event: str, **fields: Any) -> dict[str, Any]:
        """The next event of this kind, passing over those whose fields differ from `fields`."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                payload = await self._queues[event].get()
                if fields.items() <= payload.items():
                    return payload

    def offsets(self) -> list[int | None]:
        return [payload["offset"] for event, payload in self.seen if event == "notification"]


class Run:
    """A client that runs until the test is over."""

    def __init__(self, client: NotificationClient) -> None:
        self.client = client
        self.task = asyncio.create_task(client.run())

    async def over(self) -> None:
        """Wait for the end; what ended the client is raised."""
        await asyncio.wait_for(asyncio.shield(self.task), PATIENCE_S)


@pytest.fixture(autouse=True)
def _short_goodbye(monkeypatch):
    """This server holds the last poll of a client that said good-bye, until the client's patience is over."""
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT_S", 0.3)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
def record() -> Record:
    return Record()


@pytest.fixture
async def start(peer: Peer, record: Record) -> AsyncIterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(credentials: Any = "secret-token", **options: Any) -> Run:
        run = Run(
            NotificationClient(options.pop("url", peer.url), credentials, **(record.handlers() | options))
        )
        runs.append(run)
        return run

    yield start
    for run in runs:
        run.client.close()
        with contextlib.suppress(TimeoutError, Exception):
            await run.over()


@pytest.fixture
def silence() -> type[Silence]:
    return Silence
