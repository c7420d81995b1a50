"""A backup is one state of the log, taken while others write; restoring it brings back that state and nothing else."""

import asyncio
import random
import sqlite3
import sys
from contextlib import AsyncExitStack, closing

import pytest

from core.domain.errors import Conflict, DomainError, Unavailable
from core.domain.ids import new_id
from core.domain.inbox import Receipt
from core.store import tables
from core.store.backup import back_up, restore
from core.store.migrations import migrate
from tests.support.processes import Program
from tests.support.store import mark, opened, opened_log, person, publish, sqlite_path, stored_offsets

ROOMS = ("user:1", "project:1", "global")


def content(path) -> dict[str, list]:
    """Every row of every table."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {
            name: sorted(connection.execute(f'SELECT * FROM "{name}"'), key=repr)  # noqa: S608
            for name in (*tables.metadata.tables, "alembic_version")
        }


def epoch_of(rows) -> str:
    return rows["log"][0][1]


def change(path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


async def test_a_backup_taken_while_others_publish_is_one_state_of_the_log(sqlite_url, tmp_path):
    chance = random.Random(3)
    done = asyncio.Event()
    accepted: list = []

    async def publish_on(log) -> None:
        while not done.is_set():
            accepted.append(
                await publish(log, *chance.sample(ROOMS, 2), thread=f"task:{chance.randrange(5)}")
            )

    async with AsyncExitStack() as stack:
        logs = [await stack.enter_async_context(opened_log(sqlite_url)) for _ in range(2)]
        publishing = [asyncio.create_task(publish_on(log)) for log in logs for _ in range(2)]
        for number in range(4):
            before, backup = list(accepted), tmp_path / f"{number}.bak"
            await asyncio.to_thread(back_up, sqlite_path(sqlite_url), backup, overwrite=False)
            async with opened(f"sqlite:///{backup}") as database, opened_log(f"sqlite:///{backup}") as copy:
                stored = await stored_offsets(database)
                heads = await copy.heads(ROOMS)
            for room in ROOMS:
                offsets = [offset for offset, _ in stored.get(room, [])]
                assert offsets == list(range(1, heads[room].head + 1))
            kept = {(room, offset) for room in stored for offset, _ in stored[room]}
            assert {item for one in before for item in one.offsets.items()} <= kept
            rows = content(backup)
            assert {row[0] for row in rows["notification"]} == {
                nid for room in stored.values() for _, nid in room
            }
        done.set()
        await asyncio.gather(*publishing)
    assert len(before) < len(accepted), "publishing went on meanwhile"


async def test_a_restore_brings_back_what_the_backup_holds_as_another_epoch(sqlite_url, tmp_path):
    path, backup = sqlite_path(sqlite_url), tmp_path / "log.bak"
    async with opened_log(sqlite_url) as log:
        for username in ("zhangsan", "lisi"):
            await log.commit(person(username, roles=["reviewer"], projects={"1": ["annotator"]}))
        for number in range(5):
            await publish(log, *ROOMS, key=f"k{number}", thread="task:1")
        await log.commit(mark("1", Receipt.READ, {"user:1": ((1, 3),)}))
        first = await log.epoch()
        back_up(path, backup, overwrite=False)
        kept = content(path)

        for _ in range(3):
            await publish(log, *ROOMS, "user:99")
        await log.commit(mark("1", Receipt.READ, {"user:1": ((4, 6),)}))
        assert content(path) != kept
        restore(path, backup, "another epoch")

        restored = content(path)
        assert epoch_of(kept) == first
        assert epoch_of(restored) == await log.epoch() == "another epoch"
        assert {**restored, "log": kept["log"]} == kept == content(backup)
        told = await log.commit(mark("1", Receipt.READ, {"user:1": ((4, 4),)}))
        assert told.results == (2,), "the version that the restored inbox comes to"
        assert (await publish(log, "user:1", "user:99")).offsets == {"user:1": 6, "user:99": 1}


async def test_a_backup_is_restored_where_there_is_no_database_yet(sqlite_url, tmp_path):
    async with opened_log(sqlite_url) as log:
        await publish(log, "user:1")
    backup, new = tmp_path / "log.bak", tmp_path / "new.db"
    back_up(sqlite_path(sqlite_url), backup, overwrite=False)
    async with opened(f"sqlite:///{backup}") as database:  # as `migrate` does it, which leaves it in WAL mode
        await migrate(database)

    restore(new, backup, "e2")

    assert {**content(new), "log": []} == {**content(backup), "log": []}
    async with opened_log(f"sqlite:///{new}") as log:
        assert (await publish(log, "user:1")).offsets == {"user:1": 2}


async def test_a_backup_is_one_file_for_its_owner_and_overwrites_only_when_told(sqlite_url, tmp_path):
    folder = tmp_path / "backups"
    folder.mkdir()
    backup = folder / "log.bak"
    backup.write_text("precious")

    with pytest.raises(Conflict) as refusal:
        back_up(sqlite_path(sqlite_url), backup, overwrite=False)
    assert refusal.value.code == "backup_exists"
    assert backup.read_text() == "precious"

    back_up(sqlite_path(sqlite_url), backup, overwrite=True)
    assert [found.name for found in folder.iterdir()] == ["log.bak"]
    assert backup.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Unavailable):
        back_up(tmp_path / "nothing.db", folder / "other.bak", overwrite=False)
    with pytest.raises(Unavailable):
        back_up(sqlite_path(sqlite_url), tmp_path / "nowhere" / "log.bak", overwrite=False)
    assert [found.name for found in folder.iterdir()] == ["log.bak"]
    assert not (tmp_path / "nothing.db").exists()


def no_database(path) -> None:
    path.write_text("something else" * 1000)


def damaged(path) -> None:
    pages = bytearray(path.read_bytes())
    pages[4096 * 3 : 4096 * 12] = b"\xff" * 4096 * 9
    path.write_bytes(pages)


def cut_short(path) -> None:
    path.write_bytes(path.read_bytes()[:-5_000])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (no_database, "not a database"),
        (damaged, "damaged"),
        (cut_short, "malformed"),
        (lambda path: path.write_bytes(b""), "no backup of this program"),
        (lambda path: change(path, "DROP TABLE alembic_version"), "no backup of this program"),
        (lambda path: change(path, "DROP TABLE posting"), "no backup of this program"),
        (lambda path: change(path, "DELETE FROM log"), "no backup of this program"),
        (lambda path: change(path, "UPDATE alembic_version SET version_num = '9999'"), "newer program"),
        (lambda path: change(path, "UPDATE alembic_version SET version_num = '0001'"), "older program"),
        (lambda path: path.unlink(), "There is no database"),
    ],
)
async def test_what_is_no_sound_backup_is_refused_and_changes_nothing(sqlite_url, tmp_path, spoil, told):
    path, backup = sqlite_path(sqlite_url), tmp_path / "log.bak"
    async with opened_log(sqlite_url) as log:
        for _ in range(50):
            await publish(log, *ROOMS)
        back_up(path, backup, overwrite=False)
        await publish(log, "user:1")
    before = content(path)
    spoil(backup)

    with pytest.raises(DomainError, match=told) as refusal:
        restore(path, backup, "e2")

    assert "\n" not in refusal.value.message
    assert content(path) == before


async def test_a_damaged_database_is_not_taken_for_a_backup(sqlite_url, tmp_path):
    path, backup = sqlite_path(sqlite_url), tmp_path / "log.bak"
    async with opened_log(sqlite_url) as log:
        for _ in range(50):
            await publish(log, *ROOMS)
    sound = tmp_path / "sound.bak"
    back_up(path, sound, overwrite=False)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    damaged(path)

    with pytest.raises(DomainError):
        back_up(path, backup, overwrite=False)
    assert not backup.exists()

    restore(path, sound, "e2")
    assert content(path)["posting"] == content(sound)["posting"]


RESTORER = """
import sys
from itertools import cycle
from pathlib import Path
from core.store.backup import restore
database, *backups = map(Path, sys.argv[1:])
for backup in cycle(backups):
    restore(database, backup, backup.name)
    print("restored", flush=True)
