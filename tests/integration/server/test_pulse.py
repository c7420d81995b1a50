"""The watchdog ends a process whose loop is dead, and none that was only stopped for a while."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from server import pulse
from server.pulse import EXIT_CODE, Pulse
from tests.support.processes import ROOT, Program

PROGRAM = """
import asyncio, signal, sys, time
from server import pulse
pulse.DEAD_S = 2
async def main():
    beat, signalled = pulse.Pulse(), asyncio.Event()
    watchdog = pulse.Watchdog(beat)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, signalled.set)
    signal.signal(signal.SIGUSR1, lambda *_: time.sleep(60))
    task = asyncio.create_task(beat.run())
    watchdog.start()
    print("started", flush=True)
    await signalled.wait()
    before = beat.beats
    while beat.beats < before + 10:
        await asyncio.sleep(0.01)
    watchdog.stop()
    print("ended well", flush=True)
asyncio.run(main())
"""


CLOGGED = """
import asyncio, logging
from server import pulse
pulse.DEAD_S = 2
async def main():
    beat = pulse.Pulse()
    task = asyncio.create_task(beat.run())
    pulse.Watchdog(beat).start()
    await asyncio.sleep(0.5)
    while True:
        logging.warning("x" * 10_000)
asyncio.run(main())
"""


@pytest.fixture
def program(tmp_path: Path):
    with Program([sys.executable, "-c", PROGRAM], log_path=tmp_path / "log") as program:
        program.wait_for_log("started")
        yield program


def test_a_process_whose_loop_is_dead_is_ended_and_says_where_it_was(program: Program):
    program._process.send_signal(signal.SIGUSR1)
    assert program._process.wait(30) == EXIT_CODE
    program._log.wait_for_end(5)
    assert any("time.sleep(60)" in line or "<string>" in line for line in program.lines)


def test_a_process_that_was_stopped_and_goes_on_is_not_ended(program: Program):
    program._process.send_signal(signal.SIGSTOP)
    time.sleep(4)  # that long it is stopped: twice what a dead loop is given
    program._process.send_signal(signal.SIGCONT)
    program._process.send_signal(signal.SIGUSR2)
    assert program._process.wait(30) == 0
    program._log.wait_for_end(5)
    assert "ended well" in program.lines


def test_a_log_that_nobody_reads_does_not_keep_a_dead_process():
    """Whoever collects the log may be the reason: then the last words are as stuck as everything else."""
    reading, writing = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", CLOGGED], stderr=writing, cwd=ROOT)
    os.close(writing)
    try:
        assert process.wait(30) == EXIT_CODE
    finally:
        process.kill()
        process.wait()
        os.close(reading)


async def test_a_loop_that_was_late_is_said_to_be_stuck(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pulse, "BEAT_S", 0.01)
    monkeypatch.setattr(pulse, "MAX_LAG_S", 0.1)
    beating = Pulse()
    task = asyncio.create_task(beating.run())
    while beating.beats < 3:
        await asyncio.sleep(0.01)
    before = beating.beats
    time.sleep(0.3)  # noqa: ASYNC251 - this is the fault
    while beating.beats == before:
        await asyncio.sleep(0.01)
    assert beating.is_stuck
    assert beating.lag_s >= 0.2
    monkeypatch.setattr(pulse, "_MEMORY_S", 0.05)
    while beating.is_stuck:
        await asyncio.sleep(0.01)
    task.cancel()
