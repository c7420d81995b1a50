"""Faults of PostgreSQL."""

import asyncio
import os
import signal
from pathlib import Path
from random import Random

from tests.chaos.stage import Stage
from tests.support.processes import run_command


async def postgres_crash(stage: Stage, chance: Random) -> None:
    """PostgreSQL stops at once, in the middle of whatever it does, and recovers a second later."""
    del chance
    await asyncio.to_thread(stage.postgres.stop, "immediate")
    await asyncio.sleep(1)
    await asyncio.to_thread(stage.postgres.start)


async def postgres_freeze(stage: Stage, chance: Random) -> None:
    """PostgreSQL stands still, with every connection open: up to four seconds."""
    processes = _family(stage.postgres.pid)
    _signal(processes, signal.SIGSTOP)
    try:
        await asyncio.sleep(chance.uniform(1, 4))
    finally:
        _signal(processes, signal.SIGCONT)


async def new_epoch(stage: Stage, chance: Random) -> None:
    """The log begins another epoch, as after a restore from a backup: everybody is told, and starts anew."""
    del chance
    env = {"DATABASE_URL": stage.servers[0].database_url}
    await asyncio.to_thread(run_command, "epoch", "--new", env=env)


def _family(pid: int) -> list[int]:
    """The process and its children; only itself where that cannot be read."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [pid, *map(int, children.read_text().split())] if children.exists() else [pid]


def _signal(processes: list[int], number: signal.Signals) -> None:
    for pid in processes:
        try:
            os.kill(pid, number)
        except ProcessLookupError:  # a backend that has ended meanwhile
            continue
