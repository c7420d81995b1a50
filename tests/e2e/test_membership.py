"""Who hears what: exactly the members, while they are members, on every server and without help from Redis."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from sqlalchemy import select

from clients.python import NotificationClient
from core.domain.membership import Interval, due_runs
from core.domain.runs import contains
from core.store import tables
from tests.support.processes import ServerProcess
from tests.support.stage import Caller, Recorder, demo_server, log_in, logged_in, until
from tests.support.store import opened
from tests.support.wire import Wire, live_wire

ROOM = "project:1"
MEMBER = "projects/1/members/2"
BATCH = 5
TURNS = 6
"""Times that the person is removed and added again, the last time added."""


@dataclass(frozen=True)
class Load:
    """How many publications, from how many at once, and how many a second (None: as fast as they can)."""

    number: int
    at_once: int
    rate: int | None


# Who comes and goes is due four sevenths, fewer than the 500 that are replayed: also one who is removed again before
# they have caught up, each time, is told everything.
ONE_SERVER = Load(number=770, at_once=6, rate=None)
# By the sweep, what a server has not heard of comes once a second: much faster, and it is more than is replayed.
TWO_SERVERS = Load(number=int(os.environ.get("MEMBERSHIP_PUBLICATIONS", "770")), at_once=4, rate=200)


# Publishing as fast as one can keeps everybody busy: a second, the pace of other tests, is no sign of a dead connection.
PATIENT = {"HEARTBEAT_S": "30"}


@pytest.fixture
async def server(demo_url: str, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    server = demo_server(demo_url, tmp_path, env=PATIENT)
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


@pytest.fixture(params=["one server", "two servers"])
async def servers(
    request: pytest.FixtureRequest, server: ServerProcess, tmp_path: Path
) -> AsyncIterator[tuple[ServerProcess, ServerProcess]]:
    """Where it is published and administered, and where people listen."""
    if request.param == "one server":
        yield server, server
        return
    other = demo_server(server.database_url, tmp_path, env=PATIENT)
    await asyncio.to_thread(other.start)
    yield server, other
    await asyncio.to_thread(other.stop)


@asynccontextmanager
async def listening(url: str, caller: Caller, state: Path) -> AsyncIterator[Recorder]:
    """A client that stays, and what it showed: all that is due, for it is never told that there is more."""
    shown, ready, behind = Recorder(), Recorder(), []

    def session(body: dict[str, Any]) -> None:
        if not all(body.get("recovered", {}).values()):
            behind.append(body)

    client = NotificationClient(
        url,
        caller.token,
        state=state,
        on_notification=shown.append,
        on_session=session,
        on_summary=ready.append,
    )
    running = asyncio.create_task(client.run())
    try:
        await until(lambda: ready)
        yield shown
    finally:
        client.close()
        await running
        assert not behind


async def publish_all(admin: Caller, load: Load, progress: Recorder) -> None:
    """Publish to the room from many at once; `progress` gets an entry a batch."""
    numbers = iter(range(load.number // BATCH))
    started = time.monotonic()

    async def publisher() -> None:
        for number in numbers:
            if load.rate is not None:
                await asyncio.sleep(started + number * BATCH / load.rate - time.monotonic())
            body = {"notifications": [{"to": [ROOM], "title": f"{number} {n}"} for n in range(BATCH)]}
            status, _ = await admin.call("POST", "notifications/batch", body)
            assert status == 200
            progress.append(number)

    await asyncio.gather(*(publisher() for _ in range(load.at_once)))


async def intervals(database_url: str, user_id: str) -> list[Interval]:
    membership = tables.membership.c
    statement = select(membership.since, membership.until).where(
        membership.user_id == user_id, membership.room == ROOM
    )
    async with opened(database_url) as database:
        rows = await database.read(lambda connection: connection.execute(statement).all())
    return [Interval(ROOM, row.since, row.until) for row in rows]


def offsets(notifications: list[Any]) -> list[int]:
    return [notification["offset"] for notification in notifications if notification["room"] == ROOM]


async def test_the_removed_hear_nothing_more_and_the_added_everything_from_then_on_while_it_is_published(
    servers: tuple[ServerProcess, ServerProcess], tmp_path: Path
):
    here, there = servers
    load = ONE_SERVER if here is there else TWO_SERVERS
    async with ClientSession() as http:
        admin = await log_in(http, here.url, "admin")
        lisi, stays = [await log_in(http, there.url, name) for name in ("lisi", "zhangsan")]
        async with (
            listening(there.url, lisi, tmp_path / "lisi") as shown,
            listening(there.url, stays, tmp_path / "stays") as all_shown,
            live_wire(there.url, lisi.token) as stock,
        ):
            progress: Recorder = Recorder()
            publishing = asyncio.create_task(publish_all(admin, load, progress))
            for turn in range(TURNS):
                enough = (turn + 1) * load.number // BATCH // (TURNS + 1)
                await until(lambda enough=enough: len(progress) >= enough, 60)
                if turn % 2:
                    assert (await admin.call("PUT", MEMBER, {"roles": []}))[0] == 200
                else:
                    assert (await admin.call("DELETE", MEMBER))[0] == 204
            await publishing
            await until(lambda: len(offsets(all_shown)) == load.number, 60)
            members = await intervals(here.database_url, "2")
            due = due_runs(members, ROOM, load.number)
            expected = [offset for offset in range(1, load.number + 1) if contains(due, offset)]
            await until(lambda: len(offsets(shown)) >= len(expected), 60)
            await stock.until(lambda: offsets(stock.of("notification"))[-1:] == [load.number])

    assert len(members) == TURNS // 2 + 1
    assert 0 < len(expected) < load.number
    assert [offset for offset in offsets(shown) if not contains(due, offset)] == []
    assert offsets(shown) == expected
    assert offsets(all_shown) == list(range(1, load.number + 1))
    heard = offsets(stock.of("notification"))
    assert [offset for offset in heard if not contains(due, offset)] == []
    last = max(member.since for member in members)
    assert [offset for offset in heard if offset > last] == list(range(last + 1, load.number + 1))


async def until_rooms(wire: Wire, number: int) -> dict[str, Any]:
    return (await wire.wait("rooms", number))[number - 1]


async def test_live_sessions_follow_roles_and_projects(servers: tuple[ServerProcess, ServerProcess]):
    here, there = servers
    async with (
        logged_in(here.url, "admin") as admin,
        logged_in(there.url, "lisi") as lisi,
        live_wire(there.url, lisi.token) as wire,
    ):
        epoch = wire.of("session")[0]["epoch"]
        await admin.publish("role:reviewer", "project:1:reviewer", title="before")
        assert (await admin.call("PATCH", "users/2", {"roles": ["reviewer"]}))[0] == 200
        assert (await admin.call("PUT", MEMBER, {"roles": ["reviewer"]}))[0] == 200
        await admin.publish("role:reviewer", title="to reviewers")
        await admin.publish("project:1:reviewer", title="to reviewers of 1")
        heard = await wire.wait("notification", 2)
        assert sorted((n["room"], n["title"]) for n in heard) == [
            ("project:1:reviewer", "to reviewers of 1"),
            ("role:reviewer", "to reviewers"),
        ]
        changes = wire.of("rooms")
        joined = {room: at for change in changes for room, at in change["joined"].items()}
        assert joined == {"role:reviewer": 1, "project:1:reviewer": 1}
        assert {room for change in changes for room in change["left"]} == {
            "role:annotator",
            "project:1:annotator",
        }
        assert {change["epoch"] for change in changes} == {epoch}
        answer = await wire.call("sync", {"epoch": epoch, "position": {"role:annotator": 0}})
        assert answer["position"] == {}


async def test_who_is_told_of_their_rooms_is_answered_by_what_they_are_now(
    servers: tuple[ServerProcess, ServerProcess],
):
    here, there = servers
    async with (
        logged_in(here.url, "admin") as admin,
        logged_in(there.url, "lisi") as lisi,
        live_wire(there.url, lisi.token) as wire,
    ):
        for number, roles in enumerate((["reviewer"], ["annotator"], ["annotator", "reviewer"]), 1):
            assert (await lisi.call("GET", "me"))[0] == 200
            assert (await admin.call("PUT", MEMBER, {"roles": roles}))[0] == 200
            await wire.wait("rooms", number)
            assert (await lisi.call("GET", "me"))[1]["projects"]["1"] == roles


async def test_whose_logins_end_is_gone_everywhere(servers: tuple[ServerProcess, ServerProcess]):
    here, there = servers
    async with logged_in(here.url, "admin") as admin, live_wire(here.url, admin.token) as other:
        for number, (path, body) in enumerate(LOGINS_END, 1):
            async with logged_in(here.url, "lisi") as lisi, live_wire(there.url, lisi.token) as wire:
                caller, method = (lisi, "POST") if path == "auth/logout" else (admin, "PATCH")
                assert (await caller.call(method, path, body))[0] in (200, 204)
                await wire.until(lambda: wire.closed)
                ending = wire.of("session")[-1]
                assert (ending["state"], ending["reason"], ending["retry"]) == ("ending", "revoked", False)
                assert (await other.call("ping", {"timestamp": 1}))["ok"] is True
                await admin.publish("user:2", "global", title=f"after {number}")
                heard = await other.wait("notification", number)
                assert [n["title"] for n in heard] == [f"after {n}" for n in range(1, number + 1)]
                assert f"after {number}" not in [n["title"] for n in wire.of("notification")]
            assert (await admin.call("PATCH", "users/2", {"disabled": False}))[0] == 200


LOGINS_END = [
    ("auth/logout", {"all": True}),
    ("users/2", {"disabled": True}),
    ("users/2", {"password": "another password"}),
]
