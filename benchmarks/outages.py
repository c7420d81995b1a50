"""`python -m benchmarks.outages`: what publishing costs while Redis is stopped, paused, hung or cut off.

A server in a network namespace of its own, so that the link to Redis can be taken down; as root. At a steady rate, the
time from the POST to its answer is compared with that of the quiet minute before each outage, in the same run.
"""

import asyncio
import math
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import ClientError

from benchmarks.probe import readings, resident_bytes
from tests.support.processes import SERVE, ServerProcess
from tests.support.redis_server import RedisServer
from tests.support.stage import Caller, demo_server, load_demo, logged_in

RATE = 100
QUIET_S = 15.0
CUT_S = 75.0
OUTAGE_S = 15.0
PASSWORD = secrets.token_hex()
HOST_SIDE, SERVER_SIDE = "10.203.{}.1", "10.203.{}.2"


@dataclass
class Seen:
    """What was seen in one stretch of time: answers in seconds, refusals, and what the server said of itself."""

    answers: list[float] = field(default_factory=list)
    refused: int = 0
    lag_s: float = 0.0
    bytes: int = 0

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.answers)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] * 1e3


@contextmanager
def namespace(name: str) -> Iterator[None]:
    """A network namespace with two links to here: `<name>r` to Redis, `<name>h` for HTTP."""
    _ip("netns", "add", name)
    try:
        for number, kind in enumerate("rh", 1):
            here, there = f"{name}{kind}", f"{name}{kind}0"
            _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
            _ip("addr", "add", f"{HOST_SIDE.format(number)}/24", "dev", here)
            _ip("link", "set", here, "up")
            _ip("-n", name, "addr", "add", f"{SERVER_SIDE.format(number)}/24", "dev", there)
            _ip("-n", name, "link", "set", there, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        _ip("netns", "del", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


class Stand:
    """The server, its Redis, and somebody who publishes at a steady rate and writes down how long it took."""

    def __init__(self, server: ServerProcess, redis: RedisServer, admin: Caller, link: str) -> None:
        self.server, self.redis, self.link = server, redis, link
        self._admin = admin
        self.seen = Seen()

    async def publish(self) -> None:
        """Publish until cancelled, each notification at its own moment whatever the others do."""
        async with asyncio.TaskGroup() as publishing:
            due = time.monotonic()
            while True:
                publishing.create_task(self._one())
                due += 1 / RATE
                await asyncio.sleep(max(0, due - time.monotonic()))

    async def _one(self) -> None:
        began, seen = time.perf_counter(), self.seen
        try:
            await self._admin.publish("user:1", "project:1")
        except (AssertionError, ClientError, TimeoutError):
            seen.refused += 1
        else:
            seen.answers.append(time.perf_counter() - began)

    async def watch(self) -> None:
        """Look at the server five times a second, until cancelled."""
        while True:
            found = await readings(self._admin.http, self.server.url, self._admin.token)
            self.seen.lag_s = max(self.seen.lag_s, found["notify_loop_lag_seconds"])
            self.seen.bytes = max(self.seen.bytes, resident_bytes(self.server.pid))
            await asyncio.sleep(0.2)

    async def stretch(self, seconds: float) -> Seen:
        self.seen = seen = Seen()
        await asyncio.sleep(seconds)
        return seen

    async def back_after_s(self) -> float:
        """Seconds from now until the server hears itself through Redis again."""
        began = time.monotonic()
        while True:
            found = await readings(self._admin.http, self.server.url, self._admin.token)
            if found["notify_redis_silence_seconds"] < time.monotonic() - began:
                return time.monotonic() - began
            await asyncio.sleep(0.02)

    async def stop_redis(self, seconds: float) -> Seen:
        await asyncio.to_thread(self.redis.kill)
        seen = await self.stretch(seconds)
        await asyncio.to_thread(self.redis.start)
        return seen

    async def pause_redis(self, seconds: float) -> Seen:
        self._ask("CLIENT", "PAUSE", str(round(seconds * 1000)), "ALL")
        return await self.stretch(seconds)

    async def hang_redis(self, seconds: float) -> Seen:
        self.redis.freeze()
        seen = await self.stretch(seconds)
        self.redis.thaw()
        return seen

    async def cut_link(self, seconds: float) -> Seen:
        _ip("link", "set", self.link, "down")
        seen = await self.stretch(seconds)
        _ip("link", "set", self.link, "up")
        return seen

    def _ask(self, *command: str) -> None:
        words = ["redis-cli", "-u", self.redis.url, "--no-auth-warning", *command]
        subprocess.run(words, check=True, capture_output=True)


async def measure() -> None:
    name = f"nb{os.getpid()}"
    with TemporaryDirectory(prefix="bench-") as folder_name, namespace(name):
        folder = Path(folder_name)
        url = f"sqlite:///{folder / 'log.db'}"
        await asyncio.to_thread(load_demo, url)
        options = ("--bind", HOST_SIDE.format(1), "--requirepass", PASSWORD)
        with RedisServer(folder, *options) as redis:
            redis.url = f"redis://:{PASSWORD}@{HOST_SIDE.format(1)}:{redis.port}/0"
            server = demo_server(
                url,
                folder,
                redis_url=redis.url,
                host=SERVER_SIDE.format(2),
                command=("ip", "netns", "exec", name, *SERVE),
                env={"LOG_FORMAT": "json", "RATE_LIMIT": "off"},
            )
            with server:
                async with logged_in(server.url, "admin") as admin:
                    await _all_outages(Stand(server, redis, admin, f"{name}r"))


async def _all_outages(stand: Stand) -> None:
    tasks = [asyncio.create_task(work) for work in (stand.publish(), stand.watch())]
    await stand.stretch(5)
    outages: dict[str, tuple[Callable[[float], Awaitable[Seen]], float]] = {
        "stopped": (stand.stop_redis, OUTAGE_S),
        "CLIENT PAUSE": (stand.pause_redis, OUTAGE_S),
        "SIGSTOP": (stand.hang_redis, OUTAGE_S),
        "link cut": (stand.cut_link, CUT_S),
    }
    sys.stdout.write(
        "| Redis | s | p50 ms before, in it | p99 ms before, in it | refused | longest loop lag s | more MiB | heard again after s |\n"
    )
    for name, (outage, seconds) in outages.items():
        before = await stand.stretch(QUIET_S)
        during = await outage(seconds)
        back_s = await stand.back_after_s()
        p50, p99 = (
            f"{before.percentile_ms(share):.1f}, {during.percentile_ms(share):.1f}" for share in (0.5, 0.99)
        )
        more = (during.bytes - before.bytes) / (1 << 20)
        sys.stdout.write(
            f"| {name} | {seconds:.0f} | {p50} | {p99} | {before.refused + during.refused} | {during.lag_s:.2f} | {more:.1f} | {back_s:.2f} |\n"
        )
        sys.stdout.flush()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(measure())
