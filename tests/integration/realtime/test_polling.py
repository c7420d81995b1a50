"""Polling loses nothing: whatever breaks off, what was sent arrives once and in order."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from realtime import connection, polling
from realtime.engine import EventPacket
from tests.support.bare import DEADLINE_S, PollingClient, Served, accept, nothing_left, receive, serving

MEGABYTE = "x" * (1 << 20)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as found:
        found.server.on("connect", accept)
        yield found


@pytest.fixture
async def client(served: Served) -> PollingClient:
    client = await served.polling()
    await client.connect()
    return client


def send(client: PollingClient, *numbers: int) -> None:
    outgoing = client.served.server.outgoing(client.sid)
    for number in numbers:
        outgoing.put_nowait(EventPacket.of("n", number))


def sent(*numbers: int) -> list[str]:
    return [f'42["n",{number}]' for number in numbers]


@asynccontextmanager
async def connected(
    client: PollingClient,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection of its own, that is aborted at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.served.port, limit=1 << 20)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def raw_poll(client: PollingClient) -> AsyncIterator[asyncio.StreamWriter]:
    """A poll that the server has in its hands, on a connection of its own."""
    async with connected(client) as (_, writer):
        writer.write(_head(client, "GET"))
        await client.is_waiting()
        yield writer


def _head(client: PollingClient, method: str, *headers: str, stamp: str | None = None) -> bytes:
    path = f"/socket.io/?EIO=4&transport=polling&sid={client.sid}" + (f"&t={stamp}" if stamp else "")
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


@pytest.mark.parametrize("end", ["abort", "close"])
async def test_a_poll_that_broke_off_takes_nothing(client: PollingClient, end: str):
    async with raw_poll(client) as writer:
        getattr(writer.transport, end)()
        await noticed(client)
        send(client, 1)
        send(client, 2)
        assert await client.packets(2) == sent(1, 2)


async def test_a_new_poll_takes_the_place_of_one_that_broke_off(client: PollingClient):
    async with raw_poll(client) as writer:
        writer.transport.abort()
        await noticed(client)
        waiting = asyncio.create_task(client.get())
        await client.is_waiting()
        send(client, 1)
        assert await waiting == (200, *sent(1))


async def test_a_poll_that_comes_again_gets_its_answer_again(client: PollingClient):
    send(client, 1, 2)
    for last in (2, 3, 4):  # and what came since
        async with connected(client) as (reader, writer):
            writer.write(_head(client, "GET", stamp="a"))
            assert await read_answer(reader) == sent(*range(1, last + 1))
            send(client, last + 1)
    async with connected(client) as (reader, writer):
        writer.write(_head(client, "GET", stamp="b"))
        assert await read_answer(reader) == sent(5)


async def test_a_poll_without_a_stamp_or_with_another_is_another(client: PollingClient):
    async with connected(client) as (reader, writer):
        for number, stamp in enumerate((None, None, "a", "b")):
            send(client, number)
            writer.write(_head(client, "GET", stamp=stamp))
            assert await read_answer(reader) == sent(number)


async def test_a_poll_that_comes_again_takes_the_place_of_the_one_that_waits(client: PollingClient):
    async with connected(client) as (_, first), connected(client) as (reader, second):
        first.write(_head(client, "GET", stamp="a"))
        await client.is_waiting()
        second.write(_head(client, "GET", stamp="a"))
        polls = client.served.server.eio.sockets[client.sid].polling
        waiting = polls._waiting
        async with asyncio.timeout(DEADLINE_S):
            while polls._waiting is waiting:
                await asyncio.sleep(0)
        send(client, 1)
        assert await read_answer(reader) == sent(1)


async def test_what_is_posted_again_is_taken_once(served: Served, client: PollingClient):
    heard: list[int] = []
    served.server.on("n", lambda _sid, number: heard.append(number))
    for stamp, number in [("a", 1), ("a", 1), ("a", 2), ("b", 2), (None, 2), (None, 2)]:
        async with connected(client) as (reader, writer):
            body = f'42["n",{number}]'
            writer.write(_head(client, "POST", f"Content-Length: {len(body)}", stamp=stamp) + body.encode())
            assert await read_answer(reader) == ["ok"]
    assert heard == [1, 2, 2, 2, 2]


async def test_what_is_posted_again_while_it_is_taken_is_taken_once(served: Served, client: PollingClient):
    heard, going_on = [], asyncio.Event()

    async def hear(_sid: str, number: int) -> None:
        heard.append(number)
        await going_on.wait()

    served.server.on("n", hear)
    body = b'42["n",1]'
    request = _head(client, "POST", f"Content-Length: {len(body)}", stamp="a") + body
    polls = served.server.eio.sockets[client.sid].polling
    async with connected(client) as (_, first), connected(client) as (reader, second):
        first.write(request)
        async with asyncio.timeout(DEADLINE_S):
            while not heard:
                await asyncio.sleep(0)
            before = polls._posting
            second.write(request)
            while polls._posting is before:
                await asyncio.sleep(0)
        going_on.set()
        assert await read_answer(reader) == ["ok"]
    assert heard == [1]
    assert client.sid in served.server.eio.sockets


async def test_what_was_upgraded_keeps_no_answer(served: Served, client: PollingClient):
    send(client, 1)
    async with connected(client) as (reader, writer):
        writer.write(_head(client, "GET", stamp="a"))
        assert await read_answer(reader) == sent(1)
    async with client.upgrade() as socket:
        await socket.send_str("2probe")
        assert await receive(socket) == "3probe"
        await socket.send_str("5")
        send(client, 2)
        assert await receive(socket) == sent(2)[0]
        assert served.server.eio.sockets[client.sid].polling is None


async def test_an_answer_that_nobody_takes_goes_back(client: PollingClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(polling, "MAX_ANSWER_BYTES", 64 << 20)
    outgoing = client.served.server.outgoing(client.sid)
    outgoing.put_nowait(
        EventPacket.of("n", "x" * (32 << 20))
    )  # more than the kernels hold for a reader that stops
    send(client, 2)
    async with connected(client) as (reader, writer):
        writer.write(_head(client, "GET"))
        await reader.readuntil(b"\r\n\r\n")
        send(client, 3)
    again = await client.packets(3)
    assert len(again[0]) > 32 << 20
    assert again[1:] == sent(2, 3)


async def test_polls_that_break_off_at_random_lose_and_double_nothing(client: PollingClient):
    chance = random.Random(4)
    total = heard = 0
    for _ in range(200):
        case = chance.choice(["wait", "broken while it waits", "broken and not noticed yet"])
        number = chance.randrange(1, 4)
        async with connected(client) as (reader, writer):
            waits = heard == total
            if waits:
                writer.write(_head(client, "GET"))
                await client.is_waiting()
                if case != "wait":
                    writer.transport.abort()
                    await asyncio.sleep(0)  # it is closed now, and the server has not looked yet
                if case == "broken while it waits":
                    await noticed(client)
            send(client, *range(total, total + number))
            total += number
            if case == "wait":
                if not waits:
                    writer.write(_head(client, "GET"))
                numbers = [int(packet[7:-1]) for packet in await read_answer(reader)]
                assert numbers == list(range(heard, min(total, heard + polling.MAX_ANSWER_PACKETS)))
                heard += len(numbers)
    assert heard > 100


async def read_answer(reader: asyncio.StreamReader) -> list[str]:
    async with asyncio.timeout(DEADLINE_S):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        return (await reader.readexactly(length)).decode().split("\x1e")


async def noticed(client: PollingClient) -> None:
    """Return when the server knows that the poll broke off."""
    polls = client.served.server.eio.sockets[client.sid].polling
    async with asyncio.timeout(DEADLINE_S):
        while polls._waiting is not None and not polling._has_gone(polls._waiting):
            await asyncio.sleep(0)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_in_many_segments_is_read_whole(served: Served, client: PollingClient, *, chunked: bool):
    heard: list[int] = []
    served.server.on("n", lambda _sid, number: heard.append(number))
    parts = ['42["n",0]\x1e', '42["n",1]\x1e', '42["n",2]']
    header = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {sum(map(len, parts))}"
    async with connected(client) as (reader, writer):
        writer.write(_head(client, "POST", header))
        for part in parts:
            assert heard == []
            writer.write(f"{len(part):x}\r\n{part}\r\n".encode() if chunked else part.encode())
            await is_reading(client, part)
        writer.write(b"0\r\n\r\n" if chunked else b"")
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        assert b" 200 " in answer
        assert heard == [0, 1, 2]


async def is_reading(client: PollingClient, part: str) -> None:
    """Return when the server has had the time to read the part, which tells nobody."""
    polls = client.served.server.eio.sockets[client.sid].polling
    async with asyncio.timeout(DEADLINE_S):
        while not polls._posting and part.endswith("\x1e"):
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_body_that_breaks_off_does_nothing_and_ends_the_session(
    served: Served, client: PollingClient
):
    heard: list[Any] = []
    served.server.on("n", lambda _sid, number: heard.append(number))
    async with connected(client) as (_, writer):
        writer.write(_head(client, "POST", "Content-Length: 100") + b'42["n",1]\x1e')
        await is_reading(client, "\x1e")
        writer.transport.abort()
        await nothing_left(served)
    assert heard == []


async def test_a_body_that_does_not_come_ends_the_session(
    served: Served, client: PollingClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(polling, "DEADLINE_S", 0.1)
    async with connected(client) as (reader, writer):
        writer.write(_head(client, "POST", "Content-Length: 100"))
        assert b" 408 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        await nothing_left(served)


async def test_hundreds_of_packets_in_one_request_are_all_handled(served: Served, client: PollingClient):
    heard: list[int] = []
    served.server.on("n", lambda _sid, number: heard.append(number))
    assert await client.post("\x1e".join(sent(*range(500)))) == (200, "ok")
    assert heard == list(range(500))


async def test_an_answer_holds_no_more_than_clients_accept(client: PollingClient):
    send(client, *range(40))
    answers = [(await client.get())[1].split("\x1e") for _ in range(3)]
    assert [len(answer) for answer in answers] == [16, 16, 8]
    assert [packet for answer in answers for packet in answer] == sent(*range(40))


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_request_larger_than_a_message_may_be_is_413(
    served: Served, client: PollingClient, *, chunked: bool
):
    body = b'42["n","' + b"x" * (64 << 10) + b'"]'

    async def parts() -> AsyncIterator[bytes]:
        yield body

    async with served.http.post(client.url, data=parts() if chunked else body) as answer:
        assert answer.status == 413
    assert (await client.get())[0] == 400
    await nothing_left(served)


async def test_two_requests_at_once_end_the_session(served: Served, client: PollingClient):
    asked, answer = asyncio.Event(), asyncio.Event()

    async def wait(_sid: str) -> None:
        asked.set()
        await answer.wait()

    served.server.on("wait", wait)
    first = asyncio.create_task(client.post('42["wait"]'))
    await asyncio.wait_for(asked.wait(), DEADLINE_S)
    assert (await client.post('42["wait"]'))[0] == 400
    answer.set()
    await first
    await nothing_left(served)


@pytest.mark.parametrize("frames", [(), ("2probe",), ("2probe", "9"), ("x",), ("40",), ("5",)])
async def test_an_upgrade_that_fails_leaves_polling_as_it_was(client: PollingClient, frames: tuple[str, ...]):
    async with client.upgrade() as socket:
        for frame in frames:
            await socket.send_str(frame)
        if frames[:1] == ("2probe",):
            assert await receive(socket) == "3probe"
        send(client, 1)
    attempt = client.served.server.eio.sockets[client.sid]
    async with asyncio.timeout(DEADLINE_S):
        while attempt._upgrade is not None:
            await asyncio.sleep(0)
    assert await client.packets(1) == sent(1)
    waiting = asyncio.create_task(client.get())
    await client.is_waiting()
    send(client, 2)
    assert await waiting == (200, *sent(2))


async def test_an_upgrade_that_takes_too_long_fails(client: PollingClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "UPGRADE_DEADLINE_S", 0.1)
    async with client.upgrade() as socket:
        await socket.send_str("2probe")
        assert await receive(socket) == "3probe"
        assert (await asyncio.wait_for(socket.receive(), DEADLINE_S)).data is not None
    send(client, 1)
    assert await client.packets(1) == sent(1)


async def test_what_waits_at_an_upgrade_follows_by_the_websocket_in_order(client: PollingClient):
    send(client, 1, 2)
    async with client.upgrade() as socket:
        await socket.send_str("2probe")
        assert await receive(socket) == "3probe"
        send(client, 3)
        await socket.send_str("5")
        assert [await receive(socket) for _ in range(3)] == sent(1, 2, 3)
        send(client, 4)
        assert await receive(socket) == sent(4)[0]


@asynccontextmanager
async def answer_on_its_way(client: PollingClient) -> AsyncIterator[asyncio.StreamWriter]:
    """A poll whose answer, 16 MB and number 1, the kernels do not hold for a reader that stops."""
    outgoing = client.served.server.outgoing(client.sid)
    for _ in range(15):
        outgoing.put_nowait(EventPacket.of("n", MEGABYTE))
    send(client, 1)
    async with connected(client) as (reader, writer):
        writer.write(_head(client, "GET"))
        await reader.readuntil(b"\r\n\r\n")
        assert outgoing.empty()
        yield writer


async def test_what_a_poll_gives_back_behind_an_upgrade_follows_by_the_websocket(
    client: PollingClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(polling, "MAX_ANSWER_BYTES", 64 << 20)
    async with client.upgrade() as socket:
        async with answer_on_its_way(client):
            await socket.send_str("2probe")
            assert await receive(socket) == "3probe"
            await socket.send_str("5")
            send(client, 2)
            assert await receive(socket) == sent(2)[0]
        assert [len(await receive(socket)) > len(MEGABYTE) for _ in range(15)] == [True] * 15
        assert await receive(socket) == sent(1)[0]
        send(client, 3)
        assert await receive(socket) == sent(3)[0]


async def test_what_a_poll_gives_back_behind_the_end_is_forgotten(
    served: Served, client: PollingClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(polling, "MAX_ANSWER_BYTES", 64 << 20)
    outgoing = served.server.outgoing(client.sid)
    async with answer_on_its_way(client):
        polls = served.server.eio.sockets[client.sid].polling
        served.server.abort(client.sid)
        await nothing_left(served)
    async with polls._answering:
        assert outgoing.size_bytes == 0


async def test_a_client_that_never_polls_is_cut_before_much_waits(served: Served, client: PollingClient):
    sid = served.server.manager.sid_from_eio_sid(client.sid, "/")
    for number in range(1_000):
        await served.server.emit("n", number, to=sid)
    await nothing_left(served)
    assert (await client.get())[0] == 400


async def test_polling_can_be_switched_off():
    async with serving(transports=["websocket"]) as served:
        async with served.http.get(f"{served.url}?EIO=4&transport=polling") as answer:
            assert answer.status == 400
            assert (await answer.json())["message"] == "Transport unknown"
        async with served.socket():
            pass
