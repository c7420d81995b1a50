"""The load generator, a process of its own: reads a `Load` as JSON, keeps one request on each connection, tells what was answered.

`python -m benchmarks.load` is started by the benchmarks, so that it does not share an interpreter with them.
"""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from uuid import uuid4

import uvloop

from benchmarks.connection import Connection
from tests.support.processes import ROOT

KEY = "{key of 32 characters, made up  }"
"""Stands in a request for an idempotency key, which is another one each time."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """One connection for each request, which is sent over and over, for so long."""

    port: int
    requests: list[str]
    expected_status: int
    seconds: float

    def run(self) -> "Answers":
        """Run it, by a generator in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.load"],
            input=json.dumps(asdict(self)),
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            timeout=self.seconds + 30,
        )
        if done.returncode:
            raise RuntimeError(f"The load generator failed.\n{done.stderr}")
        return Answers(**json.loads(done.stdout))


@dataclass(frozen=True, kw_only=True)
class Answers:
    """How many requests were answered, each as expected, and how many in a second."""

    number: int
    rate: float


async def _run(load: Load) -> Answers:
    connections = [await Connection.open(load.port) for _ in load.requests]
    started = time.monotonic()
    deadline = started + load.seconds

    async def repeat(connection: Connection, content: bytes) -> int:
        before, _, after = content.partition(KEY.encode())
        unique = f"{uuid4().hex}-".encode()
        answered = 0
        while time.monotonic() < deadline:
            key = b"%b%d" % (unique, answered) if after else b""
            status = await connection.send(before + key + after)
            if status != load.expected_status:
                raise RuntimeError(f"Answered {status} instead of {load.expected_status}.")
            answered += 1
        return answered

    answered = sum(
        await asyncio.gather(
            *(
                repeat(connection, content.encode())
                for connection, content in zip(connections, load.requests, strict=True)
            )
        )
    )
    rate = answered / (time.monotonic() - started)
    for connection in connections:
        connection.close()
    return Answers(number=answered, rate=rate)


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(_run(Load(**json.load(sys.stdin)))))))
