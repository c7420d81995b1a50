"""A play: a run with few people, in which everything happens when the script says so. For showing what a run can see."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientSession

from tests.chaos import devices
from tests.chaos.cast import PROJECTS, Cast, Person, gather_cast
from tests.chaos.devices import DeviceSpec
from tests.chaos.history import read_history
from tests.chaos.judge import judge
from tests.chaos.movers import Mover
from tests.chaos.publishers import PublisherSpec, Writer
from tests.chaos.stage import Stage, environment_of, staged, until
from tests.chaos.verdict import Verdict
from tests.support.processes import ROOT, Program
from tests.support.redis_server import RedisServer

_PACE = {"HEARTBEAT_S": "3", "RETRY_FIRST_MS": "100", "RETRY_MAX_MS": "300", "RETRY_TRIES": "1000"}
_LIVE_WITHIN_S = 20.0


class Play:
    """Two servers, `here` and `there`. Everybody listens on one of them and is written to from the other."""

    def __init__(self, stage: Stage, cast: Cast, mutation: str | None) -> None:
        self.stage = stage
        self.people = iter(cast.people)
        self.here, self.there = stage.servers
        self._cast = cast
        self._mover = Mover([self.here.url], cast.memberships)
        self._mutation = mutation
        self._programs: list[Program] = []
        self._writers: list[Writer] = []

    async def listen(self, person: Person, url: str, *, official: bool = False) -> DeviceSpec:
        """A device of the person at that URL, live; in Python, or of the official client."""
        name = f"device-{len(self._programs)}"
        spec = DeviceSpec(name, person.id, person.key, [url], str(self.stage.folder))
        path = self.stage.folder / f"{name}.json"
        devices.write_specs(path, [spec])
        program = Program(
            ("node", "devices.mjs", str(path))
            if official
            else (sys.executable, "-m", "tests.chaos.devices", str(path)),
            log_path=self.stage.folder / f"{name}.log",
            cwd=ROOT / "tests" / "e2e" / "js" if official else ROOT,
            env=environment_of(self._mutation),
        )
        self._programs.append(program)
        await asyncio.to_thread(program.start)
        assert await self.times_live(spec, 1), (
            f"{name} was not live within {_LIVE_WITHIN_S} s: {program.lines}"
        )
        return spec

    async def times_live(self, spec: DeviceSpec, times: int) -> bool:
        """Wait until the device has been live so many times; whether it came to be."""
        return await until(lambda: _count(spec.journal, '"live"') >= times, _LIVE_WITHIN_S, 0.02)

    def writer(self, *urls: str) -> Writer:
        """A publisher that asks these servers in turn, until one answers."""
        spec = PublisherSpec(
            f"w{len(self._writers)}", self._cast.publisher_key, urls, str(self.stage.folder), {}, 1, 0
        )
        self._writers.append(Writer(spec))
        return self._writers[-1]

    async def move(self, person: Person) -> None:
        """The person leaves the first project, or comes back; returns with the answer."""
        async with ClientSession() as http:
            await self._mover.move(http, person.id, PROJECTS[0])

    @asynccontextmanager
    async def fault(self, kind: str) -> AsyncIterator[None]:
        """What happens in the block is that fault's doing."""
        self.stage.journal.write(fault=kind, number=kind)
        yield
        self.stage.journal.write(over=kind)

    async def verdict(self, within_s: float, *, awaited: str | None = None) -> Verdict:
        """What came of it all, once nothing is missing any more and the breach that is awaited was seen, or that time is
        over.
        """
        found = self._judge()
        deadline = asyncio.get_running_loop().time() + within_s
        while asyncio.get_running_loop().time() < deadline and (
            found.total.lost or (awaited is not None and awaited not in found.breaches)
        ):
            await asyncio.sleep(0.1)
            found = self._judge()
        return found

    async def close(self) -> None:
        for writer in self._writers:
            await writer.close()
        for program in self._programs:
            if program.running:
                await asyncio.to_thread(program.kill)

    def _judge(self) -> Verdict:
        return judge(read_history(self.stage.folder))


@asynccontextmanager
async def playing(
    folder: Path, database_url: str, *, redis: RedisServer, people: int, mutation: str | None = None
) -> AsyncIterator[Play]:
    """Two servers over a database with the demo, and so many people."""
    env = _PACE | environment_of(mutation)
    async with staged(folder, database_url, 2, env=env, redis=redis) as stage:
        cast = await gather_cast(stage.urls[0], people, stage.journal)
        play = Play(stage, cast, mutation)
        try:
            yield play
        finally:
            await play.close()


def _count(path: Path, text: str) -> int:
    return path.read_text().count(text) if path.exists() else 0


async def publish_for(writer: Writer, rooms: Sequence[str], seconds: float, every_s: float) -> None:
    """Publish to the rooms again and again."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        await writer.publish([rooms])
        await asyncio.sleep(every_s)
