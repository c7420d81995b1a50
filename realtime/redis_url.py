"""How Redis is reached: the connections that a URL describes, none of which outlives the patience of a notification."""

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from socketio.redis_manager import parse_redis_sentinel_url

DEADLINE_S = 1.0
"""How long anything asked of Redis may take."""
SENTINEL_SCHEME = "redis+sentinel"
DEFAULT_SERVICE = "mymaster"


class Endpoint:
    """The Redis of a URL: `redis://`, `rediss://`, `unix://`, or
    `redis+sentinel://user:password@host:port,host:port/db/service`. Raises `ValueError` for another.

    Without `verify_tls`, a certificate is taken whoever signed it.
    """

    def __init__(self, url: str, *, verify_tls: bool = True) -> None:
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
        self._sentinels: list[Redis] = []
        if url.startswith(f"{SENTINEL_SCHEME}://"):
            self._client = self._by_sentinel(url, options)
        else:
            if url.startswith("rediss://") and not verify_tls:
                options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
            self._client = Redis.from_url(url, **options)

    @property
    def patience_s(self) -> float:
        """How long a connection may take to be made: each sentinel that does not answer costs half a second."""
        return DEADLINE_S if not self._sentinels else DEADLINE_S / 2 * (len(self._sentinels) + 1)

    def connection(self) -> AbstractConnection:
        """One that is not connected yet. The pool only knows how to make it, and does not lend it to others."""
        made: AbstractConnection = self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        return made

    async def close(self) -> None:
        for sentinel in self._sentinels:
            await sentinel.aclose()

    def _by_sentinel(self, url: str, options: dict[str, Any]) -> Redis:
        sentinels, service, found = parse_redis_sentinel_url(url)
        asking = {
            "socket_connect_timeout": DEADLINE_S / 2,
            "socket_timeout": DEADLINE_S / 2,
            "retry": Retry(NoBackoff(), 0),
        }
        sentinel = Sentinel(sentinels, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
        self._sentinels = sentinel.sentinels
        client: Redis = sentinel.master_for(service or DEFAULT_SERVICE, **options, **found)
        return client
