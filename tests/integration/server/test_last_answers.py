"""While a server stops, each answer sends whoever asks again to another server."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web

from server.stopping import last_answers


class Stopped:
    """A small application behind the middleware, which can be told that it is stopping."""

    stopping = False
    url = ""


@pytest.fixture
async def stopped() -> AsyncIterator[Stopped]:
    state = Stopped()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="an answer")

    async def stop_meanwhile(_: web.Request) -> web.Response:
        state.stopping = True
        return web.Response(text="an answer")

    application = web.Application(middlewares=[last_answers(lambda: state.stopping)])
    application.add_routes(
        [web.get("/socket.io/", answer), web.get("/other", answer), web.get("/slow", stop_meanwhile)]
    )
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    state.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield state
    await runner.cleanup()


async def get(url: str) -> tuple[int, str | None]:
    async with ClientSession() as http, http.get(url) as response:
        return response.status, response.headers.get("Connection")


async def test_before_it_stops_connections_are_kept(stopped: Stopped):
    for path in ("/other", "/socket.io/"):
        assert await get(f"{stopped.url}{path}") == (200, None)


async def test_a_request_under_way_is_answered_and_its_connection_closed(stopped: Stopped):
    assert await get(f"{stopped.url}/slow") == (200, "close")


async def test_requests_are_still_answered_each_the_last_of_its_connection(stopped: Stopped):
    stopped.stopping = True
    for path in ("/other", "/socket.io/?sid=known"):
        assert await get(f"{stopped.url}{path}") == (200, "close")


async def test_no_connection_to_socketio_begins(stopped: Stopped):
    stopped.stopping = True
    async with ClientSession() as http, http.get(f"{stopped.url}/socket.io/?EIO=4") as response:
        assert (response.status, response.headers["Retry-After"], response.headers["Connection"]) == (
            503,
            "1",
            "close",
        )
        assert (await response.json())["error"]["code"] == "stopping"
