"""The six scenarios the system is measured by, through the public door: HTTP, and real Socket.IO clients."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import socketio
from aiohttp import ClientSession

from clients.python import NotificationClient
from tests.support.processes import ServerProcess
from tests.support.stage import Caller, Recorder, log_in, logged_in, until

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


async def test_scenario_1_basic_notification(server: ServerProcess):
    async with ClientSession() as http:
        annotator, reviewer, admin = [
            await log_in(http, server.url, name) for name in ("zhangsan", "wangwu", "admin")
        ]
        async with (
            opened(server.url, annotator) as (annotators, _),
            opened(server.url, reviewer) as (reviewers, _),
            opened(server.url, admin) as (admins, _),
        ):
            submitted = await admin.publish(
                "project:1:reviewer", "project:1:admin", type="task.submitted", title="任务待审核"
            )
            assert [n["title"] for n in await reviewers.wait("notification")] == ["任务待审核"]
            assert [n["title"] for n in await admins.wait("notification")] == ["任务待审核"]
            await admin.publish("user:1", type="task.approved", level="success", title="审核通过")
            await admin.publish(
                "user:1", type="task.rejected", level="warning", urgent=True, title="任务被驳回"
            )
            heard = await annotators.wait("notification", 2)
            assert [n["title"] for n in heard] == ["审核通过", "任务被驳回"]
            assert [n["offset"] for n in heard] == [1, 2]
            assert heard[0]["actor"] == {"id": "4", "name": "管理员"}
    assert submitted["connections"] == 2
    log = "\n".join(server.lines)
    assert "✅ [WS] 已订阅用户频道: notify:user:1" in log
    assert "✅ [WS] 已订阅角色频道: notify:role:annotator" in log
    assert "✅ [WS] 已订阅全局频道: notify:global" in log
    assert "📤 发布消息到 notify:user:1, 接收者: 1" in log


async def test_scenario_2_offline_summary(server: ServerProcess):
    async with ClientSession() as http:
        annotator, admin = [await log_in(http, server.url, name) for name in ("zhangsan", "admin")]
        async with opened(server.url, annotator) as (tab, _):
            assert tab.got("summary")[0]["missed"]["total"] == 0
        await admin.publish("user:1", type="task.rejected", level="warning", urgent=True, title="任务被驳回")
        again = await log_in(http, server.url, "zhangsan")
        async with opened(server.url, again) as (tab, _):
            (summary,) = tab.got("summary")
            assert tab.got("notification") == []
            assert summary["missed"]["total"] == 1
            assert summary["missed"]["by_type"] == {"task.rejected": 1}
            assert summary["missed"]["urgent"] == 1
            assert summary["missed"]["latest"][0]["title"] == "任务被驳回"
            assert summary["urgent"] is True
            assert summary["unread"] == 1
            texts = [message["text"]["zh-CN"] for message in summary["messages"]]
            assert texts == ["您离线期间有 1 条新通知"]
        assert (await again.call("GET", "summary"))[1]["missed"]["total"] == 1


async def test_scenario_3_several_notifications_in_a_row(server: ServerProcess):
    async with ClientSession() as http:
        reviewer, admin = [await log_in(http, server.url, name) for name in ("wangwu", "admin")]
        async with opened(server.url, reviewer) as (tab, _):
            for waiting, task in enumerate("ABC", 1):
                await admin.publish(
                    "project:1:reviewer",
                    type="task.submitted",
                    title="任务待审核",
                    content=f"任务 {task}，待审核 {waiting}",
                )
                await tab.wait("notification", waiting)
            heard = tab.got("notification")
    assert [n["content"] for n in heard] == [f"任务 {task}，待审核 {n}" for n, task in enumerate("ABC", 1)]
    assert len({n["id"] for n in heard}) == 3
    received = [line for line in server.lines if "📤 发布消息到 notify:project:1:reviewer, 接收者: 1" in line]
    assert len(received) == 3


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
    assert "✅ [WS] 已订阅用户频道: notify:user:1" in "\n".join(server.lines)


async def test_scenario_6_two_tabs(server: ServerProcess):
    async with ClientSession() as http:
        caller, admin = [await log_in(http, server.url, name) for name in ("zhangsan", "admin")]
        async with opened(server.url, caller) as (first, one), opened(server.url, caller) as (second, _):
            published = await admin.publish("user:1", title="两个标签页")
            assert (published["connections"], published["servers"]) == (2, 1)
            assert await first.wait("notification") == await second.wait("notification")
            assert "📤 发布消息到 notify:user:1, 接收者: 2" in "\n".join(server.lines)
            answer = await one.call("read", {"ids": [published["id"]]})
            assert (answer["ok"], answer["unread"]) == (True, 0)
            (change,) = await second.wait("inbox")
            assert change["unread"] == 0
            assert change["version"] == answer["version"]
            assert change["changed"][0]["id"] == published["id"]
            assert change["changed"][0]["read_at"]
            assert first.got("inbox") == []
