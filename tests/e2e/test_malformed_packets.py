"""Packets that no library of ours would send: they cost their sender the connection, and nobody else anything."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.processes import ServerProcess
from tests.support.stage import demo_server, logged_in
from tests.support.wire import live_wire, opened_wire

NOT_A_PACKET = {
    "nothing": "",
    "no type": "x",
    "not JSON": "2{",
    "an event that is an object": '2{"a":1}',
    "an event without a name": "2[]",
    "a name that is a list": '2[["ping"]]',
    "a name that is an object": '2[{"ping":1}]',
    "a lone surrogate": '2["ping","\\ud800"]',
    "nested without end": "2" + "[" * 20_000,
    "a binary event": '51-["ping",{"_placeholder":true,"num":0}]',
    "a binary acknowledgement": "61-1[]",
    "a second CONNECT": "0",
    "larger than any message": '2["ping","' + "x" * 100_000 + '"]',
    "our own disconnect": '21["disconnect","x"]',
    "our own disconnect without a reason": '21["disconnect"]',
    "our own connect": '21["connect",{},{"token":"x"}]',
    "our own connect without a token": '21["connect"]',
}


@pytest.fixture
async def server(sqlite_demo: Path, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """Packets never get as far as the database: one kind is enough."""
    copy = shutil.copy(sqlite_demo, tmp_path / "log.db")
    server = demo_server(f"sqlite:///{copy}", tmp_path)
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


async def test_who_sends_what_is_no_packet_is_cut_off_and_nobody_else(server: ServerProcess):
    async with (
        logged_in(server.url, "admin") as admin,
        logged_in(server.url, "zhangsan") as zhangsan,
        live_wire(server.url, zhangsan.token) as other,
    ):
        for name, packet in NOT_A_PACKET.items():
            async with live_wire(server.url, zhangsan.token) as sender:
                await sender.send(packet)
                await sender.until(lambda sender=sender: sender.closed, name)
                assert sender.of("ack") == [], name
        published = await admin.publish("user:1")
        assert published["connections"] == 1
        await other.wait("notification")
        assert (await other.call("ping", {"timestamp": 1}))["ok"] is True
    assert not [line for line in server.lines if "Traceback" in line]


async def test_events_before_connect_are_not_answered(server: ServerProcess):
    async with logged_in(server.url, "zhangsan") as zhangsan, opened_wire(server.url) as wire:
        await wire.send('21["ping",{"timestamp":1}]')
        await wire.send(f'22["authenticate",{json.dumps({"token": zhangsan.token})}]')
        await wire.connect({"token": zhangsan.token})
        await wire.wait("summary")
        assert wire.names == ["connect", "session syncing", "session live", "summary"]


async def test_acknowledgements_that_nobody_asked_for_do_nothing(server: ServerProcess):
    async with logged_in(server.url, "zhangsan") as zhangsan, live_wire(server.url, zhangsan.token) as wire:
        for packet in ("31[]", "3[]", '3999["x"]'):
            await wire.send(packet)
        assert (await wire.call("ping", {"timestamp": 1}))["timestamp"] == 1
        assert not wire.closed


async def test_other_namespaces_are_refused_and_the_session_lives(server: ServerProcess):
    async with logged_in(server.url, "zhangsan") as zhangsan, live_wire(server.url, zhangsan.token) as wire:
        await wire.send(f"0/admin,{json.dumps({'token': zhangsan.token})}")
        await wire.send('2/admin,7["ping",{"timestamp":1}]')
        assert (await wire.call("ping", {"timestamp": 1}))["ok"] is True
        assert wire.of("connect_error") == ['/admin,{"message":"Invalid namespace"}']
        assert [ack[0] for ack in wire.of("ack")] == [1]


async def test_who_leaves_the_namespace_can_enter_it_again(server: ServerProcess):
    async with logged_in(server.url, "zhangsan") as zhangsan, live_wire(server.url, zhangsan.token) as wire:
        await wire.send("1")
        await wire.connect({"token": zhangsan.token})
        await wire.wait("summary", 2)
        first, second = [session for session in wire.of("session") if session["state"] == "syncing"]
        assert first["session_id"] != second["session_id"]
        assert (await wire.call("ping", {"timestamp": 1}))["ok"] is True
