"""Our own programs without their imports, which take a second of CPU each: forked from a process that has done them.

A forked program is a process like any other, with its own id, environment, files and end. What it shares is code:
nothing of ours reads the environment or opens anything at import.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]

_OURS = (
    "server",
    "clients.python",
    "tests.chaos.devices",
    "tests.chaos.publishers",
    "tests.chaos.server",
    "tests.support.store_mover",
    "tests.support.store_pruner",
    "tests.support.store_writer",
)

_starting = threading.Lock()
_forkers: list[socket.socket] = []


def can_fork(command: Sequence[str]) -> bool:
    """Whether it is one of our programs, on a system that has what this needs."""
    return hasattr(os, "pidfd_open") and tuple(command[:2]) == (sys.executable, "-m") and command[2] in _OURS


class ForkedProcess:
    """What tests use of `subprocess.Popen`. Standard input is empty."""

    def __init__(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: int, stderr: int
    ) -> None:
        self.args = command
        self.returncode: int | None = None
        self._lock = threading.Lock()
        _, _, module, *arguments = command
        request = {"module": module, "arguments": arguments, "cwd": str(cwd), "env": dict(env)}
        told, tells = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._told = told.detach()
        weakref.finalize(self, os.close, self._told)
        with tells:
            packet = json.dumps(request).encode()
            socket.send_fds(_forker(), [packet], [stdout, stderr, tells.fileno()])
        self.pid = self._next()

    def poll(self) -> int | None:
        """The exit code, minus the signal that ended it; None while it runs."""
        with self._lock:
            if self.returncode is None and self._has_ended(within_s=0):
                self.returncode = os.waitstatus_to_exitcode(self._next())
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended. Raises `subprocess.TimeoutExpired`."""
        if self.poll() is None and not self._has_ended(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.poll()

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _has_ended(self, within_s: float | None) -> bool:
        return bool(select.select([self._told], [], [], within_s)[0])

    def _next(self) -> int:
        if not (number := os.read(self._told, 32)):
            raise RuntimeError("the process that forks has ended")
        return int(number)


def _forker() -> socket.socket:
    """The way to the process that forks, which ends when this end is closed."""
    with _starting:
        if not _forkers:
            ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with its:
                forker = subprocess.Popen(
                    [sys.executable, "-m", "tests.support.forker", str(its.fileno())],
                    cwd=ROOT,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                    pass_fds=[its.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
            atexit.register(_end, ours, forker)
            _forkers.append(ours)
        return _forkers[0]


def _end(requests: socket.socket, forker: subprocess.Popen[bytes]) -> None:
    requests.close()
    forker.wait(timeout=5)
