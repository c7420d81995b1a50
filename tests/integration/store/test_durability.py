"""What was accepted is stored, whatever happens to the process that accepted it."""

import asyncio
import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from tests.support.processes import Program
from tests.support.store import opened, opened_log, publish, sqlite_path, stored_offsets


def writer(url: str, log_path: Path, sender: str, *count: str) -> Program:
    return Program(
        [sys.executable, "-m", "tests.support.store_writer", url, sender, *count], log_path=log_path
    )


def accepted_by(*programs: Program) -> dict[int, str]:
    """Offset in `user:1` to notification id, of everything that the programs were told is stored."""
    told = [line.split() for program in programs for line in program.lines if line.startswith("accepted ")]
    whole = [words for words in told if len(words) == 3]  # a kill may cut the last line short
    return {int(offset): notification_id for _, notification_id, offset in whole}


async def assert_is_stored(url: str, accepted: dict[int, str]) -> int:
    async with opened(url) as database:
        stored = await stored_offsets(database)
    for room in ("user:1", "global"):
        assert [offset for offset, _ in stored[room]] == list(range(1, len(stored[room]) + 1))
    assert {nid for _, nid in stored["user:1"]} == {nid for _, nid in stored["global"]}, "all rooms or none"
    assert accepted.items() <= dict(stored["user:1"]).items()
    return len(stored["user:1"])


async def test_a_process_killed_at_any_moment_loses_nothing_that_it_accepted(url, tmp_path):
    chance = random.Random(11)
    accepted: dict[int, str] = {}
    for _ in range(4):
        program = writer(url, tmp_path / "writer.log", "key:1")
        program.start()
        try:
            seen = program.wait_for_log("accepted", timeout=30)
            for _ in range(chance.randrange(12)):
                seen = program.wait_for_log("accepted", after=seen, timeout=30)
        finally:
            program.kill()
        accepted |= accepted_by(program)
        await assert_is_stored(url, accepted)
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(sqlite_path(url))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    async with opened_log(url) as log:
        count = await assert_is_stored(url, accepted)
        assert (await publish(log, "user:1")).offsets == {"user:1": count + 1}


async def test_four_processes_on_one_file_are_never_locked_out(sqlite_url, tmp_path):
    writers = [writer(sqlite_url, tmp_path / f"{n}.log", f"key:{n}", "60") for n in range(4)]
    try:
        for program in writers:
            program.start()
        for program in writers:
            await asyncio.to_thread(program._process.wait, 60)
            program._reap()
    finally:
        for program in writers:
            if program.running:
                program.kill()

    assert [program.exit_code for program in writers] == [0] * 4
    assert not [
        line for program in writers for line in program.lines if not line.startswith(("ready", "accepted"))
    ]
    accepted = accepted_by(*writers)
    assert len(accepted) == 4 * 60 * 3, "every offset was given once"
    assert await assert_is_stored(sqlite_url, accepted) == len(accepted)
