"""Many connections at once: each is heard in its turn, whole and in order."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from server import runner

CONNECTIONS = 60
DEADLINE_S = 10


async def _echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[runner.Runner, int]]:
    """A server that hears two connections a turn."""
    monkeypatch.setattr(runner, "_A_TURN", 2)
    application = web.Application()
    application.add_routes([web.post("/", _echo)])
    found = runner.Runner(application, shutdown_timeout=1)
    await found.setup()
    site = web.TCPSite(found, "127.0.0.1", 0)
    await site.start()
    yield found, site._server.sockets[0].getsockname()[1]
    await found.cleanup()


async def _talk(port: int, number: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for turn in range(3):
        body = f"{number} {turn} ".encode() * 5_000
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 8_000):
            writer.write(body[start : start + 8_000])
            await writer.drain()
            await asyncio.sleep(0)
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(body)) == body
    writer.close()
    await writer.wait_closed()


async def test_all_are_heard_whole_and_in_order(served: tuple[runner.Runner, int]):
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*(_talk(served[1], number) for number in range(CONNECTIONS)))


async def test_all_that_go_at_once_are_forgotten(served: tuple[runner.Runner, int]):
    found, port = served
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(CONNECTIONS)]
    server = found._server
    async with asyncio.timeout(DEADLINE_S):
        while len(server.connections) < CONNECTIONS:
            await asyncio.sleep(0)
        for writer in writers:
            writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345")
            writer.transport.abort()
        while server.connections:
            await asyncio.sleep(0)
