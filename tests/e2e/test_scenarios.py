"""The six scenarios the system is measured by, through the public door: HTTP, and real Socket.IO clients."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import socketio
from aiohttp import ClientSession

from clients.python import NotificationClient
from tests.support.processes import ServerProcess
from tests.support.stage import Caller, Recorder, demo_server, log_in, logged_in, until

DEADLINE_S = 20


class Tab:
    """One open page: a Socket.IO client that remembers the events it got, by name."""

    def __init__(self) -> None:
        self.events = Recorder()

    def got(self, event: str) -> list[Any]:
        return [payload for name, payload in self.events if name == event]

    async def wait(self, event: str, number: int = 1) -> list[Any]:
        await until(lambda: len(self.got(event)) >= number, DEADLINE_S)
        return self.got(event)


@asynccontextmanager
async def opened(url: str, caller: Caller) -> AsyncIterator[tuple[Tab, socketio.AsyncClient]]:
    """A page that has been greeted: connected, live, and told what was missed."""
    tab = Tab()
    client = socketio.AsyncClient(reconnection=False)
    for event in ("session", "notification", "changed", "summary", "inbox", "pong"):
        client.on(event, lambda payload, event=event: tab.events.append((event, payload)))
    await client.connect(url, auth={"token": caller.token}, transports=["websocket"])
    try:
        await tab.wait("summary")
        yield tab, client
    finally:
        await client.disconnect()


@pytest.fixture(params=["one server", "two servers"])
async def servers(
    request: pytest.FixtureRequest, demo_url: str, tmp_path: Path
) -> AsyncIterator[tuple[ServerProcess, ServerProcess]]:
    """Where reviewers are and where annotators are: one server for all, or one each."""
    with ExitStack() as started:
        redis_url = None
        if request.param == "two servers" and demo_url.startswith("postgres"):
            redis_url = request.getfixturevalue("redis_server").url
        running = []
        for name in ("a", "b")[: 1 if request.param == "one server" else 2]:
            (tmp_path / name).mkdir()
            server = demo_server(demo_url, tmp_path / name, redis_url=redis_url)
            await asyncio.to_thread(started.enter_context, server)
            running.append(server)
        yield running[0], running[-1]


class Work:
    """A task of project 1 that zhangsan has, and what people do to it."""

    def __init__(self, annotator: Caller, reviewer: Caller) -> None:
        self._callers = {"start": annotator, "submit": annotator, "approve": reviewer, "reject": reviewer}
        self._reviewer = reviewer

    async def create(self, title: str) -> str:
        body = {"project": "1", "title": title, "assignee": "1"}
        status, task = await self._reviewer.call("POST", "tasks", body)
        assert status == 201, task
        return task["id"]

    async def do(self, task_id: str, *actions: str, **body: Any) -> None:
        for action in actions:
            status, answer = await self._callers[action].call("POST", f"tasks/{task_id}/{action}", body)
            assert status == 200, answer


@asynccontextmanager
async def at_work(
    servers: tuple[ServerProcess, ServerProcess],
) -> AsyncIterator[tuple[Work, Caller, Caller, Caller]]:
    here, there = servers
    async with ClientSession() as http:
        annotator = await log_in(http, there.url, "zhangsan")
        reviewer, admin = [await log_in(http, here.url, name) for name in ("wangwu", "admin")]
        yield Work(annotator, reviewer), annotator, reviewer, admin


def heard_of(tab: Tab, type_: str) -> list[Any]:
    return [notification for notification in tab.got("notification") if notification["type"] == type_]


async def test_scenario_1_basic_notification(servers: tuple[ServerProcess, ServerProcess]):
    here, there = servers
    async with at_work(servers) as (work, annotator, reviewer, admin):
        one, other = await work.create("第一张图"), await work.create("第二张图")
        async with (
            opened(there.url, annotator) as (annotators, _),
            opened(here.url, reviewer) as (reviewers, _),
            opened(here.url, admin) as (admins, _),
        ):
            await work.do(one, "start", "submit")
            for tab in (reviewers, admins):
                notification, *_ = await tab.wait("notification")
                assert (notification["title"], notification["thread"]) == ("任务待审核", f"task:{one}")
                assert notification["content"] == "张三 提交了「第一张图」，现有 1 个任务待审核"
                assert notification["actor"] == {"id": "1", "name": "张三"}
            await work.do(one, "approve")
            await work.do(other, "start", "submit")
            await work.do(other, "reject", comment="左上角模糊")
            await until(lambda: heard_of(annotators, "task.rejected"), DEADLINE_S)
            approved, rejected = annotators.got("notification")[-2:]
            assert (approved["title"], approved["level"]) == ("审核通过", "success")
            assert (rejected["title"], rejected["level"], rejected["urgent"]) == (
                "任务被驳回",
                "warning",
                True,
            )
            assert rejected["content"] == "「第二张图」被驳回：左上角模糊"
            assert rejected["actor"] == {"id": "3", "name": "王五"}
            await until(lambda: len({c["thread"] for c in admins.got("changed")}) == 2, DEADLINE_S)
            settled = {(c["kind"], c["thread"], c["by"]["name"]) for c in admins.got("changed")}
            assert settled == {("settle", f"task:{one}", "王五"), ("settle", f"task:{other}", "王五")}
            heard = {n["id"]: n["data"]["task_id"] for n in admins.got("notification")}
            assert [str(id_) for id_ in heard.values()] == [one, other], "one each, over two rooms"
    if here is there:
        for line in (
            "✅ [WS] 已订阅用户频道: notify:user:1",
            "✅ [WS] 已订阅角色频道: notify:role:annotator",
            "✅ [WS] 已订阅全局频道: notify:global",
            "📤 发布消息到 notify:user:1, 接收者: 1",
            "📤 发布消息到 notify:project:1:reviewer, 接收者: 1",
        ):
            await asyncio.to_thread(here.wait_for_log, line)


async def test_scenario_2_offline_summary(servers: tuple[ServerProcess, ServerProcess]):
    _, there = servers
    async with at_work(servers) as (work, annotator, _, _):
        task = await work.create("第一张图")
        await work.do(task, "start", "submit")
        async with opened(there.url, annotator) as (tab, client):
            (summary,) = tab.got("summary")
            answer = await client.call("ack", {"epoch": summary["epoch"], "position": summary["position"]})
            assert answer["ok"]
        await work.do(task, "reject", comment="左上角模糊")
        again = await log_in(annotator.http, there.url, "zhangsan")
        async with opened(there.url, again) as (tab, _):
            (summary,) = tab.got("summary")
            assert summary["tasks"] == {"in_progress": 0, "rejected": 1}
            assert summary["urgent"] is True
            # Without Redis, a server may learn of what another has just stored when somebody is there already.
            await until(lambda: summary["missed"]["latest"] + tab.got("notification"), DEADLINE_S)
            (told,) = summary["missed"]["latest"] + tab.got("notification")
            assert told["content"] == "「第一张图」被驳回：左上角模糊"
            assert summary["oldest"]["id"] == task
            assert summary["messages"][0] == {
                "level": "warning",
                "text": {
                    "zh-CN": "⚠️ 您有 1 个被驳回任务，建议请您先修订",
                    "en": "⚠️ You have 1 rejected task; please revise first",
                },
            }
        await work.do(task, "start", "submit")
        _, summary = await again.call("GET", "summary")
        assert summary["tasks"] == {"in_progress": 0, "rejected": 0}, (
            "what is mended is not held up to anybody"
        )
        assert (summary["urgent"], summary["missed"]["total"], summary["messages"]) == (False, 0, [])


async def test_scenario_3_several_notifications_in_a_row(servers: tuple[ServerProcess, ServerProcess]):
    here, there = servers
    async with at_work(servers) as (work, _, reviewer, _):
        tasks = [await work.create(f"任务 {name}") for name in "ABC"]
        async with opened(here.url, reviewer) as (tab, _):
            for waiting, task in enumerate(tasks, 1):
                await work.do(task, "start", "submit")
                await tab.wait("notification", waiting)
            heard = tab.got("notification")
    assert [n["content"] for n in heard] == [
        f"张三 提交了「任务 {name}」，现有 {n} 个任务待审核" for n, name in enumerate("ABC", 1)
    ]
    assert [n["data"]["waiting"] for n in heard] == [1, 2, 3]
    assert len({n["id"] for n in heard}) == 3
    if here is there:
        lines = 0
        for _ in range(3):
            lines = await asyncio.to_thread(
                here.wait_for_log, "📤 发布消息到 notify:project:1:reviewer, 接收者: 1", after=lines
            )


async def test_scenario_4_heartbeat(server: ServerProcess):
    async with logged_in(server.url, "zhangsan") as caller, opened(server.url, caller) as (tab, client):
        session = tab.got("session")[0]
        assert session["heartbeat_s"] == 1
        now_ms = int(time.time() * 1000)
        beat = {"type": "ping", "timestamp": now_ms, "user_id": 1, "username": "张三"}
        pong = await client.call("ping", beat | {"epoch": session["epoch"], "position": session["position"]})
        assert pong["type"] == "pong"
        assert pong["timestamp"] == now_ms
        assert abs(pong["server_time"] - now_ms) < 60_000
        assert pong["epoch"] == session["epoch"]
        assert pong["position"] == session["position"]
        assert (await tab.wait("pong"))[0]["timestamp"] == now_ms

    beats = Recorder()
    client = NotificationClient(server.url, caller.token, on_heartbeat=beats.append)
    running = asyncio.create_task(client.run())
    await until(lambda: len(beats) >= 2, DEADLINE_S)
    client.close()
    await running


async def test_scenario_5_reconnect_after_a_restart(server: ServerProcess, tmp_path: Path):
    async with ClientSession() as http:
        caller, admin = [await log_in(http, server.url, name) for name in ("zhangsan", "admin")]
        heard, states, summaries = Recorder(), Recorder(), Recorder()
        client = NotificationClient(
            server.url,
            caller.token,
            state=tmp_path / "state",
            on_notification=lambda notification: heard.append(notification["title"]),
            on_state=lambda state: states.append(state["state"]),
            on_summary=summaries.append,
        )
        running = asyncio.create_task(client.run())
        await until(lambda: summaries, DEADLINE_S)
        await admin.publish("user:1", title="before")
        await until(lambda: heard, DEADLINE_S)
        await asyncio.to_thread(server.restart)
        await admin.publish("user:1", title="at once afterwards")
        await until(lambda: len(heard) >= 2, DEADLINE_S)
        await until(lambda: len(summaries) >= 2, DEADLINE_S)
        await admin.publish("user:1", title="later")
        await until(lambda: len(heard) >= 3, DEADLINE_S)
        client.close()
        await running
    assert heard == ["before", "at once afterwards", "later"]
    assert states.count("live") == 2
    assert "waiting" in states
    await asyncio.to_thread(server.wait_for_log, "✅ [WS] 已订阅用户频道: notify:user:1")


async def test_scenario_6_two_tabs(server: ServerProcess):
    async with ClientSession() as http:
        caller, admin = [await log_in(http, server.url, name) for name in ("zhangsan", "admin")]
        async with opened(server.url, caller) as (first, one), opened(server.url, caller) as (second, _):
            published = await admin.publish("user:1", title="两个标签页")
            assert (published["connections"], published["servers"]) == (2, 1)
            assert await first.wait("notification") == await second.wait("notification")
            await asyncio.to_thread(server.wait_for_log, "📤 发布消息到 notify:user:1, 接收者: 2")
            answer = await one.call("read", {"ids": [published["id"]]})
            assert (answer["ok"], answer["unread"]) == (True, 0)
            (change,) = await second.wait("inbox")
            assert change["unread"] == 0
            assert change["version"] == answer["version"]
            assert change["changed"][0]["id"] == published["id"]
            assert change["changed"][0]["read_at"]
            assert first.got("inbox") == []
