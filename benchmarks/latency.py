"""From the POST to the socket: how long a notification is on its way to a listener, by one process's clock."""

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from aiohttp import ClientSession, ClientWebSocketResponse

from benchmarks import http
from benchmarks.connection import Connection, request
from benchmarks.stands import Stand

LISTENER_ROOM = "user:1"
STEADY_RATE = 100
STEADY = f"latency: {STEADY_RATE}/s"
QUARTER = "latency: a quarter of the saturation"
_CONNECTIONS = 32


def measure(stand: Stand, seconds: float) -> dict[str, float]:
    quarter = http.saturation(stand, seconds / 4) / 4
    return {
        **uvloop.run(_measure(stand, STEADY, STEADY_RATE, seconds)),
        **uvloop.run(_measure(stand, QUARTER, quarter, seconds)),
        f"{QUARTER}, publishes/s": quarter,
    }


async def _measure(stand: Stand, name: str, rate: float, seconds: float) -> dict[str, float]:
    token = stand.tokens["admin"]
    sent: dict[str, float] = {}
    taken_ms: list[float] = []
    async with _listening(stand) as socket:
        arrivals = asyncio.create_task(_arrive(socket, sent, taken_ms, int(rate * seconds)))
        await _publish_steadily(stand.server.port, token, sent, rate, int(rate * seconds))
        async with asyncio.timeout(10):
            await arrivals
    percentiles = statistics.quantiles(taken_ms, n=100)
    return {f"{name}, p50 ms": percentiles[49], f"{name}, p99 ms": percentiles[98]}


@asynccontextmanager
async def _listening(stand: Stand) -> AsyncIterator[ClientWebSocketResponse]:
    """A WebSocket that is live: what it is sent from now on is published from now on."""
    address = f"{stand.server.url}/socket.io/?EIO=4&transport=websocket"
    async with ClientSession() as session, session.ws_connect(address) as socket:
        await socket.receive_str()
        await socket.send_str(f"40{json.dumps({'token': stand.tokens['zhangsan']})}")
        while not (await socket.receive_str(timeout=10)).startswith('42["summary"'):
            pass
        yield socket


async def _arrive(
    socket: ClientWebSocketResponse, sent: dict[str, float], taken_ms: list[float], number: int
) -> None:
    """Note how long each notification took, until that many have come, each once and in the order of offsets."""
    last = 0
    while len(taken_ms) < number:
        frame = await socket.receive_str()
        now = time.monotonic()
        if frame == "2":
            await socket.send_str("3")
        elif frame.startswith('42["notification"'):
            publication = json.loads(frame[2:])[1]
            if last and publication["offset"] != last + 1:
                raise RuntimeError(f"Offset {publication['offset']} came after {last}.")
            last = publication["offset"]
            taken_ms.append((now - sent.pop(publication["title"])) * 1e3)


async def _publish_steadily(port: int, token: str, sent: dict[str, float], rate: float, number: int) -> None:
    """Publish at the rate, whether answers come in time or not; `sent` says when each went out."""
    idle = [await Connection.open(port) for _ in range(_CONNECTIONS)]
    connections = itertools.cycle(idle)
    free = {connection: asyncio.Lock() for connection in idle}

    async def publish(connection: Connection, title: str) -> None:
        body = {"to": [LISTENER_ROOM], "title": title}
        content = request("POST", "notifications", token, body)
        sent[title] = time.monotonic()  # when it is due: waiting for a connection counts
        async with free[connection]:
            if (status := await connection.send(content)) != 201:
                raise RuntimeError(f"A publish was answered {status}.")

    started = time.monotonic()
    async with asyncio.TaskGroup() as publishes:
        for count in range(number):
            await asyncio.sleep(max(0.0, started + count / rate - time.monotonic()))
            publishes.create_task(publish(next(connections), f"number {count}"))
    for connection in idle:
        connection.close()
