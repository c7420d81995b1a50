"""A run: the stage is set, people listen, programs publish, faults come, and the judge reads what was written down."""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

from tests.chaos import devices, publishers
from tests.chaos.cast import PROJECTS, Cast, gather_cast
from tests.chaos.devices import DeviceSpec
from tests.chaos.distant import DistantRedis, may_be_distant
from tests.chaos.faults import Fault, Lane, chosen
from tests.chaos.faults.servers import revive
from tests.chaos.history import History, read_history
from tests.chaos.judge import RECOVERED_S, judge
from tests.chaos.movers import Mover
from tests.chaos.plan import Plan
from tests.chaos.publishers import PublisherSpec, Writer
from tests.chaos.stage import Stage, environment_of, staged, until
from tests.chaos.verdict import Verdict
from tests.support.postgres import PostgresCluster
from tests.support.processes import ROOT, Program
from tests.support.redis_server import RedisServer
from tests.support.stage import load_demo

DRAIN_S = 30.0
_DEVICES_OF_A_PERSON = 4
_WRITERS = 6
_LIVE_WITHIN_S = 30.0
_GONE_WITHIN_S = 40.0
"""Those who polled and were killed are found out by the engine's ping, after fifty seconds."""
_CALM_S = 4.0
_LINKED_AGAIN_S = 2.0
_DEAD_WITHIN_S = 10.0
_JS_SHARE, _DOOR_SHARE, _POLLING_SHARE = 0.15, 0.35, 0.1
_JS = ROOT / "tests" / "e2e" / "js"

Say = Callable[[str], None]


