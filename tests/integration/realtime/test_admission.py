"""Races between people who move and what is being read and sent: each made to happen by holding a read back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from core.domain import clock
from core.domain.identity import AddProject, AddUser, ChangeUser, RevokeToken, SetMember
from core.domain.ids import new_id
from core.ports.log import Unit
from core.store.database import open_database
from tests.support.fleet import Device, Fleet, Node
from tests.support.store import draft
from tests.support.waiting import eventually

ROOM = "project:1"


class Gate:
    """Stands before or behind one call of a port's method: `reached` when it is called, goes on when `opened`."""

    def __init__(self, owner: Any, method: str, *, behind: bool = False) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self._real: Callable[..., Awaitable[Any]] = getattr(owner, method)
        self._behind = behind
        setattr(owner, method, self._call)

    async def _call(self, *arguments: Any) -> Any:
        first = not self.reached.is_set()
        found = await self._real(*arguments) if self._behind else None
        if first:
            self.reached.set()
            await self.opened.wait()
        return found if self._behind else await self._real(*arguments)


@pytest.fixture
async def fleet(sqlite_url: str) -> AsyncIterator[Fleet]:
    database = open_database(sqlite_url)
    fleet = Fleet(database, 2)
    add = AddUser(username="u", name="U", password_hash="", roles=frozenset(), locale="en", projects={})
    await commit(fleet.nodes[0], AddProject(id="1", name="1"), add)
    await fleet.start()
    yield fleet
    await fleet.close()
    await database.close()


async def commit(node: Node, *changes: Any, tell: bool = False) -> None:
    await node.log.commit(Unit("test", changes=changes))
    if tell:
        node.publisher.people_changed(("1",))


async def join(node: Node, *, tell: bool = True) -> None:
    await commit(node, SetMember(project_id="1", user_id="1", roles=frozenset()), tell=tell)


async def leave(node: Node, *, tell: bool = True) -> None:
    await commit(node, SetMember(project_id="1", user_id="1", roles=None), tell=tell)


async def publish(node: Node, number: int = 1, room: str = ROOM, *, heard: bool = True) -> None:
    for _ in range(number):
        committed = await node.log.commit(Unit("test", drafts=(draft(room),)))
        if heard:
            for appended in committed.appended:
                node.publisher.publish(appended.postings, committed.epoch)


class Client:
    """A device, everything that reached it, and what it showed of the room."""

    def __init__(self, fleet: Fleet) -> None:
        self.wire: list[tuple[str, dict[str, Any]]] = []
        self.shown: list[int] = []
        self.device = Device(lambda event, payload: self.wire.append((event, payload)), self.show)
        fleet.devices.append(self.device)

    def show(self, notification: dict[str, Any]) -> None:
        if notification["room"] == ROOM:
            self.shown.append(notification["offset"])

    @property
    def heard(self) -> list[int]:
        return [p["offset"] for event, p in self.wire if event == "notification" and p["room"] == ROOM]

    async def connect(self, node: Node, token: str | None = None) -> None:
        assert await self.device.connect(node, token or await token_of(node))


async def token_of(node: Node, login: str | None = None) -> str:
    user = await node.identity.user("1")
    return node.tokens.access(user, login or new_id())


async def connected(fleet: Fleet, node: Node, token: str | None = None) -> Client:
    client = Client(fleet)
    await client.connect(node, token)
    await fleet.idle()
    return client


async def test_who_joined_ahead_of_a_lagging_hub_hears_nothing_after_leaving(fleet: Fleet):
    here, there = fleet.nodes
    await there.hub.open([ROOM])
    await publish(here, 3, heard=False)
    await join(here, tell=False)
    client = await connected(fleet, there)
    await publish(here, 2, heard=False)
    await there.hub.repair.sweep()
    await fleet.idle()
    assert client.heard == [4, 5]
    await leave(here, tell=False)
    await publish(there, 3)
    await fleet.settle()
    assert client.heard == [4, 5]


async def test_a_replay_that_overflowed_reads_anew_what_is_due(fleet: Fleet):
    node = fleet.nodes[0]
    await join(node)
    client = await connected(fleet, node)
    await client.device.drop()
    await publish(node, 100)
    reading = Gate(node.log, "read", behind=True)
    await client.connect(node)
    await reading.reached.wait()
    looking = Gate(node.identity, "standing")
    await publish(node, 300)
    await leave(node)
    await publish(node, 20)
    await looking.reached.wait()
    reading.opened.set()
    link = client.device.link
    await eventually(lambda: 400 in client.heard or link.closed)
    looking.opened.set()
    await fleet.settle()
    assert [offset for offset in client.heard if offset > 400] == []


