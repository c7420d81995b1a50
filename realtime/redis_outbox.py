"""The outbox: what goes to Redis, in order, by one task, never waited for by whoever publishes.

A circuit breaker keeps a dead Redis out of the way: while it is open, what is published is dropped at once, and other
servers find it in the log.
"""

import asyncio
import time
from collections import deque

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from realtime.redis_link import keep_linked
from realtime.redis_url import DEADLINE_S, Endpoint

MAX_WAITING = 10_000
MAX_WAITING_BYTES = 8 << 20
_BATCH = 500


class Outbox:
    """At most once: what fails or does not fit is dropped and counted, nothing is sent twice."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._waiting_bytes = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._sending = False
        self.is_broken = False
        """The breaker: open from a failure until Redis answers again."""
        self.working_since: float | None = None
        """Since when (`time.monotonic`) Redis has answered without a failure; None while it does not."""
        self.sent = 0
        self.dropped = 0

    def put(self, channel: str, message: bytes) -> None:
        """Publish the message soon, unless Redis is away or too much is waiting."""
        if (
            self.is_broken
            or len(self._waiting) >= MAX_WAITING
            or self._waiting_bytes + len(message) > MAX_WAITING_BYTES
        ):
            self.dropped += 1
            return
        self._waiting.append((channel, message))
        self._waiting_bytes += len(message)
        self._filled.set()
        self._emptied.clear()

    async def wait_empty(self) -> None:
        """Return when everything that was put is sent or dropped."""
        if self._waiting or self._sending:
            await self._emptied.wait()

    async def run(self) -> None:
        """Send what is put, until cancelled."""
        await keep_linked(self._endpoint, self._work, self._break, "outbox")

    async def _work(self, connection: AbstractConnection) -> None:
        await _ask(connection, [("PING",)])
        self.is_broken = False
        self.working_since = time.monotonic()
        while True:
            await self._filled.wait()
            self._sending = True
            taken = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._waiting_bytes -= sum(len(message) for _, message in taken)
            if not self._waiting:
                self._filled.clear()
            try:
                await _ask(connection, [("PUBLISH", channel, message) for channel, message in taken])
            except BaseException:
                self.dropped += len(taken)
                raise
            self.sent += len(taken)
            self._sending = False
            if not self._waiting:
                self._emptied.set()

    def _break(self) -> None:
        self.is_broken = True
        self.working_since = None
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._filled.clear()
        self._sending = False
        self._emptied.set()


async def _ask(connection: AbstractConnection, commands: list[tuple[str | bytes, ...]]) -> None:
    """Send the commands together and take in all answers. Raises what `redis_link.FAULTS` names."""
    async with asyncio.timeout(DEADLINE_S):
        if not connection.is_connected:
            # The library would connect again by itself, behind the back of whoever keeps the link.
            raise RedisConnectionError("The connection is gone.")
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        for _ in commands:
            await connection.read_response()
