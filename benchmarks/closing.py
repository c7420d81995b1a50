"""`python -m benchmarks.closing [NUMBER]`: many WebSocket clients that go at once; what it costs the server, and for how long it does not answer."""

import http.client
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.stands import Stand
from tests.support.processes import ROOT
from tests.support.stage import demo_server, load_demo

NUMBER = 8_000
GOAL_US, GOAL_MS = 250, 100
WAYS = ("goodbye", "vanish")
_CROWDS = 2
_WITHIN_S = 300


@dataclass
class Probe:
    """Asks the server for a sign of life all the time, and remembers the longest wait."""

    port: int
    longest_s: float = 0.0
    asked: int = 0
    ended: bool = False

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.ended:
            began = time.monotonic()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            self.asked += 1
            time.sleep(0.002)
        connection.close()

    @contextmanager
    def running(self) -> Iterator["Probe"]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield self
        finally:
            self.ended = True
            thread.join()


def measure(number: int, way: str) -> tuple[float, float]:
    """Server CPU for each client in microseconds, and the longest wait for an answer in milliseconds."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="closing-")))
        url = f"sqlite:///{folder / 'log.db'}"
        load_demo(url)
        server = stack.enter_context(demo_server(url, folder, env={"LOG_FORMAT": "json"}))
        stand = Stand("SQLite", server, url, url)
        crowds = [_crowd(stand, number // _CROWDS) for _ in range(_CROWDS)]
        for crowd in crowds:
            stack.callback(crowd.wait)
            stack.callback(crowd.stdin.close)
            _expect(crowd, "here")
        _wait_for(stand, number)
        time.sleep(2)  # what the coming has left to do does not count as going
        with Probe(server.port).running() as probe:
            cpu_s = stand.server_cpu_s()
            for crowd in crowds:
                _say(crowd, way)
            _wait_for(stand, 0)
            cpu_s = stand.server_cpu_s() - cpu_s
        return cpu_s / number * 1e6, probe.longest_s * 1e3


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
        time.sleep(0.1)


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else NUMBER
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    missed = False
    for way in WAYS:
        cpu_us, longest_ms = measure(number, way)
        print(
            f"{number} clients, {way}: {cpu_us:.0f} µs each, longest wait for an answer {longest_ms:.0f} ms"
        )
        missed |= cpu_us > GOAL_US or longest_ms > GOAL_MS
    sys.exit(f"The goal is {GOAL_US} µs and {GOAL_MS} ms." if missed else 0)


if __name__ == "__main__":
    main()
