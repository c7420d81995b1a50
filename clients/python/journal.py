"""Where a client keeps its state: in memory, or in a file that survives a crash at any byte.

The file is a journal. Its first line is a snapshot, each further line one change, written by one `os.write`:
effect and position of a posting are stored together or not at all. A last line without its newline was torn by
a crash and is dropped; any other damage is an error, because a guessed position would be a silent hole.
The snapshot is renewed on opening and every `COMPACT_AFTER_LINES` changes, through a temporary file and an
atomic rename. A second process on the same file is refused; the lock lies beside the file, in `<file>.lock`.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from .errors import StateFileError
from .state import Applied, Change, ClientState, Placed

FORMAT = 1
COMPACT_AFTER_LINES = 4096


class StateKeeper(Protocol):
    """Holds the state. `record` returns when the change is kept; it raises `StateFileError` when it is not,
    and then the state has not moved either.
    """

    @property
    def state(self) -> ClientState: ...

    def record(self, change: Change) -> None: ...

    def close(self) -> None: ...


class MemoryKeeper:
    """Forgets everything with the process: a client that starts afresh begins live, from the base."""

    def __init__(self) -> None:
        self.state = ClientState()

    def record(self, change: Change) -> None:
        self.state.record(change)

    def close(self) -> None:
        """Nothing is held open."""


class Journal:
    """The state in a file. Opening it locks it until `close`; `StateFileError` says what stands against it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = -1
        self._lock = _lock(path)
        try:
            self.state = _load(path)
            self._compact()
        except BaseException:  # whoever could close it has not got it
            self.close()
            raise

    def record(self, change: Change) -> None:
        line = _encode(change)
        with _explained(self.path):
            if os.write(self._file, line) != len(line):
                os.ftruncate(self._file, self._size)
                raise StateFileError(f"{self.path}: the disk is full")
        self._size += len(line)
        self._lines += 1
        self.state.record(change)
        if self._lines >= COMPACT_AFTER_LINES:
            self._compact()

    def close(self) -> None:
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _compact(self) -> None:
        """Replace the file by one snapshot line. A crash leaves the old file or the new one, both whole."""
        snapshot = _snapshot(self.state)
        fresh = self.path.with_name(self.path.name + ".new")
        with _explained(self.path):
            with fresh.open("wb") as file:
                file.write(snapshot)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
            _sync_folder(self.path.parent)
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        self._size = len(snapshot)
        self._lines = 0


def open_state(path: Path | None) -> StateKeeper:
    return MemoryKeeper() if path is None else Journal(path)


def _lock(path: Path) -> int:
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise StateFileError(
            f"{path}: another client uses this state file; give each client its own"
        ) from exc
    return descriptor


def _load(path: Path) -> ClientState:
    with _explained(path):
        content = path.read_bytes() if path.exists() else b""
    if not content:
        return ClientState()
    snapshot, *changes = content.split(b"\n")
    try:
        state = _decode_snapshot(json.loads(snapshot))
        for line in changes[:-1]:
            state.record(_decode(json.loads(line)))
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise StateFileError(
            f"{path}: not a state file of this client, or damaged ({exc}). "
            "Move it away to start afresh from the present; the inbox has what was missed"
        ) from exc
    return state


def _snapshot(state: ClientState) -> bytes:
    return _line({"state": FORMAT, "epoch": state.epoch, "position": state.position, "ids": state.ids})


def _decode_snapshot(fields: dict[str, Any]) -> ClientState:
    if fields["state"] != FORMAT:
        raise ValueError(f"format {fields['state']!r} is not {FORMAT}")
    return ClientState(fields["epoch"], _position(fields["position"]), fields["ids"])


def _encode(change: Change) -> bytes:
    if isinstance(change, Placed):
        return _line({"epoch": change.epoch, "position": dict(change.position)})
    return _line({"room": change.room, "offset": change.offset, "id": change.notification_id})


def _decode(fields: dict[str, Any]) -> Change:
    if "position" in fields:
        return Placed(fields["epoch"], _position(fields["position"]))
    return Applied(fields["room"], fields["offset"], fields["id"])


def _position(fields: dict[str, Any]) -> dict[str, int]:
    return {room: int(offset) for room, offset in fields.items()}


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say which file it was."""
    try:
        yield
    except OSError as exc:
        raise StateFileError(f"{path}: {exc.strerror or exc}") from exc
