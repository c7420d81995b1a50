"""A link to Redis: one connection, made anew whenever it breaks, by work that runs as long as it holds."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from realtime.redis_url import Endpoint

RETRY_S = 0.5

FAULTS = (RedisError, OSError, TimeoutError)
"""What working with a connection raises when Redis, or the way to it, is at fault."""

_logger = logging.getLogger(__name__)


async def keep_linked(
    endpoint: Endpoint,
    work: Callable[[AbstractConnection], Awaitable[None]],
    broken: Callable[[], None],
    name: str,
) -> None:
    """Connect and work, again and again, at most half a second apart: nobody is deaf longer than Redis is gone.

    `broken` is called whenever a connection could not be had or kept.
    """
    told = False
    while True:
        connection = endpoint.connection()
        try:
            async with asyncio.timeout(endpoint.patience_s):
                await connection.connect()  # type: ignore[no-untyped-call]
            if told:
                _logger.info("✅ [Redis] %s: 已恢复", name)
                told = False
            await work(connection)
        except FAULTS as fault:
            broken()
            if not told:
                _logger.warning("❌ [Redis] %s: 不可用: %s", name, type(fault).__name__)
                _logger.debug("redis fault", exc_info=fault)
                told = True
        except Exception:
            # The edge of a supervised loop: a message that nobody expected must not make this server deaf for ever.
            _logger.exception("❌ [Redis] %s: 意外错误", name)
            broken()
        finally:
            with suppress(*FAULTS):
                await connection.disconnect(nowait=True)
        await asyncio.sleep(RETRY_S * random.uniform(0.8, 1))  # noqa: S311 - no secret
