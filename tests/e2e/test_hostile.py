"""Thousands that connect and go in every ugly way leave a server as it was. HOSTILE_RUNS says how many; 10,000 is much."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.hostile import WAYS, Attacker
from tests.support.processes import ServerProcess
from tests.support.stage import Caller, demo_server, logged_in
from tests.support.wire import live_wire

RUNS = int(os.environ.get("HOSTILE_RUNS", "180"))
GAUGES = ("notify_sockets", "notify_sessions", "notify_rooms", "notify_tasks", "notify_reaped_total")
MAX_GROWTH_BYTES = 8 << 20
WITHIN_S = 60


@pytest.fixture
async def server(sqlite_demo: Path, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    copy = shutil.copy(sqlite_demo, tmp_path / "log.db")
    pings = {"PING_INTERVAL_S": "1", "PING_TIMEOUT_S": "1", "METRICS_TOKEN": "a token of the metrics"}
    server = demo_server(f"sqlite:///{copy}", tmp_path, env=pings)
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


async def gauges(caller: Caller, server: ServerProcess) -> dict[str, int]:
    headers = {"Authorization": "Bearer a token of the metrics"}
    async with caller.http.get(f"{server.url}/metrics", headers=headers) as answer:
        lines = [line.rsplit(" ", 1) for line in (await answer.text()).splitlines()]
    return {name: int(float(value)) for name, value in lines if name in GAUGES}


async def back_at(caller: Caller, server: ServerProcess, start: dict[str, int]) -> None:
    """Return once the server keeps no more than at the start."""
    now: dict[str, Any] = {}
    try:
        async with asyncio.timeout(WITHIN_S):
            while not now or any(now[name] > start[name] for name in GAUGES):
                now = await gauges(caller, server)
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"{now} after {WITHIN_S} s, {start} at the start")


def memory_bytes(server: ServerProcess) -> int:
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(3_600)
async def test_whoever_goes_in_an_ugly_way_leaves_nothing(server: ServerProcess):
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        start = await gauges(admin, server)
        start["notify_tasks"] += 2  # the sweep and the reaper of connections begin with the first one
        attacker = Attacker(server.port, zhangsan.token, seed=1)
        await attacker.run(RUNS // 4, WAYS)
        attacker.let_go()
        await back_at(admin, server, {**start, "notify_rooms": sys.maxsize})
        memory = memory_bytes(server)  # now that every path has been taken once
        await attacker.run(RUNS - RUNS // 4, WAYS)
        async with live_wire(server.url, zhangsan.token) as wire:
            assert (await wire.call("ping", {"timestamp": 1}))["ok"] is True
        await back_at(admin, server, start)  # with the half-open ones still open on their side
        attacker.let_go()
        grown = memory_bytes(server) - memory
        print(f"{RUNS} connects: {await gauges(admin, server)}, memory {grown / 2**20:+.1f} MiB")  # noqa: T201
        assert grown < MAX_GROWTH_BYTES
    faults = [line for line in server.lines if "Traceback" in line or "never retrieved" in line]
    assert faults == []
