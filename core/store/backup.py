"""Backups of an SQLite database, taken and put back while servers work on it.

Naive: copy the file. What is still in the write-ahead log is missed, and pages change while they are copied.
Here: SQLite copies, one state of the database in one step; and a backup is put back as one transaction of the live
file, so that servers keep their connections and see all of it or nothing.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from core.domain.errors import Conflict, Unavailable
from core.store import tables
from core.store.migrations import DataModel, data_model, known_revisions

_BUSY_TIMEOUT_S = 30.0
_FAULTS: Mapping[DataModel, str] = {
    DataModel.MISSING: "is no backup of this program",
    DataModel.OLDER: "was made by an older program; restore it by that one, or first run"
    " `python -m server migrate` with DATABASE_URL=sqlite:/// and its path",
    DataModel.NEWER: "was made by a newer program; restore it by that one",
}


def back_up(database: Path, backup: Path, *, overwrite: bool) -> None:
    """Write the present state of the database to one file at `backup`, which appears whole or not at all.

    Raises `Conflict` (backup_exists) for a file that is there, unless told to overwrite it, `Conflict`
    (backup_unusable) when the copy is not sound, `Unavailable` when it cannot be read or written.
    """
    if backup.exists() and not overwrite:
        raise _exists(backup)
    with _faults(backup):
        handle, name = tempfile.mkstemp(dir=backup.parent, prefix=f".{backup.name}.")  # its mode is 0600
        os.close(handle)
    made = Path(name)
    try:
        with _opened(database) as live, _faults(backup), closing(sqlite3.connect(made)) as copy:
            live.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file that needs no other beside it
            _check_sound(copy, database)
        with _faults(backup):
            _publish(made, backup, overwrite=overwrite)
    finally:
        made.unlink(missing_ok=True)


def restore(database: Path, backup: Path, epoch: str) -> None:
    """Make the database what the backup holds, as the given epoch, in one transaction. The backup stays as it is.

    Raises `Conflict` (backup_unusable) for what is no sound backup of this data model, `Unavailable` when it or
    the database cannot be read or written; then the database is what it was before.
    """
    # A database without a name is a file that is gone when its connection is, however that ends.
    with _opened(backup) as source, _faults(backup), closing(sqlite3.connect("")) as copy:
        source.backup(copy)
        _check_sound(copy, backup)
        _check_data_model(copy, backup)
        with copy:
            if copy.execute("UPDATE log SET epoch = ?", (epoch,)).rowcount != 1:
                raise _unusable(backup, _FAULTS[DataModel.MISSING])
        with _faults(database):
            _put_in_place(copy, database)


def _put_in_place(copy: sqlite3.Connection, database: Path) -> None:
    (page_size,) = copy.execute("PRAGMA page_size").fetchone()
    with closing(sqlite3.connect(database, timeout=_BUSY_TIMEOUT_S, isolation_level=None)) as live:
        live.execute(f"PRAGMA page_size={page_size}")  # of a file that is new: another keeps the one it has
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("PRAGMA synchronous=FULL")
        if live.execute("PRAGMA page_size").fetchone() != (page_size,):
            raise Unavailable(f"{database} has pages of another size than the backup: move it away first.")
        deadline = time.monotonic() + _BUSY_TIMEOUT_S

        def give_up(status: int, *_: int) -> None:
            # Python goes on for ever while another program holds the lock.
            if status != sqlite3.SQLITE_DONE and time.monotonic() > deadline:
                raise Unavailable(f"{database} is locked by another program; nothing was changed.")

        copy.backup(live, progress=give_up)
        live.execute("PRAGMA wal_checkpoint(PASSIVE)")  # else the next commit of a server would do all of it


def _check_sound(copy: sqlite3.Connection, path: Path) -> None:
    found = str(copy.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if found != "ok":
        raise _unusable(path, f"is damaged: {found.splitlines()[-1]}")


def _check_data_model(copy: sqlite3.Connection, path: Path) -> None:
    names = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    versions = copy.execute("SELECT version_num FROM alembic_version") if "alembic_version" in names else ()
    model = data_model(next((str(version) for (version,) in versions), None), known_revisions())
    if model is DataModel.PRESENT and not names >= set(tables.metadata.tables):
        model = DataModel.MISSING
    if model in _FAULTS:
        raise _unusable(path, _FAULTS[model])


def _publish(made: Path, backup: Path, *, overwrite: bool) -> None:
    """Give the finished file its name, so that a loss of power leaves the old or the new one."""
    _flush(made)
    if overwrite:
        made.replace(backup)
    else:
        try:
            os.link(made, backup)
        except FileExistsError as error:
            raise _exists(backup) from error
    _flush(backup.parent)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a database that is there: none is made."""
    if not path.is_file():
        raise Unavailable(f"There is no database at {path}.")
    with _faults(path), closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as opened:
        yield opened


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """Faults of the file at the path, told in a line."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unavailable(f"{path} cannot be used: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise _unusable(path, f"is no sound database: {error}") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be used: {os.strerror(error.errno or 0)}.") from error


def _exists(backup: Path) -> Conflict:
    return Conflict(f"{backup} is there already; --force overwrites it.", code="backup_exists")


def _unusable(path: Path, why: str) -> Conflict:
    return Conflict(f"{path} {why}.", code="backup_unusable")