"""


async def test_a_restore_that_is_killed_leaves_the_one_or_the_other(sqlite_url, tmp_path):
    chance = random.Random(5)
    path = sqlite_path(sqlite_url)
    backups = {}
    async with opened_log(sqlite_url) as log:
        for name in ("one.bak", "other.bak"):
            for number in range(20):
                await publish(log, f"user:{number}", content="x" * 10_000)
            back_up(path, tmp_path / name, overwrite=False)
            backups[name] = {**content(tmp_path / name), "log": [(1, name)]}
    files = sorted(found.name for found in tmp_path.iterdir())
    command = [sys.executable, "-c", RESTORER, str(path), *(str(tmp_path / name) for name in backups)]
    restorer = Program(command, log_path=tmp_path / "restorer.log")
    for _ in range(4):
        restorer.start()
        try:
            seen = restorer.wait_for_log("restored", timeout=30)
            for _ in range(chance.randrange(8)):
                seen = restorer.wait_for_log("restored", after=seen, timeout=30)
            await asyncio.sleep(chance.random() / 100)  # anywhere in the next one
        finally:
            restorer.kill()
        rows = content(path)
        assert rows == backups[epoch_of(rows)]
    left = {found.name for found in tmp_path.iterdir()} - {f"{path.name}-wal", f"{path.name}-shm"}
    assert sorted(left - {"restorer.log"}) == [name for name in files if not name.endswith(("-wal", "-shm"))]


async def test_a_restore_waits_for_writers_and_nobody_sees_half_of_it(sqlite_url, tmp_path):
    path, backup = sqlite_path(sqlite_url), tmp_path / "log.bak"
    async with opened_log(sqlite_url) as log:
        await publish(log, "user:1")
        back_up(path, backup, overwrite=False)
        await publish(log, "user:1")
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            restoring = asyncio.create_task(asyncio.to_thread(restore, path, backup, new_id()))
            with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                assert reader.execute("SELECT head FROM room").fetchall() == [(2,)]
                writer.execute("COMMIT")
                await restoring
                assert reader.execute("SELECT head FROM room").fetchall() == [(2,)], "as its snapshot had it"
                reader.execute("COMMIT")
                assert reader.execute("SELECT head FROM room").fetchall() == [(1,)]
        assert (await publish(log, "user:1")).offsets == {"user:1": 2}
