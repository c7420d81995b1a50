"""Taking turns on one SQLite file, among all programs that write to it."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import OperationalError

BUSY_TIMEOUT_S = 5
_BUSY_PAUSE_S = 0.001
_BUSY_TRIES = 500


class Turn:
    """Whose turn it is to write next, among all programs on one database: they lock a file beside it.

    SQLite's lock goes to whoever asks in the moment in which it is free, which is mostly who had it and has more to
    write. Who has the turn is the only one to ask.
    """

    def __init__(self, database: str) -> None:
        self._database = database
        self._file: int | None = None

    def __enter__(self) -> None:
        if self._file is None:
            self._file = os.open(f"{self._database}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if os.geteuid() == 0:
                # As SQLite does with what it makes: a command of root's must not keep the servers out.
                owner = Path(self._database).stat()
                os.fchown(self._file, owner.st_uid, owner.st_gid)
        file = self._file
        once_free(lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB))

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def once_free(attempt: Callable[[], object]) -> None:
    """Try until no other connection has the lock that is needed; after the deadline, raise what SQLite says.

    And not before half a second of tries: of a time in which the machine stood still, nobody can say who had the lock.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    tries = 0
    while True:
        try:
            attempt()
        except (sqlite3.OperationalError, OperationalError, BlockingIOError) as error:
            tries += 1
            if not _is_busy(error) or (tries >= _BUSY_TRIES and time.monotonic() > deadline):
                raise
            time.sleep(_BUSY_PAUSE_S)
        else:
            return


def _is_busy(error: sqlite3.OperationalError | OperationalError | BlockingIOError) -> bool:
    if isinstance(error, BlockingIOError):
        return True
    driver_error = error.orig if isinstance(error, OperationalError) else error
    code: int = getattr(driver_error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY
