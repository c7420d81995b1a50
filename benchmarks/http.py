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


def cpu_of(name: str) -> str:
    return f"{name.rpartition(', ')[0]}, server CPU µs each"


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
    load = Load(
        port=stand.server.port,
        requests=[content.decode() for content in requests],
        expected_status=status,
        seconds=seconds,
    )
    before = stand.server_cpu_s()
    rate = each * load.run()
    cpu_s = stand.server_cpu_s() - before
    return {name: rate, cpu_of(name): cpu_s / (rate * seconds) * 1e6}
