"""Faults of clients and of the network between them and the servers."""

import asyncio
import json
import os
import signal
import socket
import struct
from pathlib import Path
from random import Random

from clients.python import ClientError, NotificationClient, Publisher, PublishError
from tests.chaos.stage import Stage, until

_CROWD = 100
_VISIT_S = 10.0
_BIG = "x" * 9_000
_BATCH, _BATCHES = 50, 20
"""Nine megabytes in all: more than the buffers of two kernels hold."""
_CUT_WITHIN_S = 20.0
_SOCKETS, _ESTABLISHED = Path("/proc/net/tcp"), "01"
_UPGRADE = """GET /socket.io/?EIO=4&transport=websocket HTTP/1.1
Host: 127.0.0.1
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==

"""


async def client_abort(stage: Stage, chance: Random) -> None:
    """All connections through one door are reset, a few times in a row."""
    door = chance.choice(stage.doors)
    for _ in range(3):
        door.sever()
        await asyncio.sleep(chance.uniform(0.1, 0.6))


async def client_half_open(stage: Stage, chance: Random) -> None:
    """What goes over the connections of one door vanishes from now on, and nobody is told."""
    chance.choice(stage.doors).silence()
    await asyncio.sleep(4)


async def client_black_hole(stage: Stage, chance: Random) -> None:
    """One door swallows everything, new connections too, for up to six seconds."""
    door = chance.choice(stage.doors)
    door.hole()
    await asyncio.sleep(chance.uniform(1, 6))
    door.heal()


async def device_kill(stage: Stage, chance: Random) -> None:
    """A program with many devices is killed, and goes on from its files."""
    program = stage.device_programs[chance.choice(sorted(stage.device_programs))]
    await asyncio.to_thread(program.kill)
    await asyncio.sleep(chance.uniform(0, 1))
    await asyncio.to_thread(program.start)


async def device_freeze(stage: Stage, chance: Random) -> None:
    """A program with many devices stands still for some seconds, as a laptop that sleeps."""
    program = stage.device_programs[chance.choice(sorted(stage.device_programs))]
    os.kill(program.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(chance.uniform(2, 6))
    finally:
        os.kill(program.pid, signal.SIGCONT)


async def crowd(stage: Stage, chance: Random) -> None:
    """A hundred more clients come at once, and are gone as soon as they are in."""
    async with asyncio.TaskGroup() as tasks:
        for _ in range(_CROWD):
            tasks.create_task(_visit(stage, chance.choice(stage.urls), chance.choice(stage.keys)))


async def _visit(stage: Stage, url: str, key: str) -> None:
    client = NotificationClient(url, key, transports=("websocket",), on_summary=lambda _: client.close())
    visiting = asyncio.create_task(client.run())
    await asyncio.wait({visiting}, timeout=_VISIT_S)
    client.close()
    try:
        await visiting
    except ClientError as error:
        stage.journal.write(remark=f"a visitor was sent away: {type(error).__name__}")


async def slow_reader(stage: Stage, chance: Random) -> None:
    """Somebody connects and never reads a byte, while megabytes are sent to them: they must be cut."""
    server = chance.choice(stage.servers)
    try:
        reader = await asyncio.to_thread(_connect_deaf, server.port, stage.reader.key)
    except OSError:
        return  # the server is away
    with reader:
        async with Publisher(server.url, api_key=stage.publisher_key, give_up_after_s=3) as publisher:
            drafts = [{"to": [f"user:{stage.reader.id}"], "title": "big", "content": _BIG}] * _BATCH
            for _ in range(_BATCHES):
                try:
                    await publisher.publish_batch(drafts)
                except PublishError:
                    return
        if not await until(lambda: _is_cut(reader), _CUT_WITHIN_S):
            stage.journal.write(remark="a reader that never reads was not cut")


def _connect_deaf(port: int, key: str) -> socket.socket:
    """A WebSocket that has asked to be let in, and whose window is as small as may be."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(5)
    try:
        connection.connect(("127.0.0.1", port))
        connection.sendall(_UPGRADE.replace("\n", "\r\n").encode())
        connection.recv(64)
        connection.sendall(_masked(f"40{json.dumps({'token': key})}"))
    except OSError:
        connection.close()
        raise
    return connection


def _masked(text: str) -> bytes:
    """A text frame as clients must send it, under a mask of zeros."""
    payload = text.encode()
    return struct.pack("!BBH4x", 0x81, 0x80 | 126, len(payload)) + payload


def _is_cut(connection: socket.socket) -> bool:
    """Whether the server has closed its end. The kernel knows; a reader that never reads is not told."""
    ours, its = (
        f"0100007F:{port:04X}" for port in (connection.getsockname()[1], connection.getpeername()[1])
    )
    rows = (row.split() for row in _SOCKETS.read_text().splitlines()) if _SOCKETS.exists() else ()
    return not any(row[1:4] == [its, ours, _ESTABLISHED] for row in rows)
