"""`python -m benchmarks.connect [NUMBER…]`: what it costs the server to let clients in, and to let them come back.

Every client is somebody else, with a token of their own: nothing that is read for one is read for another by chance.
"""

import os
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import peers
from benchmarks.peers import Target
from benchmarks.people import settle
from benchmarks.swarm import Swarm, opened_swarm
from tests.support.postgres import PostgresCluster
from tests.support.stage import demo_server, load_demo

NUMBERS = (1_000, 8_000)
_IN_MEMORY = (sys.executable, "-m", "benchmarks.remembered", "serve")


@contextmanager
def _ours(
    url: str, number: int, *, command: Sequence[str] | None = None
) -> Iterator[tuple[Target, list[str]]]:
    """A server over this database, and what its clients say when they come back."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="connect-")))
        load_demo(url)
        known = settle(url, number)
        options = {} if command is None else {"command": command}
        env = {
            "LOG_FORMAT": "json",
            "RATE_LIMIT": "off",
            "HEARTBEAT_S": "30",
            "MAX_SESSIONS_PER_USER": "100000",
        }
        server = stack.enter_context(demo_server(url, folder, env=env, **options))
        target = Target(
            programs=[server],
            port=server.port,
            publish_port=server.port,
            marker='42["summary"',
            auths=[some.first for some in known],
            comeback=None,
            requests=[b"GET / HTTP/1.1\r\n\r\n"],
        )
        yield target, [some.back for some in known]


@contextmanager
def _on_sqlite(number: int) -> Iterator[tuple[Target, list[str]]]:
    with TemporaryDirectory(prefix="connect-") as folder, _ours(f"sqlite:///{folder}/log.db", number) as ours:
        yield ours


@contextmanager
def _in_memory(number: int) -> Iterator[tuple[Target, list[str]]]:
    with (
        TemporaryDirectory(prefix="connect-") as folder,
        _ours(f"sqlite:///{folder}/log.db", number, command=_IN_MEMORY) as ours,
    ):
        yield ours


@contextmanager
def _on_postgres(number: int) -> Iterator[tuple[Target, list[str]]]:
    cluster = PostgresCluster()
    try:
        cluster.start()
        with _ours(cluster.create_database(), number) as ours:
            yield ours
    finally:
        cluster.remove()


@contextmanager
def _node(_: int) -> Iterator[tuple[Target, list[str]]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="connect-")))
        target = peers.open_node(stack, folder)
        yield replace(target, requests=target.requests[:1]), []


STANDS = {"Node": _node, "memory": _in_memory, "SQLite": _on_sqlite, "PostgreSQL": _on_postgres}


def measure(name: str, number: int) -> dict[str, tuple[float, float]]:
    """Of each way to come: server CPU for each client in microseconds, and seconds until it was over."""
    with (
        STANDS[name](number) as (target, back),
        TemporaryDirectory(prefix="connect-") as folder,
        opened_swarm(target, number, Path(folder)) as swarm,
    ):
        ways = {"come": list(target.auths)} | ({"come back": back} if back else {})
        if name == "memory":
            for auths in ways.values():
                _came(target, swarm, auths, number)
        return {way: _came(target, swarm, auths, number) for way, auths in ways.items()}


def _came(target: Target, swarm: Swarm, auths: Sequence[str], number: int) -> tuple[float, float]:
    target.wait_idle()
    cpu_s = target.cpu_s()
    took_s = swarm.connect(auths, at_once=number)["seconds"]
    target.wait_idle()
    cost_us = (target.cpu_s() - cpu_s) / number * 1e6
    swarm.vanish()
    return cost_us, took_s


def main() -> None:
    names = [word for word in sys.argv[1:] if word in STANDS] or list(STANDS)
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()] or NUMBERS
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number in numbers:
        for name in names:
            for way, (cost_us, took_s) in measure(name, number).items():
                load = os.getloadavg()[0]
                print(
                    f"{number} clients {way}, {name}: {cost_us:.0f} µs each, over in {took_s:.1f} s, load {load:.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
