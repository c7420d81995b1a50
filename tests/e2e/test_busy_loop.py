"""A server whose loop has always something to do still gives the database its turn."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.support.processes import ServerProcess
from tests.support.stage import logged_in

CROWD = 16
AT_ONCE = 50
"""So many requests lie at the server from each of the crowd, whenever it looks."""
TURNS = 10
ROWS = 100


@asynccontextmanager
async def crowd(url: str) -> AsyncIterator[None]:
    """Meanwhile many ask, one request behind the other, for what needs no database."""
    port = urlsplit(url).port
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            answer = await reader.readuntil(b"}")
            while True:
                writer.write(request * AT_ONCE)
                answers = await reader.readexactly(len(answer) * AT_ONCE)
                assert answers.count(b"HTTP/1.1 200 ") == AT_ONCE
        finally:
            writer.close()

    asking = [asyncio.create_task(ask()) for _ in range(CROWD)]
    try:
        yield
        assert not any(task.done() for task in asking)
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def taken(act: Callable[[], Awaitable[object]]) -> float:
    """How long it took, in seconds."""
    began = time.monotonic()
    await act()
    return time.monotonic() - began


async def test_who_reads_waits_little_longer_than_who_needs_no_database(sqlite_server: ServerProcess):
    async with logged_in(sqlite_server.url, "admin") as admin:
        many = [{"to": ["user:4"], "title": f"number {number}"} for number in range(ROWS)]
        assert (await admin.call("POST", "notifications/batch", {"notifications": many}))[0] == 200

        async def look() -> None:
            async with admin.http.get(f"{sqlite_server.url}/healthz") as answer:
                assert answer.status == 200

        async def read() -> None:
            status, page = await admin.call("GET", f"inbox?limit={ROWS}")
            assert (status, len(page["items"])) == (200, ROWS)

        async with crowd(sqlite_server.url):
            pairs = [(await taken(look), await taken(read)) for _ in range(TURNS)]
    looked, been_read = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert been_read < 60 * looked, (looked, been_read)
