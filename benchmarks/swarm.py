"""Drives `swarm.c`, the clients of the fan-out benchmark and their publisher."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.compiled import compiled
from benchmarks.peers import Target

AT_ONCE = 64
BEAT_S = 30.0


class Swarm:
    """Its clients, none of them there yet. Each answer is what `swarm.c` says of a command."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process = process
        self._folder = folder

    def connect(self, auths: Sequence[str], at_once: int = AT_ONCE) -> Mapping[str, float]:
        path = self._folder / "auths"
        path.write_text("".join(f"40{auth}\n" for auth in auths))
        return self._ask(f"connect {at_once} {path}")

    def flood(self, seconds: float, window: int) -> Mapping[str, float]:
        return self._ask(f"flood {seconds} {window}")

    def pace(self, seconds: float, rate: float) -> Mapping[str, float]:
        return self._ask(f"pace {seconds} {rate} {BEAT_S}")

    def vanish(self) -> Mapping[str, float]:
        return self._ask("vanish")

    def _ask(self, command: str) -> Mapping[str, float]:
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{command}: {self._process.stderr.read().strip()}")
        return json.loads(answer)


@contextmanager
def opened_swarm(target: Target, clients: int, folder: Path) -> Iterator[Swarm]:
    requests = folder / "requests"
    requests.write_bytes(b"".join(request + b"\0" for request in target.requests))
    command = (
        compiled("swarm"),
        str(target.port),
        str(target.publish_port),
        str(clients),
        target.marker,
        requests,
    )
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Swarm(process, folder)
        finally:
            process.kill()
