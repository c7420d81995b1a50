"""Coming back, packet by packet: the order of what is sent, its limits, and what an acknowledgement changes."""

import asyncio
from typing import Any

from tests.support.processes import ServerProcess
from tests.support.stage import Caller, logged_in
from tests.support.wire import Wire, live_wire, opened_wire

MAX_REPLAY_PER_ROOM = 500
MAX_REPLAY_PER_SESSION = 2_000


async def publish_many(admin: Caller, room: str, number: int) -> None:
    for start in range(0, number, 500):
        titles = [f"{room} {count}" for count in range(start, min(start + 500, number))]
        body = {"notifications": [{"to": [room], "title": title} for title in titles]}
        status, answer = await admin.call("POST", "notifications/batch", body)
        assert status == 200
        assert {result["status"] for result in answer["results"]} == {201}


async def claim_of_now(server: ServerProcess, caller: Caller) -> dict[str, Any]:
    async with live_wire(server.url, caller.token) as wire:
        session = wire.of("session")[0]
        return {"epoch": session["epoch"], "position": session["position"]}


def offsets(wire: Wire, room: str) -> list[int]:
    return [payload["offset"] for payload in wire.of("notification") if payload["room"] == room]


async def test_replay_goes_before_what_is_live_without_a_gap_while_others_publish(server: ServerProcess):
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        claim = await claim_of_now(server, zhangsan)
        await publish_many(admin, "user:1", 150)
        await publish_many(admin, "global", 150)
        enough = asyncio.Event()

        async def keep_publishing(room: str) -> int:
            last = 0
            while not enough.is_set():
                last = (await admin.publish(room))["postings"][room]
            return last

        publishing = [asyncio.create_task(keep_publishing(room)) for room in ("user:1", "global") * 3]
        for _ in range(4):
            async with opened_wire(server.url) as wire:
                await wire.connect({"token": zhangsan.token, **claim})
                await wire.wait("summary")
                await wire.wait("notification", len(wire.of("notification")) + 30)
                check_order(wire, claim)
                claim["position"] |= {room: offsets(wire, room)[-1] for room in ("user:1", "global")}
        enough.set()
        heads = [await last for last in publishing]
        async with live_wire(server.url, zhangsan.token, **claim) as wire:
            check_order(wire, claim)
            for room in ("user:1", "global"):
                reached = [claim["position"][room], *offsets(wire, room)][-1]
                assert reached == max(heads[0::2] if room == "user:1" else heads[1::2])


def check_order(wire: Wire, claim: dict[str, Any]) -> None:
    """CONNECT, syncing, everything up to the base, live, summary; per room without a gap, nothing twice."""
    names = wire.names
    assert names[:2] == ["connect", "session syncing"]
    live = names.index("session live")
    assert names.index("summary") > live
    base = wire.of("session")[0]["position"]
    assert all(wire.of("session")[0]["recovered"].values())
    late = [payload for name, payload in wire.packets[live:] if name == "notification"]
    assert [n for n in late if n["offset"] <= base[n["room"]]] == []
    for room in ("user:1", "global"):
        first = claim["position"][room] + 1
        found = offsets(wire, room)
        assert found == list(range(first, first + len(found)))
        assert first + len(found) > base[room]


async def test_500_a_room_are_replayed_and_501_are_left_to_the_inbox(server: ServerProcess):
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        claim = await claim_of_now(server, zhangsan)
        await publish_many(admin, "user:1", MAX_REPLAY_PER_ROOM + 1)
        async with live_wire(server.url, zhangsan.token, **claim) as wire:
            assert wire.of("session")[0]["recovered"] == {
                **dict.fromkeys(claim["position"], True),
                "user:1": False,
            }
            assert wire.of("summary")[0]["recovered"] is False
            assert wire.of("notification") == []
            await admin.publish("user:1", title="live")
            (live,) = await wire.wait("notification")
            assert live["offset"] == MAX_REPLAY_PER_ROOM + 2
        claim["position"]["user:1"] = 2
        async with live_wire(server.url, zhangsan.token, **claim) as wire:
            assert wire.of("session")[0]["recovered"]["user:1"] is True
            assert offsets(wire, "user:1") == list(range(3, MAX_REPLAY_PER_ROOM + 3))
        titles = []
        cursor = ""
        while cursor is not None:
            _, page = await zhangsan.call("GET", f"inbox?limit=100{cursor and f'&cursor={cursor}'}")
            titles += [item["title"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert titles == ["live", *(f"user:1 {n}" for n in reversed(range(MAX_REPLAY_PER_ROOM + 1)))]


async def test_past_2000_a_session_whole_rooms_are_left_to_the_inbox(server: ServerProcess):
    rooms = ("user:1", "role:annotator", "project:1", "project:2", "global")
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        claim = await claim_of_now(server, zhangsan)
        for room in rooms:
            await publish_many(admin, room, 450)
        async with live_wire(server.url, zhangsan.token, **claim) as wire:
            recovered = wire.of("session")[0]["recovered"]
            assert [recovered[room] for room in rooms].count(False) == 1
            assert len(wire.of("notification")) <= MAX_REPLAY_PER_SESSION
            for room in rooms:
                assert offsets(wire, room) == (list(range(1, 451)) if recovered[room] else [])


async def test_an_acknowledgement_moves_what_counts_as_missed_only_where_it_may(server: ServerProcess):
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        claim = await claim_of_now(server, zhangsan)
        epoch = claim["epoch"]
        await admin.publish("user:1", "user:2", title="first")
        async with live_wire(server.url, zhangsan.token) as wire:
            assert wire.of("summary")[0]["missed"]["total"] == 1
            for harmless in (
                {"epoch": "another", "position": {"user:1": 1}},
                {"epoch": epoch, "position": {"user:2": 1, "role:reviewer": 1, "no room": 5}},
                {"epoch": epoch, "position": {}},
            ):
                assert await wire.call("ack", harmless) == {"ok": True}
        async with logged_in(server.url, "lisi") as lisi, live_wire(server.url, lisi.token) as wire:
            assert wire.of("summary")[0]["missed"]["total"] == 1
        async with live_wire(server.url, zhangsan.token) as wire:
            assert wire.of("summary")[0]["missed"]["total"] == 1
            assert await wire.call("ack", {"epoch": epoch, "position": {"user:1": 10**9}}) == {"ok": True}
        await admin.publish("user:1", title="second")
        async with live_wire(server.url, zhangsan.token) as wire:
            missed = wire.of("summary")[0]["missed"]
            assert (missed["total"], missed["latest"][0]["title"]) == (1, "second")


async def test_sync_while_others_publish_leaves_no_gap_and_doubles_only_what_was_asked_for(
    server: ServerProcess,
):
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        await publish_many(admin, "user:1", 120)
        async with live_wire(server.url, zhangsan.token) as wire:
            epoch = wire.of("session")[0]["epoch"]
            publishing = [asyncio.create_task(admin.publish("user:1", title="live")) for _ in range(40)]
            answer = await wire.call("sync", {"epoch": epoch, "position": {"user:1": 100}})
            await asyncio.gather(*publishing)
            await wire.until(lambda: offsets(wire, "user:1")[-1:] == [160])
            answered = next(n for n, (name, _) in enumerate(wire.packets) if name == "ack")
            behind = [
                payload["offset"] for name, payload in wire.packets[answered:] if name == "notification"
            ]
            assert answer["recovered"] == {"user:1": True}
            assert behind == list(range(101, 161))
