"""The manager of rooms, and building the Socket.IO server around it.

Between servers there is one channel a room. A server subscribes to it with the first member it has there, and
unsubscribes some time after the last: it pays for nobody else's traffic.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import socketio

from realtime.background import Background
from realtime.engine import MAX_MESSAGE_BYTES, SocketServer
from realtime.redis_listener import DEAF_S, Listener
from realtime.redis_outbox import Outbox
from realtime.redis_url import DEADLINE_S, Endpoint
from realtime.rooms import RoomIndex
from realtime.seal import (
    MAX_SEALED_BYTES,
    SERVERS,
    SERVERS_CHANNEL,
    Forged,
    Message,
    Seal,
    channel_of,
    room_of,
)

TRANSPORTS = ("polling", "websocket")
LINGER_S = 10.0
MAX_BODY_BYTES = 8 << 10
"""A larger posting does not go through Redis: the others are told to read it from the log."""

_logger = logging.getLogger(__name__)


class LocalManager(RoomIndex, socketio.AsyncManager):  # type: ignore[misc]
    """The rooms of one process."""


class RedisManager(RoomIndex, socketio.AsyncRedisManager):  # type: ignore[misc]
    """Rooms whose members may be on several servers, which tell each other by Redis.

    Clients enter and leave rooms on their own server only, and nothing is done to one because Redis says so: what
    comes from there is either sealed by one of our servers, or, with `open_publish`, shown to `on_open_publish(room,
    data)`, which says whether it took it; or dropped and counted.

    `on_message` gets what servers sealed, this one included; `on_followed(room)` is called when what is published in a
    room comes here from now on.
    """

    name = "notify"

    def __init__(self, url: str, seal: Seal, *, verify_tls: bool = True, open_publish: bool = False) -> None:
        super().__init__(url)
        self._endpoint = Endpoint(url, verify_tls=verify_tls)
        self._seal = seal
        self._open_publish = open_publish
        self._background = Background()
        self._lingering: dict[str, asyncio.TimerHandle] = {}
        self._started = False
        self.outbox = Outbox(self._endpoint)
        self.listener = Listener(self._endpoint, self._take, self._subscribed)
        self.on_message: Callable[[Message], None] = self._emit_here
        self.on_followed: Callable[[str], None] = lambda _: None
        self.on_open_publish: Callable[[str, bytes], bool] = lambda *_: False
        self.forged = 0

    def initialize(self) -> None:
        """Called by the library at the first client; `start` may have been before."""
        self.start()

    def start(self) -> None:
        """Begin to talk and listen. Redis need not be there."""
        if not self._started:
            self._started = True
            self.listener.subscribe(SERVERS_CHANNEL)
            self._background.start(self.outbox.run(), "redis outbox")
            self._background.start(self.listener.run(), "redis listener")

    async def close(self) -> None:
        """Stop, when what was told is sent or it is clear that it will not be, and close the connections."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE_S if self._started else 0):
                await self.outbox.wait_empty()
        for timer in self._lingering.values():
            timer.cancel()
        await self._background.close()
        await self._endpoint.close()

    @property
    def state(self) -> str:
        """`ok`; `unreachable` when Redis does not answer; `deaf` when it does, and still nothing is heard."""
        since = self.outbox.working_since
        if since is None:
            return "unreachable"
        silence_s = time.monotonic() - max(since, self.listener.heard_at)
        return "deaf" if silence_s > DEAF_S + 1 else "ok"

    def tell(self, message: Message) -> None:
        """Tell the other servers, if Redis lets us; never waited for."""
        if message.offset is not None and message.body is not None and len(message.body) > MAX_BODY_BYTES:
            message = replace(message, body=None)
        self.outbox.put(channel_of(message.room), self._seal.close(message))

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str | None = None,
        room: str | None = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: str | None = None,
        **_: Any,
    ) -> None:
        """Emit to a client of this server, or to the members of a room on every server."""
        room, namespace = to or room, namespace or "/"
        await socketio.AsyncManager.emit(self, event, data, namespace, room, skip_sid, callback)
        if isinstance(room, str) and namespace == "/" and not self.is_sid_room(namespace, room):
            payload = data if isinstance(data, tuple) else () if data is None else (data,)
            self.tell(Message(self.host_id, room, None, 0, orjson.dumps((event, *payload))))

    can_disconnect = socketio.AsyncManager.can_disconnect
    disconnect = socketio.AsyncManager.disconnect
    enter_room = socketio.AsyncManager.enter_room
    leave_room = socketio.AsyncManager.leave_room
    close_room = socketio.AsyncManager.close_room

    def basic_enter_room(
        self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None
    ) -> None:
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        if room not in (None, sid) and namespace == "/":
            if (timer := self._lingering.pop(room, None)) is not None:
                timer.cancel()
            self.listener.subscribe(channel_of(room))

    def basic_leave_room(self, sid: str, namespace: str, room: str | None) -> None:
        super().basic_leave_room(sid, namespace, room)
        if room in (None, sid) or namespace != "/" or room in self.rooms.get(namespace, ()):
            return
        if room not in self._lingering:
            loop = asyncio.get_running_loop()
            self._lingering[room] = loop.call_later(LINGER_S, self._unfollow, room)

    def _unfollow(self, room: str) -> None:
        del self._lingering[room]
        self.listener.unsubscribe(channel_of(room))

    def _subscribed(self, channel: str) -> None:
        if channel != SERVERS_CHANNEL:
            self.on_followed(room_of(channel))

    def _take(self, channel: str, data: bytes) -> None:
        room = room_of(channel)
        try:
            if not self._is_taken(room, data):
                self.forged += 1
        except Exception:
            # The edge: one message that cannot be worked on must not cost those behind it.
            _logger.exception("❌ [Redis] 消息处理失败")

    def _is_taken(self, room: str, data: bytes) -> bool:
        if len(data) > MAX_SEALED_BYTES:
            return False
        try:
            message = self._seal.open(room, data)
        except Forged:
            return self._open_publish and room != SERVERS and self.on_open_publish(room, data)
        self.on_message(message)
        return True

    def _emit_here(self, message: Message) -> None:
        """What another server emitted to a room, for the clients that are in it here."""
        if message.origin == self.host_id or message.body is None:
            return
        event, *payload = orjson.loads(message.body)
        emitting = socketio.AsyncManager.emit(self, event, tuple(payload), "/", message.room)
        self._background.start(emitting, "emit")


def build_socket_server(  # noqa: PLR0913 - the options of a builder
    *,
    cors_origins: Sequence[str] = (),
    transports: Sequence[str] = TRANSPORTS,
    ping_interval_s: float = 30,
    ping_timeout_s: float = 20,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    max_attachment_bytes: int = 0,
    manager: RedisManager | None = None,
    strict: bool = True,
    name: str = "",
) -> SocketServer:
    """The bare hardened Socket.IO server, without handlers of ours.

    `cors_origins` are the origins that browsers may come from beside the server's own; never everybody.
    With a `name`, connections have ids that begin with it and a dot, by which a balancer finds this server again.
    """
    return SocketServer(
        strict=strict,
        name=name,
        max_attachment_bytes=max_attachment_bytes,
        async_mode="aiohttp",
        # None, not []: python-engineio takes an empty list for "do not check at all".
        cors_allowed_origins=list(cors_origins) or None,
        cors_credentials=False,
        transports=list(transports),
        ping_interval=ping_interval_s,
        ping_timeout=ping_timeout_s,
        max_http_buffer_size=max_message_bytes,
        client_manager=LocalManager() if manager is None else manager,
        logger=False,
        engineio_logger=False,
    )
