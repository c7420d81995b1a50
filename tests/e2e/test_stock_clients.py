"""Clients of others, as they come: a few lines, the library's defaults, no position."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import socketio

from tests.support.processes import ROOT, Program, ServerProcess
from tests.support.stage import Recorder, logged_in, until
from tests.support.wire import live_wire

JS = ROOT / "tests" / "e2e" / "js"


def javascript(server: ServerProcess, auth: dict[str, Any], folder: Path, **options: Any) -> Program:
    command = ("node", "listen.mjs", server.url, json.dumps(auth), json.dumps(options))
    return Program(command, log_path=folder / "js.log", cwd=JS)


def events(program: Program, name: str) -> list[Any]:
    said = [json.loads(line) for line in program.lines]
    return [line["payload"] for line in said if line["event"] == name]


@pytest.mark.parametrize("options", [{}, {"transports": ["polling"]}, {"transports": ["websocket"]}])
async def test_the_official_javascript_client(server: ServerProcess, tmp_path: Path, options: dict[str, Any]):
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        with javascript(server, {"token": zhangsan.token}, tmp_path, **options) as client:
            await asyncio.to_thread(client.wait_for_log, '"event":"summary"')
            for number in range(5):
                await admin.publish("user:1", "global", title=f"t{number}")
            await asyncio.to_thread(client.wait_for_log, '"title":"t4"')
            heard = events(client, "notification")
            assert [n["title"] for n in heard if n["room"] == "user:1"] == [f"t{n}" for n in range(5)]
            assert [event["state"] for event in events(client, "session")] == ["syncing", "live"]
            assert events(client, "summary")[0]["missed"]["total"] == 0


@pytest.mark.parametrize("options", [{}, {"transports": ["polling"]}])
async def test_a_javascript_client_hears_everything_also_while_it_upgrades(
    server: ServerProcess, tmp_path: Path, options: dict[str, Any]
):
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        with javascript(server, {"token": zhangsan.token}, tmp_path, **options) as client:
            live = asyncio.create_task(asyncio.to_thread(client.wait_for_log, '"state":"live"'))
            number = 0
            while not live.done() or number < 100:
                number += 1
                await admin.publish("user:1", title=f"t{number}")
            await admin.publish("user:1", title="the last")
            await asyncio.to_thread(client.wait_for_log, '"title":"the last"')
            base = events(client, "session")[0]["position"]["user:1"]
            heard = [n["offset"] for n in events(client, "notification") if n["room"] == "user:1"]
            assert heard == list(range(base + 1, number + 2))
            assert base < number


async def test_a_javascript_client_that_resumes(server: ServerProcess, tmp_path: Path):
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        with javascript(server, {"token": zhangsan.token}, tmp_path) as client:
            await asyncio.to_thread(client.wait_for_log, '"event":"summary"')
            session = events(client, "session")[0]
        for number in range(3):
            await admin.publish("user:1", title=f"missed {number}")
        auth = {"token": zhangsan.token, "epoch": session["epoch"], "position": session["position"]}
        with javascript(server, auth, tmp_path) as client:
            await asyncio.to_thread(client.wait_for_log, '"event":"summary"')
            await admin.publish("user:1", title="live")
            await asyncio.to_thread(client.wait_for_log, '"title":"live"')
            titles = [n["title"] for n in events(client, "notification")]
            assert titles == ["missed 0", "missed 1", "missed 2", "live"]
            assert events(client, "session")[0]["recovered"]["user:1"] is True


async def test_a_polling_python_client_can_be_sent_much_at_once(sqlite_server: ServerProcess):
    """It takes no more than 16 packets of one answer, and gives the connection up over a longer one."""
    url = sqlite_server.url
    async with logged_in(url, "admin") as admin, logged_in(url, "zhangsan") as zhangsan:
        async with live_wire(url, zhangsan.token) as wire:
            claim = {key: wire.of("session")[0][key] for key in ("epoch", "position")}
        for number in range(50):
            await admin.publish("user:1", title=f"{number}")
        heard, ended = Recorder(), Recorder()
        client = socketio.AsyncClient(reconnection=False)
        client.on("notification", heard.append)
        client.on("disconnect", ended.append)
        await client.connect(url, auth={"token": zhangsan.token, **claim}, transports=["polling"])
        await until(lambda: len(heard) >= 50 or ended)
        await client.disconnect()
        assert [notification["title"] for notification in heard] == [f"{number}" for number in range(50)]


async def test_a_javascript_client_is_told_why_it_is_refused(server: ServerProcess, tmp_path: Path):
    with javascript(server, {"token": "forged"}, tmp_path) as client:
        await asyncio.to_thread(client.wait_for_log, '"event":"connect_error"')
        assert events(client, "connect_error") == [
            {"message": "unauthorized", "data": {"code": "token_invalid"}}
        ]


async def test_the_synchronous_python_client(server: ServerProcess):
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        heard: list[Any] = []
        summary, notification = threading.Event(), threading.Event()
        client = socketio.Client()
        client.on("summary", lambda _: summary.set())
        client.on("notification", lambda payload: (heard.append(payload), notification.set()))
        await asyncio.to_thread(client.connect, server.url, auth={"token": zhangsan.token})
        try:
            assert await asyncio.to_thread(summary.wait, 10)
            await admin.publish("role:annotator", title="to annotators")
            assert await asyncio.to_thread(notification.wait, 10)
            assert heard[0]["title"] == "to annotators"
        finally:
            await asyncio.to_thread(client.disconnect)
