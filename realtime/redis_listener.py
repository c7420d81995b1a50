"""The listener: what comes from Redis, on a connection of its own that proves again and again that it is not deaf.

The library's `listen()` can spin for ever on a connection that the kernel gave up, with the whole process frozen. Here
every read ends within a second, and when the server's own beat has not come back for six, the connection is made anew.
"""

import asyncio
import time
from collections.abc import Callable
from itertools import islice

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from realtime.redis_link import keep_linked
from realtime.redis_url import Endpoint

DEAF_S = 6.0
"""How long the server's own beat may fail to come back."""
_READ_S = 1.0
_TURN_S = 0.005
_NAMES = 500


class Listener:
    """Subscribed to the channels that are wanted, whatever happens to the connection.

    `on_message(channel, data)` is called for every message, `on_subscribed(channel)` when Redis has confirmed that
    what is published in it comes here from now on.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        on_message: Callable[[str, bytes], None],
        on_subscribed: Callable[[str], None],
    ) -> None:
        self._endpoint = endpoint
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._wanted: set[str] = set()
        self._changes: dict[str, bool] = {}
        self._changed = asyncio.Event()
        self.confirmed: set[str] = set()
        """Channels that Redis has confirmed on the present connection."""
        self.heard_at = time.monotonic()
        self.connections = 0

    def subscribe(self, channel: str) -> None:
        if channel not in self._wanted:
            self._wanted.add(channel)
            self._change(channel, wanted=True)

    def unsubscribe(self, channel: str) -> None:
        if channel in self._wanted:
            self._wanted.discard(channel)
            self._change(channel, wanted=False)

    def _change(self, channel: str, *, wanted: bool) -> None:
        self._changes[channel] = wanted
        self._changed.set()

    def heard(self) -> None:
        """The server's own beat has come back: the way through Redis is open, both ways."""
        self.heard_at = time.monotonic()

    async def run(self) -> None:
        """Listen, until cancelled."""
        await keep_linked(self._endpoint, self._work, lambda: None, "listener")

    async def _work(self, connection: AbstractConnection) -> None:
        self.connections += 1
        self.confirmed.clear()
        self._changes = dict.fromkeys(self._wanted, True)
        self._changed.set()
        both_ways = [
            asyncio.create_task(self._read(connection)),
            asyncio.create_task(self._subscribe_wanted(connection)),
        ]
        try:
            ended, _ = await asyncio.wait(both_ways, return_when=asyncio.FIRST_COMPLETED)
            await ended.pop()
        finally:
            for task in both_ways:
                task.cancel()
            await asyncio.gather(*both_ways, return_exceptions=True)

    async def _subscribe_wanted(self, connection: AbstractConnection) -> None:
        """Tell Redis what is wanted, many channels at a time."""
        subscribed: set[str] = set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            changes, self._changes = self._changes, {}
            fresh = {channel for channel, wanted in changes.items() if wanted} - subscribed
            stale = {channel for channel, wanted in changes.items() if not wanted} & subscribed
            for command, channels in (("SUBSCRIBE", fresh), ("UNSUBSCRIBE", stale)):
                names = iter(channels)
                while some := tuple(islice(names, _NAMES)):
                    if not connection.is_connected:
                        # The library would connect again by itself, without any of the subscriptions.
                        raise RedisConnectionError("The connection is gone.")
                    await connection.send_command(command, *some, check_health=False)
            subscribed = (subscribed | fresh) - stale

    async def _read(self, connection: AbstractConnection) -> None:
        connected_at = turn = time.monotonic()
        while True:
            asked = time.monotonic()
            reply = await connection.read_response(
                timeout=_READ_S, disconnect_on_error=False, push_request=True
            )
            now = time.monotonic()
            if reply is None:
                if now - asked < _READ_S / 2:
                    # The kernel's own timeout, which the library takes for its own: the connection is dead.
                    raise RedisConnectionError("The connection timed out.")
            else:
                self._take(reply)
            if now - max(self.heard_at, connected_at) > DEAF_S:
                raise RedisConnectionError("Nothing is heard any more.")
            if now - turn > _TURN_S or reply is None:
                await asyncio.sleep(0)
                turn = time.monotonic()

    def _take(self, reply: list[bytes]) -> None:
        kind, name, *rest = reply
        channel = name.decode(errors="replace")
        if kind == b"message":
            self._on_message(channel, rest[0])
        elif kind == b"subscribe":
            self.confirmed.add(channel)
            self._on_subscribed(channel)
        elif kind == b"unsubscribe":
            self.confirmed.discard(channel)
