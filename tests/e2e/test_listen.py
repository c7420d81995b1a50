"""The command line of the Python client against a real server: `listen` and `send`."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import CLIENT, Program, ServerProcess, run_command
from tests.support.stage import Caller, logged_in, until_written

ROOMS = ("user:1", "role:annotator", "project:1", "global")


def listener(server: ServerProcess, token: str, folder: Path, *options: str) -> Program:
    command = (*CLIENT, "listen", "--url", server.url, "--json", *options)
    return Program(command, log_path=folder / "listen.log", env={"NOTIFY_TOKEN": token})


def shown(program: Program) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in program.lines if line.startswith("{")]
    return [line for line in lines if line["event"] == "notification"]


async def live(program: Program) -> None:
    await asyncio.to_thread(program.wait_for_log, '"event":"summary"', timeout=20)


async def send(server: ServerProcess, token: str, title: str, *rooms: str) -> None:
    to = [option for room in rooms for option in ("--to", room)]
    arguments = ("send", "--url", server.url, *to, "--title", title)
    await asyncio.to_thread(run_command, *arguments, program=CLIENT, env={"NOTIFY_TOKEN": token})


async def publish_many(admin: Caller, number: int) -> None:
    """`number` notifications to each of the rooms, and then one that says that they are over."""
    entries = [{"to": [room], "title": f"{room} {count}"} for count in range(number) for room in ROOMS]
    for start in range(0, len(entries), 500):
        status, answer = await admin.call(
            "POST", "notifications/batch", {"notifications": entries[start : start + 500]}
        )
        assert status == 200
        assert {result["status"] for result in answer["results"]} == {201}


async def test_each_room_shows_once_and_all_together_show_once(server: ServerProcess, tmp_path: Path):
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        with listener(server, zhangsan.token, tmp_path) as listen:
            await live(listen)
            for room in ROOMS:
                await send(server, admin.token, f"to {room}", room)
            await send(server, admin.token, "to all together", *ROOMS)
            await admin.publish("user:1", title="the end")
            await asyncio.to_thread(listen.wait_for_log, "the end")
            titles = [notification["title"] for notification in shown(listen)]
    assert titles == [*(f"to {room}" for room in ROOMS), "to all together", "the end"]


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_listener_with_state_shows_what_it_missed_once_and_in_order(
    server: ServerProcess, tmp_path: Path, end: str
):
    state = ("--state", str(tmp_path / "position"))
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        with listener(server, zhangsan.token, tmp_path, *state) as listen:
            await live(listen)
            await admin.publish("user:1", title="seen before")
            await asyncio.to_thread(listen.wait_for_log, "seen before")
            # A crash between showing and storing shows again; what is promised begins with the stored position.
            shown_id = shown(listen)[0]["id"]
            await until_written(tmp_path / "position", shown_id)
            await asyncio.to_thread(getattr(listen, end))
        await publish_many(admin, 400)
        with listener(server, zhangsan.token, tmp_path, *state) as listen:
            await live(listen)
            await admin.publish("user:1", title="the end")
            await asyncio.to_thread(listen.wait_for_log, "the end")
            again = shown(listen)
    for room in ROOMS:
        titles = [n["title"] for n in again if n["room"] == room and n["title"] != "the end"]
        assert titles == [f"{room} {count}" for count in range(400)]
    assert len(again) == 1_601


async def test_past_five_hundred_a_room_it_is_told_so(server: ServerProcess, tmp_path: Path):
    state = ("--state", str(tmp_path / "position"))
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        with listener(server, zhangsan.token, tmp_path, *state) as listen:
            await live(listen)
        entries = [{"to": ["user:1"], "title": str(n)} for n in range(501)]
        for part in (entries[:500], entries[500:]):
            await admin.call("POST", "notifications/batch", {"notifications": part})
        await admin.publish("global", title="one in another room")
        with listener(server, zhangsan.token, tmp_path, *state) as listen:
            await live(listen)
            sessions = [json.loads(line) for line in listen.lines if '"state":"syncing"' in line]
            assert sessions[0]["recovered"]["user:1"] is False
            assert sessions[0]["recovered"]["global"] is True
            assert [n["title"] for n in shown(listen)] == ["one in another room"]
        status, inbox = await zhangsan.call("GET", "inbox?limit=2&room=user:1")
        assert (status, [item["title"] for item in inbox["items"]]) == (200, ["500", "499"])
        assert inbox["unread"] == 100
