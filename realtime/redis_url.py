"""How Redis is reached: the connections that a URL describes, none of which outlives the patience of a notification."""

from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from socketio.redis_manager import parse_redis_sentinel_url

from realtime.redis_link import DEADLINE_S

SENTINEL_SCHEME = "redis+sentinel"
DEFAULT_SERVICE = "mymaster"


def connections_of(url: str, *, verify_tls: bool = True) -> Callable[[], AbstractConnection]:
    """What makes a connection to the Redis of a URL: `redis://`, `rediss://`, `unix://`, or
    `redis+sentinel://user:password@host:port,host:port/db/service`. Raises `ValueError` for another.

    Without `verify_tls`, a certificate is taken whoever signed it.
    """
    options: dict[str, Any] = {
        "protocol": 2,
        "socket_connect_timeout": DEADLINE_S,
        # Every read and write has a deadline where it is made: the library's own would end the wait for messages.
        "socket_timeout": None,
        "health_check_interval": 0,
        "retry": Retry(NoBackoff(), 0),
        # A user of Redis with few rights may not say who it is.
        "driver_info": None,
    }
    if url.startswith(f"{SENTINEL_SCHEME}://"):
        client = _by_sentinel(url, options)
    else:
        if url.startswith("rediss://") and not verify_tls:
            options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
        client = Redis.from_url(url, **options)
    # The pool only knows how to make connections: it may not lend one that others have used.
    make: Callable[[], AbstractConnection] = client.connection_pool.make_connection
    return make


def _by_sentinel(url: str, options: dict[str, Any]) -> Redis:
    sentinels, service, found = parse_redis_sentinel_url(url)
    asking = {
        "socket_connect_timeout": DEADLINE_S / 2,
        "socket_timeout": DEADLINE_S / 2,
        "retry": Retry(NoBackoff(), 0),
    }
    sentinel = Sentinel(sentinels, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    return sentinel.master_for(  # type: ignore[no-any-return]
        service or DEFAULT_SERVICE, **options, **found
    )
