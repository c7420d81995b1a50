"""`python -m benchmarks.closing [NUMBER]`: many WebSocket clients that go at once; what it costs the server, and for how long it holds the loop."""

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.stands import Stand
from benchmarks.watched import SAYS
from tests.support.processes import ROOT, ServerProcess
from tests.support.stage import demo_server, load_demo

NUMBER = 8_000
GOAL_US, GOAL_MS = 250, 100
WAYS = ("goodbye", "vanish")
_SERVE = (sys.executable, "-m", "benchmarks.watched")
_CROWDS = 2
_WITHIN_S = 300


def measure(number: int, way: str) -> tuple[float, float, float]:
    """Server CPU for each client in microseconds; the longest turn of its loop in milliseconds, busy and by the clock."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="closing-")))
        url = f"sqlite:///{folder / 'log.db'}"
        load_demo(url)
        server = stack.enter_context(
            demo_server(
                url, folder, env={"LOG_FORMAT": "json", "MAX_SESSIONS_PER_USER": "100000"}, command=_SERVE
            )
        )
        stand = Stand("SQLite", server, url, url, url)
        crowds = [_crowd(stand, number // _CROWDS) for _ in range(_CROWDS)]
        for crowd in crowds:
            stack.callback(crowd.wait)
            stack.callback(crowd.stdin.close)
            _expect(crowd, "here")
        _wait_for(stand, number)
        time.sleep(2)  # what the coming has left to do does not count as going
        _longest_turn(server)
        cpu_s = stand.server_cpu_s()
        for crowd in crowds:
            _say(crowd, way)
        _wait_for(stand, 0)
        cpu_s = stand.server_cpu_s() - cpu_s
        return cpu_s / number * 1e6, *_longest_turn(server)


def _longest_turn(server: ServerProcess) -> tuple[float, float]:
    """Since it was asked for the last time."""
    before = len(server.lines)
    os.kill(server.pid, signal.SIGUSR1)
    number = server.wait_for_log(SAYS, after=before)
    line = server.lines[number - 1]
    busy, clock = line.removeprefix(SAYS).split()
    return float(busy), float(clock)


def _crowd(stand: Stand, number: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "benchmarks.crowd",
            str(stand.server.port),
            stand.tokens["zhangsan"],
            str(number),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _say(crowd: "subprocess.Popen[str]", word: str) -> None:
    crowd.stdin.write(f"{word}\n")
    crowd.stdin.flush()


def _expect(crowd: "subprocess.Popen[str]", word: str) -> None:
    if (said := crowd.stdout.readline().strip()) != word:
        raise RuntimeError(f"A crowd said {said!r}, not {word!r}.")


def _wait_for(stand: Stand, sessions: int) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while (there := stand.counter("notify_sessions")) != sessions:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{there} sessions, not {sessions}.")
        time.sleep(0.5)  # asking costs the server too


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else NUMBER
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    missed = False
    for way in WAYS:
        cpu_us, busy_ms, clock_ms = measure(number, way)
        print(
            f"{number} clients, {way}: {cpu_us:.0f} µs each, longest turn {busy_ms:.0f} ms"
            f" ({clock_ms:.0f} ms by the clock), load average {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        missed |= cpu_us > GOAL_US or busy_ms > GOAL_MS
    sys.exit(f"The goal is {GOAL_US} µs and {GOAL_MS} ms." if missed else 0)


if __name__ == "__main__":
    main()
