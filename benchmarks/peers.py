"""What is measured against each other: this server, Node's and the stock Python one, and the bare `send()` loop.

All give their clients the same bytes. This server alone stores what it sends, durably, in SQLite inside its process: that
is in its numbers.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.compiled import BUILT, compiled
from benchmarks.connection import request
from benchmarks.probe import cpu_s, resident_bytes
from tests.support.processes import ROOT, Program, free_port
from tests.support.stage import PASSWORD, demo_server, load_demo, logged_in

OURS, NODE, STOCK, LIMIT = "this server", "Node socket.io", "stock python-socketio", "send() in C"
NODE_PACKAGES = ("socket.io@4.8.1", "@socket.io/redis-adapter@8.3.0", "ioredis@5.4.1")
_LISTENER = "zhangsan"
_TIME = "@t0000000000000000000"
_CONTENT = "x" * 60
_IDLE_SHARE, _LOOK_S, _IDLE_WITHIN_S = 0.05, 0.25, 120


@dataclass(frozen=True, kw_only=True)
class Target:
    """One server, or two of which the first takes what is published and the second has the clients."""

    programs: Sequence[Program]
    port: int
    publish_port: int
    marker: str
    auths: Sequence[str]
    """What clients say to be let in, one for each room or the same for all."""
    comeback: Callable[[], str] | None
    """What a client says that comes back with its present position: it has missed nothing."""
    requests: Sequence[bytes]

    def cpu_s(self) -> float:
        return sum(cpu_s(program.pid) for program in self.programs)

    def resident_bytes(self) -> int:
        return resident_bytes(self.programs[-1].pid)

    def wait_idle(self) -> None:
        """Return when the server has done what it had to do."""
        deadline = time.monotonic() + _IDLE_WITHIN_S
        before, now = 0.0, self.cpu_s()
        while now - before > _IDLE_SHARE * _LOOK_S and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
            before, now = now, self.cpu_s()


Opener = Callable[..., Target]


def open_ours(stack: ExitStack, folder: Path, *, rooms: int = 1, redis_url: str | None = None) -> Target:
    url = f"sqlite:///{folder / 'log.db'}"
    load_demo(url)
    env = {"LOG_FORMAT": "json", "RATE_LIMIT": "off", "HEARTBEAT_S": "30", "MAX_SESSIONS_PER_USER": "100000"}
    servers = [
        stack.enter_context(demo_server(url, folder, redis_url=redis_url, env=env))
        for _ in range(1 if redis_url is None else 2)
    ]
    admin, listeners = uvloop.run(_people(servers[0].url, rooms))
    names = ["global"] if rooms == 1 else [f"user:{listener['id']}" for listener in listeners]
    body = {"type": "bench.tick", "title": _TIME, "content": _CONTENT}
    return Target(
        programs=servers,
        port=servers[-1].port,
        publish_port=servers[0].port,
        marker='42["summary"',
        auths=[json.dumps({"token": listener["token"]}) for listener in listeners],
        comeback=lambda: uvloop.run(_comeback(servers[-1].url)),
        requests=[request("POST", "notifications", admin, {"to": [name], **body}) for name in names],
    )


async def _people(url: str, number: int) -> tuple[str, list[dict[str, str]]]:
    """The admin's token, and id and token of so many people."""
    async with logged_in(url, "admin") as admin:
        for count in range(number if number > 1 else 0):
            person = {"username": f"listener{count}", "password": PASSWORD, "name": f"Listener {count}"}
            status, answer = await admin.call("POST", "users", person)
            if status != 201:
                raise RuntimeError(f"A person was not added: {answer}")
        names = [_LISTENER] if number == 1 else [f"listener{count}" for count in range(number)]
        return admin.token, [await _listener(url, name) for name in names]


async def _listener(url: str, name: str) -> dict[str, str]:
    async with logged_in(url, name) as caller:
        return {"id": caller.user["id"], "token": caller.token}


async def _comeback(url: str) -> str:
    async with logged_in(url, _LISTENER) as caller:
        _, inbox = await caller.call("GET", "inbox")
    return json.dumps({"token": caller.token, "epoch": inbox["epoch"], "position": inbox["position"]})


def open_node(stack: ExitStack, folder: Path, *, rooms: int = 1, redis_url: str | None = None) -> Target:
    command = ("node", str(ROOT / "benchmarks" / "peer_node.cjs"))
    env = {"NODE_PATH": str(_node_modules()), **({"REDIS_URL": redis_url} if redis_url else {})}
    ports = [free_port() for _ in range(1 if redis_url is None else 2)]
    return _peer([_started(stack, folder, command, port, env) for port in ports], ports, rooms)


def open_stock(stack: ExitStack, folder: Path, *, rooms: int = 1) -> Target:
    command, port = (sys.executable, "-m", "benchmarks.peer_stock"), free_port()
    return _peer([_started(stack, folder, command, port, {})], [port], rooms)


def open_limit(stack: ExitStack, folder: Path) -> Target:
    port = free_port()
    target = _peer([_started(stack, folder, (str(compiled("limit")), str(port)), port, {})], [port], 1)
    frame = f"42{json.dumps(['notification', _payload()], separators=(',', ':'))}".encode()
    head = f"POST / HTTP/1.1\r\nContent-Length: {len(frame)}\r\n\r\n".encode()
    return replace(target, requests=[head + frame])


def _started(
    stack: ExitStack, folder: Path, command: Sequence[str], port: int, env: dict[str, str]
) -> Program:
    program = stack.enter_context(
        Program(command, log_path=folder / "peer.log", env={**env, "PORT": str(port)})
    )
    program.wait_for_log("listening")
    return program


def _peer(programs: list[Program], ports: list[int], rooms: int) -> Target:
    names = [f"room{number}" for number in range(rooms)]
    bodies = [{"room": name, "event": "notification", "payload": _payload()} for name in names]
    return Target(
        programs=programs,
        port=ports[-1],
        publish_port=ports[0],
        marker="40{",
        auths=[json.dumps({"room": name}) for name in names],
        comeback=None,
        requests=[request("POST", "publish", "none", body) for body in bodies],
    )


def _payload() -> dict[str, Any]:
    """A notification as this server gives it to clients."""
    return {
        "id": "01KB6Q8Z5V6M3S0T8X9Y2W4R7N",
        "room": "global",
        "offset": 1234,
        "epoch": "01KB6Q8Z5V6M3S0T8X9Y2W4R7N",
        "type": "bench.tick",
        "level": "info",
        "urgent": False,
        "title": _TIME,
        "content": _CONTENT,
        "data": {},
        "link": None,
        "thread": None,
        "actor": {"id": "4", "name": "admin"},
        "created_at": "2026-01-01T00:00:00.000Z",
        "expires_at": None,
    }


def _node_modules() -> Path:
    """Where Node finds its Socket.IO, from npm when it is not here yet."""
    folder = BUILT / "node"
    done = folder / "installed"
    if not done.exists() or done.read_text() != " ".join(NODE_PACKAGES):
        folder.mkdir(parents=True, exist_ok=True)
        install = (
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            folder,
            *NODE_PACKAGES,
        )
        subprocess.run(install, check=True)
        done.write_text(" ".join(NODE_PACKAGES))
    return folder / "node_modules"