async def test_rooms_that_are_joined_while_the_replay_is_planned_are_not_lost(fleet: Fleet):
    node = fleet.nodes[0]
    client = await connected(fleet, node)
    await client.device.drop()
    await publish(node, 3, "user:1")
    planning = Gate(node.log, "hidden")
    await client.connect(node)
    await planning.reached.wait()
    client.wire.clear()
    await join(node)
    await eventually(lambda: not any(task.get_name() == "look at 1" for task in node.working))
    await publish(node)
    planning.opened.set()
    await fleet.idle()
    await publish(node, 2)
    await fleet.settle()
    assert client.wire[0][0] == "session"
    assert client.shown == [1, 2, 3]


async def test_a_session_that_moves_to_a_login_that_has_ended_ends(fleet: Fleet):
    """The token was good when it was read, and the session was looked at before it moved."""
    here, there = fleet.nodes
    client = await connected(fleet, there)
    reading = Gate(there.identity, "holder", behind=True)
    body = {"token": await token_of(there, "B")}
    answering = asyncio.create_task(client.device.link.call("authenticate", body, 5))
    await reading.reached.wait()
    until = clock.now() + timedelta(days=1)
    await commit(here, RevokeToken(id="B", user_id="1", expires_at=until))
    await there.hub.repair.sweep()
    await eventually(lambda: not any(task.get_name() == "look at 1" for task in there.working))
    reading.opened.set()
    assert (await answering)["ok"] is True
    await fleet.settle()
    assert not client.device.connected


async def test_a_look_that_fails_cuts_whom_it_was_about(fleet: Fleet, monkeypatch: pytest.MonkeyPatch):
    here, there = fleet.nodes
    client = await connected(fleet, there, await token_of(there, "A"))

    async def fail(*_: Any) -> None:
        raise RuntimeError("nobody expected this")

    monkeypatch.setattr(there.identity, "standing", fail)
    until = clock.now() + timedelta(days=1)
    await commit(here, RevokeToken(id="A", user_id="1", expires_at=until))
    await fleet.settle()
    assert not client.device.connected


async def test_a_session_that_cannot_be_caught_up_is_cut_not_held(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
):
    node = fleet.nodes[0]
    client = await connected(fleet, node)
    await join(node, tell=False)
    await publish(node, 3, heard=False)

    async def fail(*_: Any) -> None:
        raise RuntimeError("nobody expected this")

    with monkeypatch.context() as patch:
        patch.setattr(node.log, "read", fail)
        node.publisher.people_changed(("1",))
        await fleet.idle()
    assert not client.device.connected
    await client.connect(node)
    await fleet.settle()
    assert client.shown == [1, 2, 3]


async def test_the_disabled_hear_nothing_that_comes_after(fleet: Fleet):
    here, there = fleet.nodes
    await join(here)
    client = await connected(fleet, there)
    looking = Gate(there.identity, "standing")
    await commit(here, ChangeUser(user_id="1", disabled=True))
    await publish(there, 2)
    await there.hub.repair.sweep()
    await looking.reached.wait()
    looking.opened.set()
    await fleet.settle()
    assert client.heard == []
    assert not client.device.connected


async def test_an_older_look_never_undoes_a_newer_one(fleet: Fleet):
    node = fleet.nodes[0]
    await join(node)
    client = await connected(fleet, node)
    await publish(node, 2)
    older = Gate(node.identity, "changes_since", behind=True)
    await leave(node, tell=False)
    first = asyncio.create_task(node.hub.repair.sweep())
    await older.reached.wait()
    await join(node, tell=False)
    await node.hub.repair.sweep()
    older.opened.set()
    await first
    await publish(node, 2)
    await fleet.settle()
    await publish(node)
    await fleet.idle()
    assert client.heard[-1] == 5


async def test_a_client_that_went_before_its_session_began_is_no_warning(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("DEBUG", logger="realtime")
    node = fleet.nodes[0]
    opening = Gate(node.hub, "open", behind=True)
    client = Client(fleet)
    await client.connect(node)
    await opening.reached.wait()
    await client.device.drop()
    await node.sessions.wait_empty()
    opening.opened.set()
    await fleet.idle()
    (said,) = (record for record in caplog.records if "会话未能开始" in record.message)
    assert said.levelname == "DEBUG"


async def test_a_slow_sweep_does_not_bring_a_former_epoch_back(fleet: Fleet):
    node = fleet.nodes[0]
    slow = Gate(node.log, "epoch", behind=True)
    first = asyncio.create_task(node.hub.repair.sweep())
    await slow.reached.wait()
    epoch = await node.log.begin_epoch()
    await node.hub.repair.sweep()
    slow.opened.set()
    await first
    assert node.hub.epoch == epoch


async def test_a_failed_opening_takes_no_room_of_another_epoch_with_it(fleet: Fleet):
    node = fleet.nodes[0]
    await join(node)
    slow = Gate(node.log, "heads")
    opening = asyncio.create_task(node.hub.open([ROOM]))
    await slow.reached.wait()
    await node.log.begin_epoch()
    await node.hub.repair.sweep()
    client = await connected(fleet, node)
    opening.cancel()
    await asyncio.wait([opening])
    await publish(node, heard=False)
    await fleet.settle()
    assert client.heard == [1]
