"""Every publish that was answered 201 is shown exactly once, in order, on every device it is due to.

NO_LOSS_PUBLISHES says how many publishes each of fifty writers makes; 200 is much.
"""

import asyncio
import os
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from clients.python import NotificationClient, Publisher
from tests.support.processes import ServerProcess, run_command
from tests.support.proxy import TcpProxy
from tests.support.stage import PASSWORD, Recorder, demo_server, log_in, until

WRITERS = 50
PUBLISHES = int(os.environ.get("NO_LOSS_PUBLISHES", "60"))
CUT_EVERY = WRITERS * PUBLISHES // 20
KILLED_AT = tuple(WRITERS * PUBLISHES * tenths // 10 for tenths in (2, 5, 8))
PEOPLE = ("zhangsan", "lisi", "wangwu", "admin", "zhaoliu")
ROOMS = (
    *(f"user:{number}" for number in range(1, 6)),
    *(f"role:{role}" for role in ("annotator", "reviewer", "admin")),
    *(f"project:{project}" for project in (1, 2, 3)),
    *(f"project:{p}:{role}" for p in (1, 2) for role in ("annotator", "reviewer", "admin")),
    "project:3:reviewer",
    "project:3:annotator",
    "global",
)

pytestmark = pytest.mark.timeout(180)


@dataclass
class Listener:
    """One device: what it showed, by a client that keeps its state in a file."""

    rooms: frozenset[str]
    shown: Recorder = field(default_factory=Recorder)
    ids: set[str] = field(default_factory=set)
    unrecovered: list[dict[str, Any]] = field(default_factory=list)

    def show(self, notification: dict[str, Any]) -> None:
        self.ids.add(notification["id"])
        self.shown.append(notification)

    def due(self, accepted: Recorder) -> set[str]:
        return {nid for nid, postings in accepted if self.rooms & postings.keys()}

    def check(self, accepted: Recorder) -> None:
        times = Counter(notification["id"] for notification in self.shown)
        assert not [nid for nid, number in times.items() if number > 1], "shown twice"
        assert not self.due(accepted) - times.keys(), "lost"
        offsets = defaultdict(list)
        for notification in self.shown:
            offsets[notification["room"]].append(notification["offset"])
        assert all(found == sorted(found) for found in offsets.values()), "out of order"
        assert self.rooms >= offsets.keys(), "not theirs"


@asynccontextmanager
async def listening(url: str, tokens: dict[str, Any], folder: Path) -> AsyncIterator[Listener]:
    listener = Listener(frozenset(tokens["rooms"]))

    def session(body: dict[str, Any]) -> None:
        if not all(body.get("recovered", {}).values()):
            listener.unrecovered.append(body)

    ready = asyncio.Event()
    client = NotificationClient(
        url,
        tokens["token"],
        state=folder / f"{tokens['name']}.state",
        on_notification=listener.show,
        on_session=session,
        on_summary=lambda _: ready.set(),
    )
    running = asyncio.create_task(client.run())
    try:
        await asyncio.wait_for(ready.wait(), 30)
        yield listener
    finally:
        client.close()
        await running


async def write(publisher: Publisher, number: int, accepted: Recorder) -> None:
    chance = random.Random(number)
    for count in range(PUBLISHES):
        rooms = chance.sample(ROOMS, chance.choice((1, 1, 1, 2)))
        result = await publisher.publish(
            to=rooms, title=f"{number}-{count}", idempotency_key=f"{number}-{count}"
        )
        accepted.append((result.id, result.postings))


async def cut_again_and_again(proxy: TcpProxy, accepted: Recorder) -> None:
    """Cut every listener's connection after each few hundred publishes, however fast those go."""
    for moment in range(CUT_EVERY, WRITERS * PUBLISHES, CUT_EVERY):
        await until(lambda moment=moment: len(accepted) >= moment, 60)
        proxy.sever()


async def kill_in_the_middle(server: ServerProcess, accepted: Recorder) -> None:
    for moment in KILLED_AT:
        await until(lambda moment=moment: len(accepted) >= moment, 60)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)


async def run_everything(server: ServerProcess, folder: Path) -> None:
    """All writers, and listeners that lose their connections all the time and the server now and then."""
    accepted = Recorder()
    async with ClientSession() as http, TcpProxy(server.url) as proxy:
        people = []
        for name in PEOPLE:
            caller = await log_in(http, server.url, name)
            _, me = await caller.call("GET", "me")
            people.append({"name": name, "token": caller.token, "rooms": me["rooms"]})
        admin = next(person for person in people if person["name"] == "admin")
        async with _all(listening(proxy.url, person, folder) for person in people) as listeners:
            cutting = asyncio.create_task(cut_again_and_again(proxy, accepted))
            killing = asyncio.create_task(kill_in_the_middle(server, accepted))
            async with Publisher(server.url, token=admin["token"]) as publisher:
                await asyncio.gather(*(write(publisher, number, accepted) for number in range(WRITERS)))
            await killing
            await cutting
            assert len({nid for nid, _ in accepted}) == WRITERS * PUBLISHES
            for listener in listeners:
                due = listener.due(accepted)
                await until(lambda due=due, one=listener: due <= one.ids, 60)
                listener.check(accepted)
                assert not listener.unrecovered


@asynccontextmanager
async def _all(managers: Any) -> AsyncIterator[list[Any]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(manager) for manager in managers]


@pytest.fixture
def server(demo_url: str, tmp_path: Path) -> ServerProcess:
    server = demo_server(demo_url, tmp_path, env={"LOG_LEVEL": "WARNING"})
    more = ("--project", "3:reviewer", "--project", "3:annotator", "--role", "reviewer")
    run_command("user", "add", "zhaoliu", *more, env={"DATABASE_URL": demo_url, "NOTIFY_PASSWORD": PASSWORD})
    return server


async def test_every_accepted_publish_is_shown_once_in_order_though_connections_are_cut_and_the_server_is_killed(
    server: ServerProcess, tmp_path: Path
):
    await asyncio.to_thread(server.start)
    try:
        await run_everything(server, tmp_path)
    finally:
        await asyncio.to_thread(server.stop)
