"""Publishes over HTTP, one and many a request, beside a request that stores nothing: the floor."""

from typing import Any

from benchmarks.connection import request
from benchmarks.load import KEY, Load
from benchmarks.stands import Stand

CONNECTIONS = 64
BATCH_CONNECTIONS = 8
BATCH = 100

ME = f"http: GET /me, {CONNECTIONS} connections, requests/s"
SINGLE = f"http: one a request, {CONNECTIONS} connections, publishes/s"
KEYED = "http: the same with idempotency keys, publishes/s"
BATCHED = f"http: {BATCH} a request, {BATCH_CONNECTIONS} connections, publishes/s"

GROUPS, UNITS = "notify_log_groups_total", "notify_log_units_total"


def cpu_of(name: str) -> str:
    return f"{name.rpartition(', ')[0]}, server CPU µs each"


def per_flush_of(name: str) -> str:
    return f"{name.rpartition(', ')[0]}, publishes per flush"


def measure(stand: Stand, seconds: float) -> dict[str, float]:
    token = stand.tokens["admin"]
    me = [request("GET", "me", token)] * CONNECTIONS
    batch = {"notifications": [notification(number) for number in range(BATCH)]}
    batches = [request("POST", "notifications/batch", token, batch)] * BATCH_CONNECTIONS
    return {
        **_measure(stand, ME, me, 200, seconds / 2),
        **_measure(stand, SINGLE, _publishes(token, None), 201, seconds),
        **_measure(stand, KEYED, _publishes(token, KEY), 201, seconds),
        **_measure(stand, BATCHED, batches, 200, seconds, each=BATCH),
    }


def saturation(stand: Stand, seconds: float) -> float:
    """Single publishes a second over HTTP, as fast as they go."""
    return _measure(stand, SINGLE, _publishes(stand.tokens["admin"], None), 201, seconds)[SINGLE]


def notification(number: int) -> dict[str, Any]:
    return {
        "to": [f"user:{number + 1}"],
        "type": "task.submitted",
        "title": "A task awaits review",
        "content": "x" * 100,
        "data": {"task_id": number},
        "link": f"/tasks/{number}",
    }


def _publishes(token: str, key: str | None) -> list[bytes]:
    return [
        request("POST", "notifications", token, notification(number), key=key)
        for number in range(CONNECTIONS)
    ]


def _measure(
    stand: Stand, name: str, requests: list[bytes], status: int, seconds: float, *, each: int = 1
) -> dict[str, float]:
    """Load the server, and check that it committed exactly what it accepted."""
    load = Load(
        port=stand.server.port,
        requests=[content.decode() for content in requests],
        expected_status=status,
        seconds=seconds,
    )
    cpu_s, groups, units = stand.server_cpu_s(), stand.counter(GROUPS), stand.counter(UNITS)
    answers = load.run()
    cpu_s = stand.server_cpu_s() - cpu_s
    groups, units = stand.counter(GROUPS) - groups, stand.counter(UNITS) - units
    accepted = answers.number * each
    if units != (0 if name == ME else accepted):
        raise RuntimeError(f"{name}: {accepted} were accepted, {units} committed.")
    values = {name: each * answers.rate, cpu_of(name): cpu_s / accepted * 1e6}
    return values if name == ME else values | {per_flush_of(name): units / groups}
