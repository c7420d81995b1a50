"""Threads and retractions as people meet them: live, in the inbox, and after having been away."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from core.domain.notifications import Actor, Kind
from tests.e2e.test_listen import listener, live, shown
from tests.e2e.test_stock_clients import events, javascript
from tests.support.processes import CLIENT, Program, ServerProcess
from tests.support.stage import Caller, logged_in, until_written
from tests.support.store import amendment, opened_log, unit
from tests.support.wire import live_wire

ROOM, TASK = "project:1", "task:17"


async def thread_of(person: Caller) -> dict[str, object]:
    """Their only row, as far as it is about the thread, and how much is unread."""
    status, inbox = await person.call("GET", "inbox")
    assert status == 200
    (item,) = inbox["items"]
    return {"unread": inbox["unread"], "read_at": item["read_at"], **item["thread"]}


async def test_who_settled_a_thread_is_heard_and_shown_at_once(server: ServerProcess, demo_url: str):
    async with AsyncExitStack() as stack:
        admin, zhangsan = [
            await stack.enter_async_context(logged_in(server.url, name)) for name in ("admin", "zhangsan")
        ]
        wire = await stack.enter_async_context(live_wire(server.url, zhangsan.token))
        log = await stack.enter_async_context(opened_log(demo_url))
        sent = await admin.publish(ROOM, thread=TASK)
        await wire.wait("notification")
        waiting = {"key": TASK, "count": 1, "open": True, "settled_by": None}
        assert await thread_of(zhangsan) == {"unread": 1, "read_at": None, **waiting}

        for by in (Actor("3", "王五"), Actor("2", "李四")):
            await log.commit(unit(amendment(Kind.SETTLE, sent["id"], ROOM, thread=TASK, by=by)))
        changed = await wire.wait("changed", 2)

        assert [(one["kind"], one["id"], one["thread"]) for one in changed] == [
            ("settle", sent["id"], TASK)
        ] * 2
        assert changed[0]["by"] == {"id": "3", "name": "王五"}
        settled = {"key": TASK, "count": 1, "open": False, "settled_by": changed[0]["by"]}
        assert await thread_of(zhangsan) == {"unread": 0, "read_at": None, **settled}


async def test_marking_the_row_of_a_thread_leaves_nothing_unread(server: ServerProcess):
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        await admin.publish(ROOM, "role:annotator", thread=TASK)
        newest = await admin.publish("user:1", thread=TASK)
        assert (await thread_of(zhangsan))["count"] == 2

        status, item = await zhangsan.call("PATCH", f"inbox/{newest['id']}", {"read": True})

        assert (status, item["read_at"] is not None) == (200, True)
        assert (await thread_of(zhangsan))["unread"] == 0
        await admin.call("DELETE", f"notifications/{newest['id']}")
        fallen = await thread_of(zhangsan)
        assert (fallen["count"], fallen["open"], fallen["unread"]) == (1, True, 0)
        assert fallen["read_at"] is not None


async def test_who_was_away_during_a_retraction_is_told_of_it(server: ServerProcess, tmp_path: Path):
    state = ("--state", str(tmp_path / "position"))
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        with (
            listener(server, zhangsan.token, tmp_path, *state) as listen,
            javascript(server, {"token": zhangsan.token}, tmp_path) as official,
        ):
            await live(listen)
            await asyncio.to_thread(official.wait_for_log, '"event":"summary"')
            sent = await admin.publish("user:1", title="sent too early")
            await asyncio.to_thread(listen.wait_for_log, "sent too early")
            await asyncio.to_thread(official.wait_for_log, "sent too early")
            await until_written(tmp_path / "position", shown(listen)[0]["id"])
            session = events(official, "session")[0]
            had = events(official, "notification")[0]
        status, _ = await admin.call("DELETE", f"notifications/{sent['id']}")
        assert status == 204

        position = session["position"] | {had["room"]: had["offset"]}
        auth = {"token": zhangsan.token, "epoch": session["epoch"], "position": position}
        command = (*CLIENT, "listen", "--url", server.url, *state)
        again = Program(command, log_path=tmp_path / "again.log", env={"NOTIFY_TOKEN": zhangsan.token})
        with again, javascript(server, auth, tmp_path) as official:
            await asyncio.to_thread(again.wait_for_log, "撤回 user:1")
            await asyncio.to_thread(official.wait_for_log, '"event":"changed"')
            changed = events(official, "changed")
            assert [(one["kind"], one["id"]) for one in changed] == [("retract", sent["id"])]
            assert not any("sent too early" in line for line in (*again.lines, *official.lines))
