"""One publication to many WebSocket clients: this server, its peers and the kernel's limit, in turns in one run."""

import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import peers
from benchmarks.peers import LIMIT, NODE, OURS, STOCK, Opener, Target
from benchmarks.results import Results
from benchmarks.swarm import Swarm, opened_swarm
from tests.support.redis_server import RedisServer

SIZES = (100, 1_000, 5_000, 8_000)
QUICK_SIZES = (100, 300)
CASE_SIZE, ROOMS, BURST = 1_000, 50, 4
QUICK_CASE_SIZE, QUICK_ROOMS = 100, 5
SECONDS = 2.0
STOCK_UP_TO = 1_000
"""Beyond, the stock server takes minutes to close its connections."""
STORM_UP_TO = 1_000
"""Beyond, they take minutes to come back."""
SPARE_FILES = 500

OPENERS: Mapping[str, Opener] = {
    OURS: peers.open_ours,
    NODE: peers.open_node,
    STOCK: peers.open_stock,
    LIMIT: peers.open_limit,
}
RATIOS = ((OURS, NODE), (OURS, LIMIT), (STOCK, OURS))
COLUMNS = (*OPENERS, *(f"{above} ÷ {below}" for above, below in RATIOS))
CPU, BURST_CPU = "server CPU µs a delivery", f"the same, {BURST} publications outstanding"
MEMORY, CONNECT, P99 = "memory KB a connection", "connect, server CPU µs each", "p99 ms at half of saturation"

GENERATOR = "generator CPU µs a delivery"

Values = dict[str, float]


def measure(results: Results, sizes: Sequence[int], *, quick: bool) -> None:
    """One round: every size, and at each every server in turn."""
    seconds = SECONDS / 5 if quick else SECONDS
    for size in sizes:
        values = {
            name: _with_server(opener, size, seconds)
            for name, opener in OPENERS.items()
            if name != STOCK or size <= STOCK_UP_TO
        }
        _add(results, f"{size:,} clients", values)
    size, rooms = (QUICK_CASE_SIZE, QUICK_ROOMS) if quick else (CASE_SIZE, ROOMS)
    many = {name: _many_rooms(OPENERS[name], size, rooms, seconds) for name in (OURS, NODE, STOCK)}
    _add(results, f"{size:,} clients in {rooms} rooms", many)
    across = {name: _two_servers(OPENERS[name], size, seconds) for name in (OURS, NODE)}
    _add(results, f"two servers over Redis, {size:,} clients on the other", across)


def allowed(sizes: Sequence[int]) -> tuple[int, ...]:
    """Those numbers of clients for which the machine allows the files."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return tuple(size for size in sizes if size + SPARE_FILES <= hard)


def _add(results: Results, case: str, values: Mapping[str, Values]) -> None:
    for name, measured in values.items():
        results.add(name, {f"{case}: {what}": value for what, value in measured.items()})
    for above, below in RATIOS:
        if above in values and below in values:
            shared = {
                f"{case}: {what}": value / values[below][what]
                for what, value in values[above].items()
                if values[below].get(what) and what != GENERATOR
            }
            results.add(f"{above} ÷ {below}", shared)


def _with_server(opener: Opener, size: int, seconds: float) -> Values:
    with _opened(opener, size) as (target, swarm):
        target.wait_idle()
        cpu_s, resident = target.cpu_s(), target.resident_bytes()
        swarm.connect(target.auths)
        target.wait_idle()
        coming = {
            CONNECT: (target.cpu_s() - cpu_s) / size * 1e6,
            MEMORY: (target.resident_bytes() - resident) / size / 1e3,
        }
        return {
            **_floods(target, swarm, seconds),
            **coming,
            **_going(target, swarm, size),
        }


def _floods(target: Target, swarm: Swarm, seconds: float) -> Values:
    swarm.flood(seconds / 5, 1)  # warm
    single, burst = _flood(target, swarm, seconds, 1), _flood(target, swarm, seconds, BURST)
    saturation = burst["published"] / burst["seconds"]
    paced = swarm.pace(seconds, saturation / 2)
    return {
        CPU: single["server_us"],
        BURST_CPU: burst["server_us"],
        "deliveries/s": burst["delivered"] / burst["seconds"],
        "p50 ms at half of saturation": paced["p50_ms"],
        P99: paced["p99_ms"],
        **({"slowest heartbeat meanwhile, ms": paced["beat_max_ms"]} if paced["beat_max_ms"] >= 0 else {}),
        GENERATOR: single["cpu_s"] / single["delivered"] * 1e6,
    }


def _flood(target: Target, swarm: Swarm, seconds: float, window: int) -> Values:
    cpu_s = target.cpu_s()
    told = dict(swarm.flood(seconds, window))
    return {**told, "server_us": (target.cpu_s() - cpu_s) / told["delivered"] * 1e6}


def _going(target: Target, swarm: Swarm, size: int) -> Values:
    cpu_s = target.cpu_s()
    swarm.vanish()
    target.wait_idle()
    gone = {"disconnect at once, server CPU µs each": (target.cpu_s() - cpu_s) / size * 1e6}
    if target.comeback is None or size > STORM_UP_TO:
        return gone
    auth = target.comeback()
    target.wait_idle()
    cpu_s = target.cpu_s()
    came = swarm.connect([auth], at_once=size)
    target.wait_idle()
    return gone | {
        "all come back with a position, server CPU µs each": (target.cpu_s() - cpu_s) / size * 1e6,
        "all come back with a position, seconds": came["seconds"],
    }


def _many_rooms(opener: Opener, size: int, rooms: int, seconds: float) -> Values:
    with _opened(opener, size, rooms=rooms) as (target, swarm):
        return _came_and_flooded(target, swarm, seconds)


def _two_servers(opener: Opener, size: int, seconds: float) -> Values:
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        RedisServer(Path(folder)) as redis,
        _opened(opener, size, redis_url=redis.url) as (target, swarm),
    ):
        return _came_and_flooded(target, swarm, seconds)


def _came_and_flooded(target: Target, swarm: Swarm, seconds: float) -> Values:
    swarm.connect(target.auths)
    target.wait_idle()
    return _floods(target, swarm, seconds)


@contextmanager
def _opened(
    opener: Opener, size: int, *, rooms: int | None = None, redis_url: str | None = None
) -> Iterator[tuple[Target, Swarm]]:
    options = {"rooms": rooms, "redis_url": redis_url}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        target = opener(
            stack, folder, **{name: value for name, value in options.items() if value is not None}
        )
        yield target, stack.enter_context(opened_swarm(target, size, folder))
