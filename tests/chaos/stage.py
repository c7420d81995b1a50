"""The stage of a run: servers that can be sabotaged, the database and Redis behind them, wires that can be cut."""

import asyncio
import errno
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from tests.chaos import mutations
from tests.chaos.cast import Person
from tests.chaos.distant import DistantRedis
from tests.chaos.journal import Journal
from tests.chaos.server import ORDERS_VARIABLE
from tests.support.postgres import PostgresCluster
from tests.support.processes import Program, ServerProcess
from tests.support.proxy import TcpProxy
from tests.support.redis_server import RedisServer

METRICS_TOKEN = "the metrics token of a chaos run"
_COMMAND = (sys.executable, "-m", "tests.chaos.server")
_GAUGES = ("notify_sessions", "notify_rooms")
_ORDER_TRIES = 250
_OBEYED_WITHIN_S = 10.0


@dataclass(slots=True)
class Stage:
    """What faults take hold of.

    `links` lead from each server to Redis (the first talks to a distant one without), `doors` from some devices to
    each server; `keys` are those of people, and
    `reader` is somebody without a device.
    """

    folder: Path
    journal: Journal
    servers: Sequence[ServerProcess]
    doors: Sequence[TcpProxy]
    links: Sequence[TcpProxy] = ()
    redis: RedisServer | None = None
    postgres: PostgresCluster | None = None
    device_programs: dict[str, Program] = field(default_factory=dict)
    keys: Sequence[str] = ()
    reader: Person | None = None
    publisher_key: str = ""

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    async def order(self, server: ServerProcess, order: str, **more: Any) -> None:
        """Have the saboteur of a running server do it; returns when it has obeyed. TimeoutError: it did not."""
        line = json.dumps({"order": order, **more}).encode() + b"\n"
        path = self._orders(self.servers.index(server))
        obeyed = path.with_suffix(".obeyed")
        before = _size(obeyed)
        for _ in range(_ORDER_TRIES):
            try:
                fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                await asyncio.sleep(0.02)  # the last order is being obeyed
                continue
            os.write(fifo, line)
            os.close(fifo)
            if await until(lambda: _size(obeyed) > before or not server.running, _OBEYED_WITHIN_S, 0.01):
                return
            break
        raise TimeoutError(f"nobody takes orders at {server.url}")

    def _orders(self, number: int) -> Path:
        return self.folder / f"orders-{number}"

    async def sample_memory(self, stop: asyncio.Event) -> None:
        """Write down what each server occupies, once a second."""
        page = os.sysconf("SC_PAGE_SIZE")
        while not stop.is_set():
            for number, server in enumerate(self.servers):
                if server.running and (resident := _resident_pages(server.pid)):
                    self.journal.write(server=number, pid=server.pid, rss=resident * page)
            await asyncio.sleep(1)

    async def gauges(self, server: ServerProcess) -> Mapping[str, float]:
        """What the server holds for clients."""
        headers = {"Authorization": f"Bearer {METRICS_TOKEN}"}
        async with ClientSession() as http, http.get(f"{server.url}/metrics", headers=headers) as response:
            lines = [line.split() for line in (await response.text()).splitlines() if line[:1] != "#"]
        return {
            name: float(value)
            for name, value in (line for line in lines if len(line) == 2)
            if name in _GAUGES
        }

    async def write_gauges(self, deadline_s: float) -> None:
        """Once nobody is there any more: wait until nothing is held for anybody, and write down what is."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_s
        while any([any((await self.gauges(server)).values()) for server in self.servers]):
            if loop.time() > deadline:
                break
            await asyncio.sleep(0.2)
        for number, server in enumerate(self.servers):
            self.journal.write(server=number, gauges=await self.gauges(server))


@asynccontextmanager
async def staged(
    folder: Path,
    database_url: str,
    number: int,
    *,
    env: Mapping[str, str],
    redis: RedisServer | None = None,
    postgres: PostgresCluster | None = None,
) -> AsyncIterator[Stage]:
    """So many servers over a database with the demo, running."""
    async with AsyncExitStack() as stack:
        to_redis: list[str | None] = [None] * number
        links = []
        if redis is not None:
            links = [await stack.enter_async_context(TcpProxy(redis.url)) for _ in range(number)]
            to_redis = [link.url for link in links]
        if isinstance(redis, DistantRedis):
            del links[0]
            to_redis[0] = redis.url
        servers = []
        for place in range(number):
            orders = folder / f"orders-{place}"
            os.mkfifo(orders)
            settings = {
                "METRICS_TOKEN": METRICS_TOKEN,
                "LOG_LEVEL": "WARNING",
                "RATE_LIMIT": "off",  # one sender publishes for minutes
                ORDERS_VARIABLE: str(orders),
            }
            server = ServerProcess(
                database_url,
                log_path=folder / f"server-{place}.log",
                redis_url=to_redis[place],
                env=settings | dict(env),
                command=_COMMAND,
            )
            stack.push_async_callback(_stopped, server)
            servers.append(server)
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
        doors = [await stack.enter_async_context(TcpProxy(server.url)) for server in servers]
        journal = Journal(folder / "run.journal")
        stack.callback(journal.close)
        yield Stage(folder, journal, servers, doors, links, redis, postgres)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _resident_pages(pid: int) -> int:
    """How much memory the process occupies; 0 when it has gone, or where the system does not say so in this way."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


async def _stopped(program: Program) -> None:
    if program.running:
        await asyncio.to_thread(program.kill)


def environment_of(mutation: str | None) -> dict[str, str]:
    return {} if mutation is None else {mutations.VARIABLE: mutation}


async def until(condition: Callable[[], bool], deadline_s: float, every_s: float = 0.1) -> bool:
    """Whether the condition came to hold, of what other processes write into files, which has no event."""
    deadline = asyncio.get_running_loop().time() + deadline_s
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(every_s)
    return True
