"""Bodies that do not come."""

import asyncio

import pytest
from aiohttp import web

from api import parsing
from api.middleware import refusals


async def test_a_body_that_does_not_come_whole_in_time_is_refused_and_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(parsing, "BODY_S", 0.1)

    async def read(request: web.Request) -> web.Response:
        return web.Response(body=await parsing.read_body(request))

    application = web.Application(middlewares=[refusals])
    application.router.add_post("/", read)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        reader, writer = await asyncio.open_connection(*site._server.sockets[0].getsockname())
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
    finally:
        await runner.cleanup()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"did not arrive whole" in answer
