"""Peers that send as fast as they can: others have their turn meanwhile, and who sends too much is cut."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMsgType

from realtime import intake
from tests.support.bare import DEADLINE_S, Served, accept, closed, nothing_left, receive, serving

PONG, PING_OF_WEBSOCKETS = b"\x81\x81\0\0\0\x003", b"\x89\x80\0\0\0\0"
EVENT = '42["n"]'
EVENT_FRAME = b"\x81\x87\0\0\0\0" + EVENT.encode()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as found:
        found.server.on("connect", accept)
        yield found


def write(socket: ClientWebSocketResponse, frames: bytes) -> None:
    socket._writer.transport.write(frames)


@contextmanager
def most_in_a_turn(heard: list[None]) -> Iterator[list[int]]:
    """How many were heard in each turn of the loop."""
    turns: list[int] = []

    async def watch() -> None:
        while True:
            before = len(heard)
            await asyncio.sleep(0)
            turns.append(len(heard) - before)

    watching = asyncio.create_task(watch())
    try:
        yield turns
    finally:
        watching.cancel()


@pytest.mark.parametrize("by", ["websocket", "polling"])
async def test_others_have_their_turn_while_one_brings_much(served: Served, by: str):
    heard: list[None] = []
    whole = asyncio.Event()

    def hear(_sid: str) -> None:
        heard.append(None)
        if len(heard) == 400:
            whole.set()

    served.server.on("n", hear)
    async with served.socket() as socket:
        with most_in_a_turn(heard) as turns:
            if by == "websocket":
                await socket.send_str("40")
                await receive(socket)
                write(socket, EVENT_FRAME * 400)
            else:
                client = await served.polling()
                await client.connect()
                assert await client.post("\x1e".join([EVENT] * 400)) == (200, "ok")
            await asyncio.wait_for(whole.wait(), DEADLINE_S)
            await asyncio.sleep(0)
    assert sum(turns) == 400
    assert max(turns) <= intake.A_TURN


@pytest.mark.parametrize("frame", [PONG, PING_OF_WEBSOCKETS])
async def test_a_flood_is_cut_with_a_code(served: Served, frame: bytes, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    async with served.socket() as socket:
        write(socket, frame * 2 * intake.BURST)
        await closed(socket)
        assert socket.close_code == WSCloseCode.POLICY_VIOLATION
    await nothing_left(served)
    assert [record.message for record in caplog.records].count("a client sends too much") == 1


async def test_a_flood_by_polling_ends_the_session(served: Served):
    client = await served.polling()
    assert (await client.post("\x1e".join("3" * 2 * intake.BURST)))[0] == 429
    assert (await client.get())[0] == 400
    await nothing_left(served)


async def test_a_flood_instead_of_an_upgrade_leaves_polling_as_it_was(served: Served):
    client = await served.polling()
    await client.connect()
    async with client.upgrade() as socket:
        write(socket, PING_OF_WEBSOCKETS * 2 * intake.BURST)
        await closed(socket)
    assert await client.post(EVENT) == (200, "ok")


async def test_who_sends_steadily_may_go_on(served: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intake, "BURST", 20)
    monkeypatch.setattr(intake, "RATE_PER_S", 1_000_000)
    heard = asyncio.Queue[None]()
    served.server.on("n", lambda _sid: heard.put_nowait(None))
    async with served.socket() as socket:
        await socket.send_str("40")
        await receive(socket)
        for _ in range(200):
            await socket.send_str(EVENT)
            await asyncio.wait_for(heard.get(), DEADLINE_S)


async def test_a_ping_of_websockets_is_answered(served: Served):
    async with served.http.ws_connect(f"{served.url}?EIO=4&transport=websocket", autoping=False) as socket:
        await receive(socket)
        await socket.ping(b"here?")
        answer = await asyncio.wait_for(socket.receive(), DEADLINE_S)
        assert (answer.type, bytes(answer.data)) == (WSMsgType.PONG, b"here?")
