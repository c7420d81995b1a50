"""Who stops reading costs the server at most 2 MiB, is cut, and is whole after coming back.

SLOW_READER_MB says how much is sent to their room meanwhile; 1,000 is much.
"""

import asyncio
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.support.hostile import Attacker, frame
from tests.support.processes import ServerProcess
from tests.support.stage import Caller, demo_server, logged_in
from tests.support.wire import Wire, live_wire

MB = int(os.environ.get("SLOW_READER_MB", "10"))
READERS = 10
MAX_BYTES_EACH = 2 << 20
CONTENT = "字" * 10_000  # 30 KB as UTF-8
BATCH = 10
NUMBER = MB * 1_000_000 // 30_000 // BATCH * BATCH
REPLAYED = 500
WARM_UP = 100


@pytest.fixture
async def server(sqlite_demo: Path, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    copy = shutil.copy(sqlite_demo, tmp_path / "log.db")
    server = demo_server(f"sqlite:///{copy}", tmp_path, env={"LOG_LEVEL": "INFO"})
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


@asynccontextmanager
async def stopped(server: ServerProcess, token: str) -> AsyncIterator[None]:
    """A client that is live, and then reads no more."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=peer)
    writer.write(Attacker(server.port, token, 0).handshake() + frame(f"40{json.dumps({'token': token})}"))
    await reader.readuntil(b'42["summary"')
    writer.transport.pause_reading()
    try:
        yield
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def publish(admin: Caller, server: ServerProcess, neighbour: Wire, number: int) -> int:
    """Send so many to the room, as fast as the neighbour hears them; the most memory that the server had meanwhile."""
    most = memory_bytes(server)
    body = {"notifications": [{"to": ["user:1"], "title": "t", "content": CONTENT}] * BATCH}
    for _ in range(number // BATCH):
        neighbour.packets.clear()
        status, answer = await admin.call("POST", "notifications/batch", body)
        assert status == 200, answer
        await neighbour.wait("notification", BATCH)
        most = max(most, memory_bytes(server))
    return most


def memory_bytes(server: ServerProcess) -> int:
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(3_600)
async def test_who_stops_reading_costs_little_is_cut_and_comes_back_whole(server: ServerProcess):
    async with (
        logged_in(server.url, "admin") as admin,
        logged_in(server.url, "zhangsan") as zhangsan,
        live_wire(server.url, zhangsan.token) as neighbour,
        AsyncExitStack() as readers,
    ):
        session = neighbour.of("session")[0]
        claim = {"epoch": session["epoch"], "position": session["position"]}
        without = await publish(
            admin, server, neighbour, min(NUMBER, WARM_UP)
        )  # what publishing itself takes
        for _ in range(READERS):
            await readers.enter_async_context(stopped(server, zhangsan.token))
        most = await publish(admin, server, neighbour, NUMBER)
        each = (most - without) / READERS
        print(f"{NUMBER * 0.03:.0f} MB to {READERS} readers that stopped: {each / 2**20:+.2f} MiB each")  # noqa: T201
        assert each < MAX_BYTES_EACH
        assert sum("slow_consumer" in line for line in server.lines) == READERS
        published = min(NUMBER, WARM_UP) + NUMBER
        async with live_wire(server.url, zhangsan.token, **claim) as back:
            greeting = back.of("session")[0]
            assert greeting["position"]["user:1"] == claim["position"]["user:1"] + published
            assert greeting["recovered"]["user:1"] is (published <= REPLAYED)
            heard = [notification["offset"] for notification in back.of("notification")]
            assert len(heard) == (published if published <= REPLAYED else 0)
            assert heard == sorted(heard)
        inbox = (await zhangsan.call("GET", "inbox?unread=true&limit=50"))[1]
        assert inbox["position"]["user:1"] == greeting["position"]["user:1"]
        assert len(inbox["items"]) == 50
