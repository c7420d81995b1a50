"""Building the Socket.IO server, and its manager of rooms."""

from collections.abc import Sequence
from typing import Any

import socketio

from realtime.engine import MAX_MESSAGE_BYTES, SocketServer

TRANSPORTS = ("polling", "websocket")


def build_socket_server(
    *,
    cors_origins: Sequence[str] = (),
    transports: Sequence[str] = TRANSPORTS,
    ping_interval_s: float = 30,
    ping_timeout_s: float = 20,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    redis_url: str | None = None,
    strict: bool = True,
    name: str = "",
) -> SocketServer:
    """The bare hardened Socket.IO server, without handlers of ours.

    `cors_origins` are the origins that browsers may come from beside the server's own; never everybody.
    With a `name`, connections have ids that begin with it and a dot, by which a balancer finds this server again.
    """
    options: dict[str, Any] = {}
    if redis_url is not None:
        options["client_manager"] = socketio.AsyncRedisManager(redis_url)
    return SocketServer(
        strict=strict,
        name=name,
        async_mode="aiohttp",
        # None, not []: python-engineio takes an empty list for "do not check at all".
        cors_allowed_origins=list(cors_origins) or None,
        cors_credentials=False,
        transports=list(transports),
        ping_interval=ping_interval_s,
        ping_timeout=ping_timeout_s,
        max_http_buffer_size=max_message_bytes,
        logger=False,
        engineio_logger=False,
        **options,
    )
