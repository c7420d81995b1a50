"""`python -m benchmarks.strangers`: what a server pays for messages of rooms in which it has nobody.

Windows of the same length, in turns: in one of each pair 20,000 messages for other rooms go through Redis. The
difference of the server's processor time is what they cost it.
"""

import asyncio
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from redis.asyncio import Redis

from benchmarks.probe import cpu_s
from realtime.seal import Message, Seal
from tests.support.processes import SECRET_KEY
from tests.support.redis_server import RedisServer
from tests.support.stage import demo_server, load_demo, logged_in
from tests.support.wire import live_wire

MESSAGES = 20_000
WINDOW_S = 4.0
ROUNDS = 5
_BATCH = 500


async def _publish(redis: Redis) -> None:
    body = b'["notification",{"title":"%s"}]' % (b"x" * 200)
    seal = Seal(SECRET_KEY)
    for start in range(0, MESSAGES, _BATCH):
        pipeline = redis.pipeline(transaction=False)
        for number in range(start, start + _BATCH):
            room = f"user:other{number}"
            pipeline.publish(f"notify:{room}", seal.close(Message("e", room, number, 0, body)))
        await pipeline.execute()


async def measure() -> list[float]:
    """Microseconds of the server's time for each message, one value a round."""
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'log.db'}"
        await asyncio.to_thread(load_demo, url)
        with RedisServer(folder) as redis, demo_server(url, folder, redis_url=redis.url) as server:
            async with (
                logged_in(server.url, "zhangsan") as zhangsan,
                live_wire(server.url, zhangsan.token),
                Redis.from_url(redis.url) as publisher,
            ):
                costs = []
                for _ in range(ROUNDS):
                    used = []
                    for messages in (0, MESSAGES):
                        before, window = cpu_s(server.pid), asyncio.create_task(asyncio.sleep(WINDOW_S))
                        if messages:
                            await _publish(publisher)
                        await window
                        used.append(cpu_s(server.pid) - before)
                    costs.append((used[1] - used[0]) / MESSAGES * 1e6)
                return costs


def main() -> None:
    costs = asyncio.run(measure())
    told = ", ".join(f"{cost:.3f}" for cost in costs)
    sys.stdout.write(f"µs a message for other rooms: median {statistics.median(costs):.3f} ({told})\n")


if __name__ == "__main__":
    main()
