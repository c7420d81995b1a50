"""Two servers over one log and one Redis. Their hubs do not sweep unless told to: what arrives came by Redis."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from core.domain import clock
from core.domain.identity import AddProject, AddUser, RevokeToken, SetMember
from core.domain.ids import new_id
from core.ports.log import Unit
from core.ports.presence import Audience
from core.store.database import open_database
from realtime import presence as presence_module
from realtime import receiver
from realtime.manager import MAX_BODY_BYTES
from realtime.presence import Servers
from realtime.seal import Message
from tests.support.fleet import Device, Fleet, Node
from tests.support.redis_server import RedisServer
from tests.support.store import draft
from tests.support.waiting import eventually

ROOM = "project:1"


@pytest.fixture
async def fleet(
    redis_server: RedisServer, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Fleet]:
    for module in (presence_module, receiver):
        monkeypatch.setattr(module, "BEAT_S", 0.05)
    database = open_database(sqlite_url)
    fleet = Fleet(database, 2, redis_server.url)
    people = [
        AddUser(username=name, name=name, password_hash="", roles=frozenset(), locale="en", projects={})
        for name in ("a", "b")
    ]
    join = SetMember(project_id="1", user_id="1", roles=frozenset())
    for change in (AddProject(id="1", name="1"), *people, join):
        await fleet.nodes[0].log.commit(Unit("test", changes=(change,)))
    await fleet.start()
    await eventually(lambda: all(servers(node).is_known for node in fleet.nodes))
    yield fleet
    await fleet.close()
    await database.close()


def servers(node: Node) -> Servers:
    return node.receiver.servers


class Client:
    """A device of a person on one of the servers."""

    def __init__(self) -> None:
        self.wire: list[tuple[str, dict[str, Any]]] = []
        self.shown: list[dict[str, Any]] = []
        self.device = Device(lambda event, payload: self.wire.append((event, payload)), self.shown.append)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [payload for found, payload in self.wire if found == event]


async def connected(fleet: Fleet, node: Node, user_id: str = "1", login: str | None = None) -> Client:
    """A client that is live, on a server that hears its rooms from the others."""
    client = Client()
    fleet.devices.append(client.device)
    user = await node.identity.user(user_id)
    assert await client.device.connect(node, node.tokens.access(user, login or new_id()))
    await fleet.idle()
    await eventually(lambda: {f"notify:{room}" for room in user.rooms} <= node.manager.listener.confirmed)
    await fleet.idle()
    return client


async def publish(node: Node, *rooms: str, **content: Any) -> None:
    committed = await node.log.commit(Unit("test", drafts=(draft(*rooms, **content),)))
    node.publisher.publish(committed.appended[0].postings, committed.epoch)


async def test_what_is_published_on_one_server_is_shown_on_the_other(fleet: Fleet):
    here, there = fleet.nodes
    client = await connected(fleet, there)
    for number in range(5):
        await publish(here, ROOM, title=str(number))
    await eventually(lambda: len(client.shown) == 5)
    assert [shown["title"] for shown in client.shown] == ["0", "1", "2", "3", "4"]
    assert there.hub.repair.repaired == 0


async def test_what_is_too_large_for_redis_is_read_from_the_log_at_once(fleet: Fleet):
    here, there = fleet.nodes
    client = await connected(fleet, there)
    await publish(here, ROOM, content="任" * MAX_BODY_BYTES)
    await publish(here, ROOM, title="small")
    await eventually(lambda: len(client.shown) == 2)
    assert len(client.shown[0]["content"]) == MAX_BODY_BYTES
    assert there.hub.repair.repaired >= 1


async def test_what_was_published_before_the_subscription_held_is_read_from_the_log(fleet: Fleet):
    here, there = fleet.nodes
    client = await connected(fleet, there)
    await there.manager._background.close()
    await publish(here, ROOM)
    assert not client.shown
    there.manager._started = False
    there.manager.start()
    await eventually(lambda: client.shown)


async def test_receipts_reach_the_persons_sessions_on_other_servers_but_not_the_one_that_gave_them(
    fleet: Fleet,
):
    here, there = fleet.nodes
    giving, other = await connected(fleet, here), await connected(fleet, there)
    stranger = await connected(fleet, there, "2")
    await publish(here, "user:1")
    await eventually(lambda: giving.shown and other.shown)
    answer = await giving.device.link.call("read", {"ids": [giving.shown[0]["id"]]}, 10)
    assert answer["ok"]
    await eventually(lambda: other.of("inbox"))
    await publish(here, "user:1", title="a mark behind it")
    await eventually(lambda: len(giving.shown) == 2)
    assert other.of("inbox")[0]["unread"] == 0
    assert not giving.of("inbox")
    assert not stranger.of("inbox")


async def test_who_leaves_a_project_is_out_of_it_on_every_server(fleet: Fleet):
    here, there = fleet.nodes
    client = await connected(fleet, there)
    leave = SetMember(project_id="1", user_id="1", roles=None)
    await here.log.commit(Unit("test", changes=(leave,)))
    here.publisher.people_changed(("1",))
    await eventually(lambda: client.of("rooms"))
    assert client.of("rooms")[0]["left"] == [ROOM]


async def test_a_token_that_is_revoked_ends_its_session_on_every_server(fleet: Fleet):
    here, there = fleet.nodes
    client, kept = await connected(fleet, there, login="login-1"), await connected(fleet, there)
    change = RevokeToken(id="login-1", user_id="1", expires_at=clock.now() + timedelta(days=1))
    await here.log.commit(Unit("test", changes=(change,)))
    here.publisher.people_changed(("1",))
    await eventually(lambda: [end for end in client.of("session") if end["state"] == "ending"])
    assert kept.device.connected


async def test_connections_are_counted_over_all_servers_each_once(fleet: Fleet):
    here, there = fleet.nodes
    await connected(fleet, here)
    await connected(fleet, there)
    await connected(fleet, there)
    await connected(fleet, there, "2")
    for node in fleet.nodes:
        presence = servers(node)
        await eventually(lambda presence=presence: presence.connections("global") == 4)
        assert presence.audience(["user:1"]) == Audience(3, 2)
        assert presence.audience(["user:1", ROOM, "global"]) == Audience(4, 2)
        assert presence.audience(["user:2"]) == Audience(1, 1)
        assert presence.audience(["user:3"]) == Audience(0, 0)
        assert presence.connections(ROOM) == 3


async def test_who_goes_is_not_counted_any_more(fleet: Fleet):
    here, there = fleet.nodes
    client = await connected(fleet, there)
    await eventually(lambda: servers(here).connections("user:1") == 1)
    await client.device.drop()
    await eventually(lambda: servers(here).connections("user:1") == 0)


async def test_a_server_that_is_killed_is_not_counted_any_more(fleet: Fleet):
    here, there = fleet.nodes
    await connected(fleet, there)
    await eventually(lambda: servers(here).audience(["user:1"]) == Audience(1, 1))
    await there.crash()
    await eventually(lambda: servers(here).audience(["user:1"]) == Audience(0, 0))


async def test_a_server_that_says_goodbye_is_forgotten_at_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch):
    here, there = fleet.nodes
    await connected(fleet, there)
    await eventually(lambda: servers(here).audience(["user:1"]) == Audience(1, 1))
    monkeypatch.setattr(presence_module, "SILENCE_S", 3_600)
    await there.receiver.close()
    await eventually(lambda: servers(here).audience(["user:1"]) == Audience(0, 0))


async def test_without_redis_the_number_of_connections_is_not_known(
    fleet: Fleet, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    here, there = fleet.nodes
    await connected(fleet, here)
    await connected(fleet, there)
    await eventually(lambda: servers(here).audience(["user:1"]) == Audience(2, 2))
    await asyncio.to_thread(redis_server.kill)
    await eventually(lambda: servers(here).audience(["user:1"]) == Audience(None, None))
    assert servers(here).connections("user:1") == 2
    monkeypatch.setattr(presence_module, "EXPIRY_S", 0)
    assert servers(here).connections("user:1") == 1
    monkeypatch.undo()
    await asyncio.to_thread(redis_server.start)
    await eventually(lambda: servers(here).audience(["user:1"]) == Audience(2, 2))


async def test_a_beat_that_was_missed_makes_a_server_tell_everything_again(fleet: Fleet):
    here, there = fleet.nodes
    await connected(fleet, there)
    await eventually(lambda: servers(here).connections("user:1") == 1)
    known = servers(here)._servers[there.manager.host_id]
    known.forget()
    known.beats -= 1
    await eventually(lambda: servers(here).audience(["user:1"]) == Audience(1, 1))


async def test_a_beat_that_is_sent_again_changes_nothing(fleet: Fleet):
    here, there = fleet.nodes
    beats: list[Message] = []
    take = servers(here).take
    servers(here).take = lambda message: (beats.append(message), take(message))
    client = await connected(fleet, there)
    await eventually(lambda: servers(here).connections("user:1") == 1)
    told = [beat for beat in beats if beat.origin == there.manager.host_id]
    await client.device.drop()
    await eventually(lambda: servers(here).connections("user:1") == 0)
    for beat in told:
        take(beat)
    assert servers(here).audience(["user:1"]) == Audience(0, 0)


async def test_many_people_are_told_of_in_several_messages(fleet: Fleet, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(presence_module, "_BEAT_BYTES", 10)
    here, there = fleet.nodes
    await connected(fleet, there)
    await connected(fleet, there, "2")
    await eventually(lambda: servers(here).audience(["user:1", "user:2"]) == Audience(2, 1))


async def test_what_is_published_by_hand_is_shown_to_who_is_there_and_stored_nowhere(
    fleet: Fleet, redis_server: RedisServer
):
    _, there = fleet.nodes
    there.manager._open_publish = True
    client = await connected(fleet, there)
    by_hand = {"type": "test", "title": "测试", "content": "测试通知"}
    redis_server.ask("PUBLISH", "notify:user:1", json.dumps(by_hand))
    await eventually(lambda: client.shown)
    (shown,) = client.shown
    assert by_hand.items() <= shown.items()
    assert shown["offset"] is None
    assert shown["room"] == "user:1"
    assert (await there.log.heads(["user:1"]))["user:1"].head == 0


async def test_what_is_published_by_hand_and_wrong_is_dropped(fleet: Fleet, redis_server: RedisServer):
    _, there = fleet.nodes
    there.manager._open_publish = True
    client = await connected(fleet, there)
    wrong = [
        "",
        "5",
        "[]",
        '{"type":"test"}',
        '{"title":""}',
        '{"title":"x","unknown":1}',
        '{"title":"x","link":"javascript:alert(1)"}',
        '{"title":"x","offset":7}',
        '{"title":"\\u0000"}',
    ]
    for by_hand in wrong:
        redis_server.ask("PUBLISH", "notify:user:1", by_hand)
    redis_server.ask("PUBLISH", "notify:user:1", '{"title":"right"}')
    await eventually(lambda: client.shown)
    assert [shown["title"] for shown in client.shown] == ["right"]
    assert there.manager.forged == len(wrong)


async def test_nothing_by_hand_is_taken_unless_it_is_allowed(fleet: Fleet, redis_server: RedisServer):
    here, there = fleet.nodes
    client = await connected(fleet, there)
    redis_server.ask("PUBLISH", "notify:user:1", '{"title":"by hand"}')
    await publish(here, "user:1", title="right")
    await eventually(lambda: client.shown)
    assert [shown["title"] for shown in client.shown] == ["right"]


async def test_a_replayed_message_changes_nothing(fleet: Fleet, redis_server: RedisServer):
    """Whoever can read Redis can send again what was sealed for a room."""
    here, there = fleet.nodes
    client = await connected(fleet, there)
    sealed: list[bytes] = []
    put = here.manager.outbox.put
    here.manager.outbox.put = lambda channel, message: (sealed.append(message), put(channel, message))
    await publish(here, ROOM, title="once")
    await eventually(lambda: client.shown)
    for _ in range(3):
        redis_server.ask("PUBLISH", f"notify:{ROOM}", sealed[0].decode())
    await publish(here, ROOM, title="behind it")
    await eventually(lambda: len(client.of("notification")) > 1)
    assert [shown["title"] for shown in client.of("notification")] == ["once", "behind it"]


async def test_a_foreign_epoch_is_looked_into_at_most_once_in_50_ms(fleet: Fleet):
    here, _ = fleet.nodes
    await connected(fleet, here)
    asked = 0
    epoch = here.log.epoch

    async def counted() -> str:
        nonlocal asked
        asked += 1
        return await epoch()

    here.log.epoch = counted
    for _ in range(100):
        here.receiver._take(Message("another", ROOM, 1, 0, b"[]"))
        await asyncio.sleep(0)
    assert asked == 1
