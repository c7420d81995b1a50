"""Programs that tests start, watch by their log, and stop."""

import http.client
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.forking import ROOT, ForkedProcess, can_fork

SERVER = (sys.executable, "-m", "server")
SERVE = (*SERVER, "serve")
CLIENT = (sys.executable, "-m", "clients.python")
SECRET_KEY = "a secret of tests that is long enough"

_running: set["Program"] = set()


def ports_of(worker: int, workers: int) -> Iterator[int]:
    """The ports that one of the workers gives to its programs, in turn, for ever.

    No other worker gives the same, and it does not come again soon: a server that starts, or starts again, is not
    mistaken for another one. They are below the kernel's range for outgoing connections: no client of a stopped server
    takes its port meanwhile, or connects to itself by it.
    """
    own = range(10_000 + worker, 30_000, workers)
    first = random.randrange(len(own))
    return itertools.cycle((*own[first:], *own[:first]))


_ports = ports_of(
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")),
    int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
)


class ProgramError(Exception):
    """A program ended early, or did not do in time what was waited for. The end of its log is in the message."""


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    for port in itertools.islice(_ports, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("100 ports in turn are all taken")


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """A clean environment with `variables`: settings of the person who runs the tests stay outside."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", **(variables or {})}


def left_running() -> list["Program"]:
    """The programs that were started and neither stopped nor ended by themselves."""
    return [program for program in _running if program.running]


def run_command(
    *arguments: str,
    program: Sequence[str] = SERVER,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """`python -m server <arguments>`, run to its end. With `check`, another exit code than 0 raises ProgramError."""
    command = (*program, *arguments)
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = start_process(
            command, environment({"SECRET_KEY": SECRET_KEY, **(env or {})}), output.fileno(), errors.fileno()
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        output.seek(0)
        errors.seek(0)
        result = subprocess.CompletedProcess(command, code, output.read(), errors.read())
    if check and code != 0:
        raise ProgramError(f"{' '.join(command)}: exit code {code}\n{result.stderr}")
    return result


def start_process(
    command: Sequence[str],
    env: Mapping[str, str],
    stdout: int,
    stderr: int,
    *,
    cwd: Path = ROOT,
    **account: Any,
) -> "subprocess.Popen[bytes] | ForkedProcess":
    """Start a command with these files as its output and nothing to read."""
    if can_fork(command):
        return ForkedProcess(command, cwd=cwd, env=env, stdout=stdout, stderr=stderr)
    return subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, **account
    )


class _Log:
    """The output of one run of a program, line by line, also appended to a file."""

    def __init__(self, stream, path: Path) -> None:
        self.lines: list[str] = []
        self.ended = False
        self.changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(stream, path), daemon=True)
        self._reader.start()

    def _read(self, stream, path: Path) -> None:
        with stream, path.open("a") as file:
            for line in stream:
                file.write(line)
                file.flush()
                with self.changed:
                    self.lines.append(line.rstrip("\n"))
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def find(self, text: str, after: int, timeout: float) -> int | None:
        def found() -> int | None:
            return next((n for n, line in enumerate(self.lines[after:], after + 1) if text in line), None)

        with self.changed:
            self.changed.wait_for(lambda: found() or self.ended, timeout)
            return found()

    def wait_for_end(self, timeout: float) -> None:
        self._reader.join(timeout)


class Program:
    """A program under test. As a context manager it runs inside the block.

    The methods block: in a coroutine call them by `asyncio.to_thread`.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        user: str | None = None,
    ) -> None:
        self.log_path = log_path
        self._command = command
        self._env = environment(env)
        self._cwd = cwd
        self._account = {"user": user, "group": user, "extra_groups": ()} if user else {}
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None
        self._log: _Log | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Of the last run; minus the signal that ended it; None while it runs."""
        return self._process.poll()

    @property
    def lines(self) -> list[str]:
        """What the present or last run wrote until now, standard output and error together."""
        return list(self._log.lines)

    def start(self) -> None:
        """Start, and return when it is ready for work."""
        if self.running:
            raise RuntimeError(f"{self} runs already")
        reading, writing = os.pipe()
        try:
            self._process = start_process(
                self._command, self._env, writing, writing, cwd=self._cwd, **self._account
            )
        finally:
            os.close(writing)
            self._log = _Log(os.fdopen(reading, errors="replace"), self.log_path)
        _running.add(self)
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> int:
        """Ask it to end as an operator would, and return its exit code. One that does not listen is killed and raises."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._reap()

    def restart(self) -> None:
        self.stop()
        self.start()

    def wait_for_log(self, text: str, *, after: int = 0, timeout: float = 30) -> int:
        """Wait until this run has written a line with `text` behind its first `after` lines.

        Returns the number of lines up to that one, to be the next `after`. Fails at once when the program ends.
        """
        number = self._log.find(text, after, timeout)
        if number is None:
            raise self._error(f"no {text!r} in its log within {timeout} s")
        return number

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.stop()

    def __str__(self) -> str:
        return " ".join(self._command)

    def _wait_until_ready(self) -> None:
        """For programs that need time between their start and their work."""

    def _end(self, sig: signal.Signals, timeout: float = 15) -> int:
        self._process.send_signal(sig)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._error(f"did not end within {timeout} s of {sig.name}") from None
        self._reap()
        return self._process.returncode

    def _reap(self) -> None:
        self._process.wait()
        self._log.wait_for_end(timeout=5)
        _running.discard(self)

    def _error(self, what: str) -> ProgramError:
        state = "running" if self.running else f"exit code {self.exit_code}"
        return ProgramError("\n".join([f"{self} ({state}): {what}", *self._log.lines[-40:]]))


class ServerProcess(Program):
    """`python -m server serve` on a port of its own, which it keeps over a restart. Ready when `/readyz` is 200."""

    def __init__(
        self,
        database_url: str,
        *,
        log_path: Path,
        redis_url: str | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = SERVE,
        ready_within_s: float = 20,
    ) -> None:
        self.database_url = database_url
        self.port = port or free_port()
        self.url = f"http://{host}:{self.port}"
        self._host = host
        self._ready_within_s = ready_within_s
        settings = {
            "HOST": host,
            "PORT": str(self.port),
            "DATABASE_URL": database_url,
            "SECRET_KEY": SECRET_KEY,
            **({"REDIS_URL": redis_url} if redis_url else {}),
            **(env or {}),
        }
        super().__init__(command, log_path=log_path, env=settings)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._ready_within_s
        answer = self._readiness()
        while answer != "200":
            if not self.running:
                self._log.wait_for_end(timeout=5)
                raise self._error("ended before it was ready")
            if time.monotonic() > deadline:
                raise self._error(f"/readyz: {answer} after {self._ready_within_s} s")
            with self._log.changed:
                self._log.changed.wait(0.05)
            answer = self._readiness()

    def _readiness(self) -> str:
        connection = http.client.HTTPConnection(self._host, self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return str(connection.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            connection.close()
