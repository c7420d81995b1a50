"""A port that is closed answers everybody whom the kernel has connected by then."""

import asyncio
import errno
import select
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from server import port as ports
from server.port import ARRIVING_S, Port
from server.runner import Runner

REQUEST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="heard")

    application = web.Application()
    application.add_routes([web.post("/", answer)])
    runner = Runner(application, shutdown_timeout=1)
    await runner.setup()
    yield runner
    await runner.cleanup()


def connect(runner: Runner) -> socket.socket:
    """Connected by the kernel alone: the loop does not run meanwhile, and takes nobody."""
    return socket.create_connection(runner.addresses[0], timeout=10)


async def first_line(connection: socket.socket) -> bytes:
    return (await asyncio.to_thread(connection.recv, 4096)).partition(b"\r\n")[0]


async def test_whoever_was_connected_is_answered_though_the_program_had_not_taken_them(runner: Runner):
    port = Port(runner, "127.0.0.1", 0)
    await port.open()
    connections = [connect(runner) for _ in range(50)]
    for connection in connections:
        connection.sendall(REQUEST)
    address = runner.addresses[0]
    await port.close()
    for connection in connections:
        assert await first_line(connection) == b"HTTP/1.1 200 OK"
        connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=10)


async def test_whoever_was_connected_has_a_moment_to_send_their_request(runner: Runner):
    port = Port(runner, "127.0.0.1", 0)
    await port.open()
    connection = connect(runner)
    asyncio.get_running_loop().call_later(ARRIVING_S / 3, connection.sendall, REQUEST)
    await port.close()
    await runner.cleanup()
    assert await first_line(connection) == b"HTTP/1.1 200 OK"
    connection.close()


async def test_nobody_is_connected_who_would_not_be_taken(runner: Runner, monkeypatch: pytest.MonkeyPatch):
    """Between the last look at who is there and the end of the port, which are two steps."""
    late = socket.socket()
    late.setblocking(False)
    address = ("127.0.0.1", 0)
    look = ports._next

    def look_a_moment_too_early(listening: socket.socket) -> socket.socket | None:
        connection = look(listening)
        if connection is None:
            late.connect_ex(address)
        return connection

    monkeypatch.setattr(ports, "_next", look_a_moment_too_early)
    port = Port(runner, "127.0.0.1", 0)
    await port.open()
    address = runner.addresses[0]
    await port.close()
    with late:
        await asyncio.to_thread(select.select, [], [late], [], 10)
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