async def run(plan: Plan, say: Say) -> tuple[History, Verdict]:
    """Carry the plan out; what happened, and what it amounts to. `say` gets a line now and then.

    Everything that was started is ended, and the folder removed unless the plan keeps it.
    """
    folder = plan.keep or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        async with _built(plan, folder) as stage:
            await _perform(plan, stage, say)
            history = await asyncio.to_thread(read_history, folder)
            _look_at_servers(stage, history)
        return history, await asyncio.to_thread(judge, history)
    finally:
        if plan.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _built(plan: Plan, folder: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        distant = await asyncio.to_thread(may_be_distant)
        redis = (DistantRedis if distant else RedisServer)(folder, "--enable-debug-command", "yes")
        if isinstance(redis, DistantRedis):
            stack.push_async_callback(asyncio.to_thread, redis.disconnect)
            await asyncio.to_thread(redis.connect)
        postgres = await asyncio.to_thread(PostgresCluster)
        stack.push_async_callback(asyncio.to_thread, postgres.remove)
        await asyncio.to_thread(postgres.start)
        await asyncio.to_thread(redis.start)
        stack.push_async_callback(asyncio.to_thread, redis.kill)
        url = postgres.create_database()
        await asyncio.to_thread(load_demo, url)
        first_ms, max_ms = plan.retries
        env = {
            "HEARTBEAT_S": "2",
            "RETRY_FIRST_MS": str(first_ms),
            "RETRY_MAX_MS": str(max_ms),
            "RETRY_TRIES": "1000000",
            **environment_of(plan.mutation),
        }
        yield await stack.enter_async_context(
            staged(folder, url, plan.servers, env=env, redis=redis, postgres=postgres)
        )


async def _perform(plan: Plan, stage: Stage, say: Say) -> None:
    people = max(4, plan.listeners // _DEVICES_OF_A_PERSON)
    cast = await gather_cast(stage.urls[0], people + 1, stage.journal)
    stage.publisher_key, stage.reader = cast.publisher_key, cast.people[-1]
    stage.keys = [person.key for person in cast.people]
    cast = Cast(cast.people[:-1], cast.memberships, cast.publisher_key)
    async with AsyncExitStack() as stack:
        specs = _device_specs(plan, stage, cast)
        programs = _device_programs(plan, stage, specs)
        for name, program in programs.items():
            await asyncio.to_thread(program.start)
            stack.push_async_callback(_ended, program)
            if name != "js":
                stage.device_programs[name] = program
        journals = [spec.journal for spec in specs]
        if not await until(lambda: _all_live(journals), _LIVE_WITHIN_S):
            raise TimeoutError(f"not all devices were live within {_LIVE_WITHIN_S} s; see {stage.folder}")
        say(f"{len(specs)} devices of {people} people listen to {plan.servers} servers.")
        writing = _publisher_program(plan, stage, cast)
        await asyncio.to_thread(writing.start)
        stack.push_async_callback(_ended, writing)
        await _inject(plan, stage, cast, say)
        await _recover(stage)
        await asyncio.to_thread(writing._end, signal.SIGTERM, 60)
        await _last_word(stage, cast)
        await _drain(stage, say)
        for program in programs.values():
            await asyncio.to_thread(program.stop)
        for door in stage.doors:
            door.sever()
        await stage.write_gauges(_GONE_WITHIN_S)


async def _ended(program: Program) -> None:
    if program.running:
        await asyncio.to_thread(program.kill)


def _device_specs(plan: Plan, stage: Stage, cast: Cast) -> list[DeviceSpec]:
    """Devices dealt out to people in turn. Those of the official client belong to people who are never moved."""
    settled = [person for place, person in enumerate(cast.people) if place % 2 == 0]
    js = max(1, round(plan.listeners * _JS_SHARE))
    doors = round(plan.listeners * _DOOR_SHARE)
    polling = max(1, round(plan.listeners * _POLLING_SHARE))
    specs = []
    for number in range(plan.listeners):
        kind = "js" if number < js else "door" if number < js + doors else "direct"
        person = settled[number % len(settled)] if kind == "js" else cast.people[number % len(cast.people)]
        urls = [door.url for door in stage.doors] if kind == "door" else stage.urls
        turn = number % len(urls)
        polls = plan.listeners - polling <= number
        specs.append(
            DeviceSpec(
                name=f"{kind}-{number}",
                user=person.id,
                key=person.key,
                urls=[*urls[turn:], *urls[:turn]],
                folder=str(stage.folder),
                transports=("polling",) if polls else ("websocket", "polling"),
            )
        )
    return specs


def _device_programs(plan: Plan, stage: Stage, specs: Sequence[DeviceSpec]) -> dict[str, Program]:
    programs = {}
    for kind in ("js", "door", "direct"):
        path = stage.folder / f"{kind}.json"
        devices.write_specs(path, [spec for spec in specs if spec.name.startswith(kind)])
        command = (
            ("node", "devices.mjs", str(path))
            if kind == "js"
            else (sys.executable, "-m", "tests.chaos.devices", str(path))
        )
        programs[kind] = Program(
            command,
            log_path=stage.folder / f"{kind}.log",
            cwd=_JS if kind == "js" else ROOT,
            env=environment_of(plan.mutation),
        )
    return programs


def _publisher_program(plan: Plan, stage: Stage, cast: Cast) -> Program:
    path = stage.folder / "publishers.json"
    specs = []
    for number in range(_WRITERS):
        turn = number % len(stage.urls)
        specs.append(
            PublisherSpec(
                name=f"p{number}",
                key=cast.publisher_key,
                urls=[*stage.urls[turn:], *stage.urls[:turn]],
                folder=str(stage.folder),
                audiences=cast.audiences(),
                rate=plan.rate / _WRITERS,
                seed=plan.seed * _WRITERS + number,
            )
        )
    publishers.write_specs(path, specs)
    command = (sys.executable, "-m", "tests.chaos.publishers", str(path))
    return Program(command, log_path=stage.folder / "publishers.log")


def _all_live(journals: Iterable[Path]) -> bool:
    return all(path.exists() and '"live"' in path.read_text() for path in journals)


async def _inject(plan: Plan, stage: Stage, cast: Cast, say: Say) -> None:
    """Faults in all lanes, people who move, until the time is up; then whatever goes on is finished."""
    stop = asyncio.Event()
    chance = Random(plan.seed)
    faults = chosen(plan.faults, in_namespaces=isinstance(stage.redis, DistantRedis))
    numbers = iter(range(1, 1_000_000))
    places = [(person.id, project) for person in cast.people[1::2] for project in PROJECTS]
    mover = Mover(stage.urls, cast.memberships)
    async with asyncio.TaskGroup() as tasks:
        for lane in Lane:
            mine = [fault for fault in faults if fault.lane is lane]
            seed = chance.getrandbits(32)
            if mine:
                tasks.create_task(_fill_lane(stage, mine, Random(seed), numbers, stop, say))
        tasks.create_task(mover.move_at_random(places, Random(chance.getrandbits(32)), stop))
        tasks.create_task(stage.sample_memory(stop))
        await asyncio.sleep(plan.seconds)
        stop.set()


async def _fill_lane(
    stage: Stage,
    faults: Sequence[Fault],
    chance: Random,
    numbers: Iterable[int],
    stop: asyncio.Event,
    say: Say,
) -> None:
    """One fault after the other; every kind comes once before any comes again."""
    deck: list[Fault] = []
    while not stop.is_set():
        if not deck:
            deck = chance.sample(faults, len(faults))
        fault, number = deck.pop(), next(numbers)
        say(f"{number:4}  {fault.name}")
        stage.journal.write(fault=fault.name, number=number)
        await fault.inject(stage, chance)
        stage.journal.write(over=number)
        await asyncio.sleep(chance.uniform(0.3, 2.5))


async def _recover(stage: Stage) -> None:
    """All wires are whole again, but for listeners on Redis that have gone deaf and must find out; then it is calm.

    Devices start again, which spreads them: after a rolling restart all of them are on one server.
    """
    for wire in (*stage.doors, *stage.links):
        wire.heal()
    for program in stage.device_programs.values():
        await asyncio.to_thread(program.restart)
    await asyncio.sleep(_LINKED_AGAIN_S)
    stage.journal.write(fault="redis_half_open", number="last deaf")
    for link in stage.links:
        link.silence()
    stage.journal.write(over="last deaf")
    await asyncio.sleep(RECOVERED_S + _CALM_S)


async def _last_word(stage: Stage, cast: Cast) -> None:
    """One more publication, after which nothing comes that could show that it is missing.

    Its server dies before it can tell anybody, and over some devices' connections nothing comes any more.
    """
    server, *others = stage.servers
    urls = [server.url, *(other.url for other in others)]
    writer = Writer(PublisherSpec("last", cast.publisher_key, urls, str(stage.folder), {}, 1, 0))
    for number, kind in enumerate(("client_half_open", "dies_after_commit")):
        stage.journal.write(fault=kind, number=f"last {number}")
    for door in stage.doors:
        door.silence()
    await stage.order(server, "fail", at="after_commit", passings=1)
    revival = asyncio.create_task(revive(server, _DEAD_WITHIN_S))
    await writer.publish([["global"]])
    await revival
    await writer.close()
    for number in range(2):
        stage.journal.write(over=f"last {number}")


async def _drain(stage: Stage, say: Say) -> None:
    """Faults are over, and nobody publishes any more: wait until everything that is due is shown, if it ever is."""
    say("Waiting for what is on its way.")
    deadline = asyncio.get_running_loop().time() + DRAIN_S
    while asyncio.get_running_loop().time() < deadline:
        verdict = judge(await asyncio.to_thread(read_history, stage.folder))
        if not verdict.total.lost:
            return
        await asyncio.sleep(1)


def _look_at_servers(stage: Stage, history: History) -> None:
    """Servers that died by themselves, and what they did not expect."""
    for number, server in enumerate(stage.servers):
        if not server.running:
            history.remarks.append(f"server {number} ended by itself: {server.lines[-3:]}")
        text = (stage.folder / f"server-{number}.log").read_text()
        if times := text.count("Traceback"):
            history.notes.append(f"{times} tracebacks in the log of server {number}.")
