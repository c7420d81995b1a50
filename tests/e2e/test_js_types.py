"""The TypeScript types of the JavaScript package are what a real server says: field by field, none more, none less."""

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.support.processes import ROOT, ServerProcess
from tests.support.stage import PASSWORD, logged_in
from tests.support.wire import live_wire

PACKAGE = ROOT / "clients" / "js"
OPTIONS = {
    "strict": True,
    "exactOptionalPropertyTypes": True,
    "noEmit": True,
    "module": "NodeNext",
    "target": "ES2022",
    "types": [],
    "skipLibCheck": True,
}

Recorded = tuple[str, Any]


async def compiled(folder: Path, *sources: str) -> list[list[str]]:
    """What the compiler has against each of these modules, which may import the package; nothing when all is right."""
    names = [f"module{number}.ts" for number in range(len(sources))]
    for name, source in zip(names, sources, strict=True):
        found = source.replace("@notification-server/client", f"{PACKAGE}/dist/index.js")
        (folder / name).write_text(found)
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS, "files": names}))
    (folder / "package.json").write_text('{"type": "module"}')
    compiler = await asyncio.create_subprocess_exec(
        *("node", str(PACKAGE / "node_modules/typescript/bin/tsc"), "-p", str(folder)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await compiler.communicate()
    errors = [line for line in output.decode().splitlines() if "error TS" in line]
    by_module = [[error for error in errors if f"{name}(" in error] for name in names]
    assert sum(map(len, by_module)) == len(errors), errors
    return by_module


def values(recorded: Sequence[Recorded]) -> str:
    """These values as values of these types.

    A literal that is assigned to a type must have every required field, and may have no other.
    """
    names = sorted({found for name, _ in recorded for found in re.findall(r"\b[A-Z]\w+", name)})
    lines = [f'import type {{ {", ".join(names)} }} from "@notification-server/client";']
    lines += [f"export const v{n}: {name} = {json.dumps(v)};" for n, (name, v) in enumerate(recorded)]
    return "\n".join(lines)


async def record(server: ServerProcess) -> list[Recorded]:
    """Every event, acknowledgement and answer that the package reads, as a server sends it."""
    async with (
        logged_in(server.url, "admin") as admin,
        logged_in(server.url, "zhangsan") as zhangsan,
        ClientSession() as http,
    ):
        login = {"username": "zhangsan", "password": PASSWORD}
        async with http.post(f"{server.url}/api/v1/auth/login", json=login) as answer:
            recorded: list[Recorded] = [("Granted", await answer.json())]
        async with live_wire(server.url, zhangsan.token) as wire, live_wire(server.url, admin.token) as other:
            claim = {key: wire.of("session")[0][key] for key in ("epoch", "position")}
            for number in range(3):
                published = await admin.publish("user:1", thread="task:1", title=f"{number}", link="/tasks/1")
            await admin.call("PATCH", f"notifications/{published['id']}", {"level": "warning"})
            await admin.call("DELETE", f"notifications/{published['id']}")
            await admin.publish("user:1", thread="task:1", settles=True, title="done")
            body = {"project": "1", "title": "t", "key": "types", "assignee": "1"}
            _, task = await admin.call("POST", "tasks", body)
            await zhangsan.call("POST", f"tasks/{task['id']}/start")
            await zhangsan.call("POST", f"tasks/{task['id']}/submit")
            await admin.call("POST", f"tasks/{task['id']}/approve")
            await other.wait("changed")
            await admin.call("POST", "projects", {"id": "types", "name": "types"})
            await admin.call("PUT", "projects/types/members/1", {"roles": ["annotator"]})
            await wire.wait("rooms", 1)
            await admin.call("DELETE", "projects/types/members/1")
            await wire.wait("rooms", 2)
            position = wire.of("session")[0]["position"]
            recorded += [
                ("Answer<Plan>", await wire.call("sync", {**claim, "position": position})),
                ("Answer<Pong>", await wire.call("ping", {"type": "ping", "timestamp": 1})),
                ("Answer", await wire.call("ack", claim)),
                ("Answer", await wire.call("ack", {})),
                (
                    "Answer<{ expires_in: number | null }>",
                    await wire.call("authenticate", {"token": zhangsan.token}),
                ),
            ]
            for method, path, body, name in (
                ("GET", "me", None, "User & { rooms: string[] }"),
                ("GET", "inbox", None, "InboxPage"),
                ("GET", "inbox/counts", None, "Counts"),
                ("POST", "inbox/seen", {"all": True}, "Marked"),
                ("POST", "inbox/read", {"all": True}, "Marked"),
                ("GET", "summary", None, "Summary"),
                ("GET", "tasks", None, "TaskPage"),
                ("GET", f"tasks/{task['id']}", None, "TaskWithEvents"),
                ("GET", "inbox?limit=x", None, "{ error: WireError }"),
            ):
                recorded.append((name, (await zhangsan.call(method, path, body))[1]))
            _, members = await admin.call("GET", "projects/1/members")
            recorded.append(("Member", members["items"][0]))
            item = dict(recorded)["InboxPage"]["items"][0]["id"]
            recorded.append(("Item", (await zhangsan.call("PATCH", f"inbox/{item}", {"archived": True}))[1]))
            await wire.wait("inbox", 2)
            await zhangsan.call("POST", "auth/logout")
            await wire.until(lambda: wire.closed)
        events = {
            "session": "SessionEvent",
            "notification": "Notification",
            "changed": "Changed",
            "summary": "Summary",
            "inbox": "InboxEvent",
            "rooms": "Rooms",
            "pong": "Pong",
        }
        packets = [*wire.packets, *other.packets]
        recorded += [(events[name], payload) for name, payload in packets if name in events]
        assert {name for name, _ in packets} >= events.keys()
        assert {p["kind"] for name, p in packets if name == "changed"} == {"update", "retract", "settle"}
        assert {p["state"] for name, p in packets if name == "session"} == {"syncing", "live", "ending"}
    return recorded


@pytest.mark.timeout(60)
async def test_all_that_a_server_says_fits_the_types(sqlite_server: ServerProcess, tmp_path: Path):
    recorded = await record(sqlite_server)
    more = [(name, {**value, "unheard_of": 1}) for name, value in recorded]
    less = [(name, dict(list(value.items())[1:])) for name, value in recorded]

    fits, fails = await compiled(tmp_path, values(recorded), values([*more, *less]))

    assert fits == []
    assert len(fails) == 2 * len(recorded)


@pytest.mark.timeout(60)
async def test_the_guide_compiles(tmp_path: Path):
    blocks = re.findall(r"```ts\n(.*?)```", (ROOT / "docs/javascript.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    assert await compiled(tmp_path, *blocks) == [[], []]
