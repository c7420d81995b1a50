"""Faults of server processes."""

import asyncio
from random import Random

from tests.chaos.stage import Stage, until
from tests.support.processes import ServerProcess

_FAILS_WITHIN_S = 4.0


async def server_kill(stage: Stage, chance: Random) -> None:
    """A server is killed with SIGKILL, and starts again half a second later."""
    server = chance.choice(stage.servers)
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(server.start)


async def all_servers_kill(stage: Stage, chance: Random) -> None:
    """All servers are killed at once: everybody comes back at the same moment."""
    del chance
    await asyncio.gather(*(asyncio.to_thread(server.kill) for server in stage.servers))
    await asyncio.gather(*(asyncio.to_thread(server.start) for server in stage.servers))


async def rolling_restart(stage: Stage, chance: Random) -> None:
    """One server after the other is stopped with SIGTERM, as a deployment does it, and starts again."""
    del chance
    for server in stage.servers:
        await asyncio.to_thread(server.restart)


async def dies_before_commit(stage: Stage, chance: Random) -> None:
    """A server dies with a transaction that is written and not committed."""
    await _die_at("before_commit", stage, chance)


async def dies_after_commit(stage: Stage, chance: Random) -> None:
    """A server dies with a publication that is committed, and that nobody has heard of."""
    await _die_at("after_commit", stage, chance)


async def dies_after_publish(stage: Stage, chance: Random) -> None:
    """A server dies with a publication that it has handed to its own sessions and to Redis, perhaps not sent yet."""
    await _die_at("after_publish", stage, chance)


async def dies_before_reply(stage: Stage, chance: Random) -> None:
    """A server dies with a publication that people have on their screens, and whose publisher has no answer."""
    await _die_at("before_reply", stage, chance)


async def _die_at(failpoint: str, stage: Stage, chance: Random) -> None:
    """Where nobody publishes, it dies all the same, a little later."""
    server = chance.choice(stage.servers)
    await stage.order(server, "fail", at=failpoint, passings=chance.randint(1, 3))
    await revive(server, _FAILS_WITHIN_S)


async def revive(server: ServerProcess, within_s: float) -> None:
    """Start a server again that is dying, when it has, or after that time."""
    await until(lambda: not server.running, within_s, 0.02)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


async def loop_stall(stage: Stage, chance: Random) -> None:
    """Something blocks the event loop of a server for up to four seconds."""
    seconds = chance.uniform(1, 4)
    await stage.order(chance.choice(stage.servers), "stall", seconds=seconds)
    await asyncio.sleep(seconds)


async def wrong_clock(stage: Stage, chance: Random) -> None:
    """The wall clock of a server is an hour wrong for some seconds, in either direction."""
    server = chance.choice(stage.servers)
    await stage.order(server, "clock", seconds=chance.choice((-3_600, 3_600)))
    await asyncio.sleep(2)
    await stage.order(server, "clock", seconds=0)


async def slow_commits(stage: Stage, chance: Random) -> None:
    """Transactions take up to 20 ms more, so that those of different servers commit in another order than they begin."""
    seconds = chance.uniform(1, 3)
    for server in stage.servers:
        await stage.order(server, "drag", seconds=seconds)
    await asyncio.sleep(seconds)


async def doubled_frames(stage: Stage, chance: Random) -> None:
    """A server sends every frame twice."""
    await stage.order(chance.choice(stage.servers), "repeat", seconds=2)
    await asyncio.sleep(2)
