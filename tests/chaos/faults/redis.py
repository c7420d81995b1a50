"""Faults of Redis and of the way to it. Redis may lose, double, delay or forge anything: only latency may change."""

import asyncio
import json
from random import Random

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.chaos.stage import Stage

_GARBAGE = ("5", "null", "[]", "{", '"text"', '{"v": 1}', "x" * (1 << 20))


async def redis_kill(stage: Stage, chance: Random) -> None:
    """Redis is killed, and comes back empty two seconds later."""
    del chance
    await _away(stage, 2)


async def redis_away(stage: Stage, chance: Random) -> None:
    """Redis is not there for up to twelve seconds."""
    await _away(stage, chance.uniform(6, 12))


async def _away(stage: Stage, seconds: float) -> None:
    await asyncio.to_thread(stage.redis.kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(stage.redis.start)


async def redis_cuts_clients(stage: Stage, chance: Random) -> None:
    """Redis closes the connections of its subscribers, or of everybody else."""
    await _command(stage, "CLIENT", "KILL", "TYPE", chance.choice(("pubsub", "normal")))


async def redis_pause(stage: Stage, chance: Random) -> None:
    """Redis answers nobody for three seconds."""
    del chance
    await _command(stage, "CLIENT", "PAUSE", "3000", "ALL")
    await asyncio.sleep(3)


async def redis_sleep(stage: Stage, chance: Random) -> None:
    """Redis hangs in a command for up to seven seconds."""
    await _command(stage, "DEBUG", "SLEEP", str(chance.choice((2, 7))))


async def redis_freeze(stage: Stage, chance: Random) -> None:
    """Redis stands still with every connection open: up to eight seconds."""
    stage.redis.freeze()
    try:
        await asyncio.sleep(chance.uniform(2, 8))
    finally:
        stage.redis.thaw()


async def redis_cut(stage: Stage, chance: Random) -> None:
    """The network between the servers and Redis is down for up to twelve seconds, and no packet says so."""
    await _cut(stage, chance.uniform(4, 12))


async def redis_cut_long(stage: Stage, chance: Random) -> None:
    """The same for 75 seconds: until the kernel gives the connections up, and longer."""
    del chance
    await _cut(stage, 75)


async def _cut(stage: Stage, seconds: float) -> None:
    stage.redis.cut()
    try:
        await asyncio.sleep(seconds)
    finally:
        stage.redis.join()


async def redis_black_hole(stage: Stage, chance: Random) -> None:
    """What one server says to Redis vanishes, and nothing comes back: up to ten seconds."""
    link = chance.choice(stage.links)
    link.hole()
    await asyncio.sleep(chance.uniform(3, 10))
    link.heal()


async def redis_half_open(stage: Stage, chance: Random) -> None:
    """What goes over one server's present connections to Redis vanishes from now on; it can make new ones."""
    chance.choice(stage.links).silence()
    await asyncio.sleep(2)


async def redis_replies_lost(stage: Stage, chance: Random) -> None:
    """Redis does what one server asks, and the connection is gone before it can say so."""
    link = chance.choice(stage.links)
    link.drop_replies()
    await asyncio.sleep(chance.uniform(1, 3))
    link.heal()


async def redis_forged(stage: Stage, chance: Random) -> None:
    """Somebody who can reach Redis publishes garbage and forgeries on the channels of the rooms."""
    async with _client(stage) as client:
        try:
            for number in range(200):
                room = chance.choice(("global", "role:annotator", "role:reviewer", "project:chaos-1"))
                await client.publish(f"notify:{room}", chance.choice((*_GARBAGE, _forgery(room, number))))
                await client.publish("socketio", json.dumps({"method": "emit", "event": "notification"}))
        except RedisError:
            return


def _forgery(room: str, number: int) -> str:
    """In the form of a publication, from an offset that comes next to one that never will."""
    body = {"id": "01FORGED", "room": room, "offset": number, "type": "x", "title": "forged"}
    return json.dumps(
        {"v": 1, "e": "e1", "r": room, "o": 10**9 * (number % 2) + number, "m": 0, "b": body, "s": "x"}
    )


async def _command(stage: Stage, *words: str) -> None:
    async with _client(stage) as client:
        try:
            await client.execute_command(*words)
        except RedisError:
            return  # it closed our connection with the others


def _client(stage: Stage) -> Redis:
    return Redis.from_url(stage.redis.url, socket_timeout=10, single_connection_client=True)
