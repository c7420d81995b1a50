"""Peers that are slow, silent or ugly: they cost little, are cut, and leave nothing."""

import asyncio
import gc
import json
import socket
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType

from realtime import engine, transports
from realtime.engine import EventPacket
from realtime.outgoing import MAX_UNSENT_BYTES
from tests.support.bare import DEADLINE_S, Served, accept, closed, nothing_left, receive, serving

HANDSHAKE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
KILOBYTES_100 = "x" * 100_000


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as found:
        found.server.on("connect", accept)
        yield found


async def test_a_clock_that_is_set_cuts_nobody():
    async with serving(ping_interval_s=0.1, ping_timeout_s=5) as served, served.socket() as peer:
        assert await receive(peer) == "2"
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=1)):
            await peer.send_str("3")
            assert await receive(peer) == "2"


@asynccontextmanager
async def raw(served: Served) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A WebSocket that has got its answer, and takes next to nothing unless it is read from."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", served.port))
    reader, writer = await asyncio.open_connection(sock=peer, limit=1024)
    try:
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def stopped_reader(served: Served) -> AsyncIterator[str]:
    """The Engine.IO sid of a client that was let in, and reads no more."""
    async with raw(served) as (reader, writer):
        writer.write(b"\x81\x82\0\0\0\x0040")
        await reader.readuntil(b'40{"sid"')
        writer.transport.pause_reading()
        yield next(iter(served.server.eio.sockets))


async def test_who_stops_reading_keeps_little_and_is_cut(served: Served):
    async with stopped_reader(served) as eio_sid, served.socket() as neighbour:
        await neighbour.send_str("40")
        await receive(neighbour)
        connection = served.server.eio.sockets[eio_sid]
        other = next(found for found in served.server.eio.sockets.values() if found is not connection)
        kept = 0
        for number in range(1_000):  # 100 MB
            packet = EventPacket.of("n", f"{number} {KILOBYTES_100}")
            connection.send(packet)
            other.send(packet)
            kept = max(kept, connection.queue.size_bytes)
            assert (await receive(neighbour)).startswith(f'42["n","{number} ')
        assert connection.closed
        assert MAX_UNSENT_BYTES < kept < 2 * MAX_UNSENT_BYTES
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "drain"]
    await nothing_left(served)


async def test_a_few_bytes_that_nobody_takes_are_a_matter_of_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transports, "SWEEP_INTERVAL_S", 0.05)
    monkeypatch.setattr(transports, "PROGRESS_DEADLINE_S", 0.3)
    async with serving() as served:
        served.server.on("connect", accept)
        async with stopped_reader(served) as eio_sid, served.socket() as idle:
            await idle.send_str("40")
            await receive(idle)
            connection = served.server.eio.sockets[eio_sid]
            while not connection.queue:
                connection.send(EventPacket.of("n", KILOBYTES_100))
            assert not connection.queue.is_full
            async with asyncio.timeout(DEADLINE_S):
                while not connection.closed:
                    await asyncio.sleep(0)
            await idle.send_str('421["nobody serves this"]')
            assert len(served.server.eio.sockets) == 1
        await nothing_left(served)


async def test_who_reads_slowly_gets_everything_in_order(served: Served):
    async with served.socket() as slow:
        await slow.send_str("40")
        await receive(slow)
        connection = next(iter(served.server.eio.sockets.values()))
        for number in range(60):
            while connection.queue.size_bytes > MAX_UNSENT_BYTES // 2:
                await asyncio.sleep(0)
                assert (await receive(slow)).startswith("42")
            connection.send(EventPacket.of("n", f"{number} {KILOBYTES_100}"))
        connection.send(EventPacket.of("last", 0))
        came = ""
        while not came.startswith('42["last"'):
            came = await receive(slow)
        assert not connection.ending


async def test_a_ping_does_not_wait_behind_data(served: Served):
    async with stopped_reader(served) as eio_sid:
        connection = served.server.eio.sockets[eio_sid]
        while not connection.queue:
            connection.send(EventPacket.of("n", KILOBYTES_100))
        connection._ping(asyncio.get_running_loop().time())
        assert connection.queue.get_nowait().payload == b"2"


async def test_a_slow_reader_that_answers_no_ping_leaves_nobody_who_writes():
    async with serving(ping_interval_s=0.2, ping_timeout_s=0.2) as served:
        served.server.on("connect", accept)
        async with stopped_reader(served) as eio_sid:
            connection = served.server.eio.sockets[eio_sid]
            while not connection.queue:
                connection.send(EventPacket.of("n", KILOBYTES_100))
            await nothing_left(served)
            assert connection.queue.size_bytes == 0
            async with asyncio.timeout(DEADLINE_S):
                while [task for task in asyncio.all_tasks() if task.get_name() == "drain"]:
                    await asyncio.sleep(0)


async def leave(served: Served, peer: ClientWebSocketResponse, way: str) -> None:
    """Go, and return when the server can know it."""
    (connection,) = served.server.eio.sockets.values()
    if way == "goodbye":
        await peer._writer.close()
        return
    if way == "abort":
        peer._writer.transport.abort()
    async with asyncio.timeout(DEADLINE_S):
        while not connection.websocket._transport.is_closing():
            await asyncio.sleep(0)


@pytest.mark.parametrize("upgraded", [False, True])
@pytest.mark.parametrize("way", ["abort", "goodbye", "ping timeout"])
async def test_who_goes_while_being_asked_is_no_ghost(way: str, *, upgraded: bool):
    asked, answer = asyncio.Event(), asyncio.Event()

    async def connect(sid: str, *_: Any) -> bool:
        await served.server.enter_room(sid, "user:1")
        asked.set()
        await answer.wait()
        return True

    pings = {"ping_interval_s": 0.1, "ping_timeout_s": 0.1} if way == "ping timeout" else {}
    async with serving(**pings) as served:
        served.server.on("connect", connect)
        opening = (await served.polling()).upgrade() if upgraded else served.socket()
        async with opening as peer:
            for frame in ("2probe", "5") if upgraded else ():
                await peer.send_str(frame)
            await peer.send_str("40")
            await asyncio.wait_for(asked.wait(), DEADLINE_S)
            await leave(served, peer, way)
            answer.set()
            await nothing_left(served)


async def test_a_ghost_that_got_in_all_the_same_is_reaped(served: Served):
    async with served.socket() as peer:
        await peer.send_str("40")
        await receive(peer)
        (eio_sid, connection), *_ = served.server.eio.sockets.items()
        await served.server.reap()
        assert served.gone == []
        del served.server.eio.sockets[eio_sid]  # as if its end had been missed
        await served.server.reap()
        assert len(served.gone) == served.server.reaped == 1
        assert served.server.manager.rooms == {}
        assert not served.server.environ
        connection.cut()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_nothing_is_kept_of_the_request_that_opened_a_connection(served: Served, transport: str):
    url = f"{served.url}?EIO=4&transport={transport}"
    headers = {"X-Large": "x" * 8_000}
    async with (
        served.http.ws_connect(url, headers=headers)
        if transport == "websocket"
        else served.http.get(url, headers=headers)
    ):
        (kept,) = served.server.environ.values()
        assert kept == {}


async def test_a_disconnect_handler_that_raises_leaves_nothing(served: Served):
    async def disconnect(*_: Any) -> None:
        raise RuntimeError

    served.server.on("disconnect", disconnect)
    async with served.socket() as peer:
        await peer.send_str("40")
        await receive(peer)
    await nothing_left(served)


async def test_frames_behind_the_end_are_not_served(served: Served):
    async with raw(served) as (_, writer):
        writer.write(b"\x81\x81\0\0\0\x001" + b"\x81\x82\0\0\0\x0040")
        await nothing_left(served)
    async with served.socket() as peer:
        await peer.send_str("41")
        await peer.send_str('421["echo"]')
        await peer.send_str("40")
        assert (await receive(peer)).startswith("40")
    await nothing_left(served)


async def test_who_leaves_the_namespace_has_a_deadline_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "CONNECT_DEADLINE_S", 0.2)
    async with serving() as served:
        served.server.on("connect", accept)
        async with served.socket() as peer:
            await peer.send_str("40")
            await receive(peer)
            await peer.send_str("41")
            assert await closed(peer) == []
        await nothing_left(served)


async def test_who_is_disconnected_is_not_only_told(served: Served):
    async with served.socket() as peer:
        await peer.send_str("40")
        sid = json.loads((await receive(peer))[2:])["sid"]
        await served.server.disconnect(sid)
        assert await closed(peer) == ["41"]
    await nothing_left(served)


@pytest.mark.parametrize("audience", [None, "", [], ["user:1", ""], ()])
async def test_an_emit_to_nobody_in_particular_is_refused(served: Served, audience: Any):
    async with served.socket() as peer:
        for name in ("to", "room"):
            with pytest.raises(ValueError, match="needs a room"):
                await served.server.emit("secret", {}, **{name: audience})
        with pytest.raises(ValueError, match="needs a room"):
            await served.server.send("secret")
        with pytest.raises(ValueError, match="not asked"):
            await served.server.emit("secret", {}, to="user:1", callback=print)
        await peer.send_str("40")
        assert (await receive(peer)).startswith("40")
    assert served.server.manager.callbacks == {}


async def test_who_is_being_asked_hears_nothing(served: Served):
    entered, answer = asyncio.Event(), asyncio.Event()

    async def connect(sid: str, *_: Any) -> bool:
        await served.server.enter_room(sid, "user:1")
        entered.set()
        await answer.wait()
        return True

    served.server.on("connect", connect)
    async with served.socket() as peer:
        await peer.send_str("40")
        await asyncio.wait_for(entered.wait(), DEADLINE_S)
        await served.server.emit("secret", 1, to="user:1")
        answer.set()
        assert (await receive(peer)).startswith("40")
        await served.server.emit("open", 2, to="user:1")
        assert await receive(peer) == '42["open",2]'


async def test_the_greetings_of_a_connect_handler_are_bounded(served: Served):
    async def connect(sid: str, *_: Any) -> bool:
        for number in range(101):
            await served.server.emit("greeting", number, to=sid)
        return True

    served.server.on("connect", connect)
    async with served.socket() as peer:
        await peer.send_str("40")
        assert await closed(peer) == []
    await nothing_left(served)


async def test_the_events_of_a_client_are_handled_one_after_the_other(served: Served):
    order: list[str] = []

    async def event(_sid: str, name: str) -> str:
        order.append(f"begin {name}")
        for _ in range(5):
            await asyncio.sleep(0)
        order.append(f"end {name}")
        return name

    served.server.on("event", event)
    async with served.socket() as peer:
        await peer.send_str("40")
        await receive(peer)
        await peer.send_str('421["event","a"]')
        await peer.send_str('422["event","b"]')
        assert [await receive(peer) for _ in range(2)] == ['431["a"]', '432["b"]']
    assert order == ["begin a", "end a", "begin b", "end b"]


async def test_a_handler_that_raises_costs_the_client_its_answer_only(served: Served):
    async def broken(*_: Any) -> None:
        raise TypeError("a fault of ours")

    served.server.on("broken", broken)
    served.server.on("echo", lambda _sid, value: value)
    async with served.socket() as peer:
        await peer.send_str("40")
        await receive(peer)
        await peer.send_str('421["broken"]')
        await peer.send_str('422["echo",1]')
        assert await receive(peer) == "432[1]"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("42" + "x" * (64 << 10), 1009),
        (b"\0\1", 1008),
        ("9", 1003),
        ("42" + "[" * 60_000, 1008),
        ("42", 1008),
    ],
)
async def test_what_is_refused_is_refused_with_a_code(served: Served, frame: str | bytes, code: int):
    async with served.socket() as peer:
        await peer.send_str("40")
        await receive(peer)
        await (peer.send_str(frame) if isinstance(frame, str) else peer.send_bytes(frame))
        assert await closed(peer) == []
        assert peer.close_code == code
    await nothing_left(served)


ANNOUNCED = '451-["upload",{"_placeholder":true,"num":0}]'


@pytest.mark.parametrize(
    "frames",
    [
        [ANNOUNCED, b"x" * 1_001],
        ['452-["upload",{"_placeholder":true,"num":0}]', b"x" * 600, b"x" * 600],
        ['4517-["upload"]'],
        ['450-["upload"]'],
        ['451-["upload",{"_placeholder":true,"num":7}]', b"x"],
        [ANNOUNCED, ANNOUNCED],
        [ANNOUNCED, '421["echo",1]'],
        [b"x"],
        ['421-["upload",{"_placeholder":true,"num":0}]'],
    ],
)
async def test_binary_is_bounded_where_it_is_allowed(frames: list[str | bytes]):
    async with serving(max_attachment_bytes=1_000) as served:
        served.server.on("connect", accept)
        served.server.on("upload", lambda _sid, content: len(content))
        async with served.socket() as peer:
            await peer.send_str("40")
            await receive(peer)
            await peer.send_str(ANNOUNCED.replace("1-", "1-7"))
            await peer.send_bytes(b"x" * 1_000)
            assert await receive(peer) == "437[1000]"
            for frame in frames:
                await (peer.send_str(frame) if isinstance(frame, str) else peer.send_bytes(frame))
            assert await closed(peer) == []
        await nothing_left(served)
        assert served.server._binary_packet == {}


async def test_binary_of_who_is_not_let_in_is_not_kept():
    async with serving(max_attachment_bytes=1_000) as served:
        served.server.on("connect", accept)
        async with served.socket() as peer:
            await peer.send_str(ANNOUNCED)
            assert await closed(peer) == []
        assert served.server._binary_packet == {}


async def test_who_leaves_an_upload_unfinished_leaves_nothing():
    async with serving(max_attachment_bytes=1_000) as served:
        served.server.on("connect", accept)
        async with served.socket() as peer:
            await peer.send_str("40")
            await receive(peer)
            await peer.send_str(ANNOUNCED)
        await nothing_left(served)
        assert served.server._binary_packet == {}


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_who_has_gone_leaves_nothing_for_the_garbage_collector(served: Served, transport: str):
    """Whole collections hold the loop: memory is not to wait for one."""
    gc.disable()
    try:
        opening = served.socket() if transport == "websocket" else nullcontext(await served.polling())
        async with opening as client:
            await (client.send_str("40") if transport == "websocket" else client.connect())
            connection = next(iter(served.server.eio.sockets.values()))
            kept = [weakref.ref(connection)]
            kept += [weakref.ref(connection.websocket)] if connection.websocket else []
            del connection
            await (receive(client) if transport == "websocket" else client.post("1"))
        async with asyncio.timeout(DEADLINE_S):
            while any(reference() is not None for reference in kept):
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_leaving_what_one_is_not_in_puts_nothing_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "CONNECT_DEADLINE_S", 0.3)
    async with serving(ping_interval_s=0.05) as served:
        async with served.socket() as peer, asyncio.timeout(DEADLINE_S):
            while (await peer.receive()).type is WSMsgType.TEXT:
                await peer.send_str("3")
                await peer.send_str("41")
        await nothing_left(served)


async def test_the_oldest_strangers_make_room_and_nobody_is_kept_out(
    served: Served, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine, "MAX_STRANGERS", 3)
    served.server.on("echo", lambda _sid, value: value)
    async with served.socket() as member, served.socket() as oldest, served.socket() as second:
        await member.send_str("40")
        await receive(member)
        pollers = [await served.polling() for _ in range(3)]
        await closed(oldest)
        await closed(second)
        assert [(await poller.post("40"))[0] for poller in pollers] == [200, 200, 200]
        await member.send_str('421["echo",1]')
        assert await receive(member) == "431[1]"


async def test_a_thousand_who_never_ask_to_be_let_in_hinder_nobody_and_are_cut(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(engine, "CONNECT_DEADLINE_S", 3)
    async with serving() as served, ClientSession(connector=TCPConnector(limit=0)) as http:
        served.server.on("connect", accept)
        address = f"{served.url}?EIO=4&transport=websocket"
        silent = [await http.ws_connect(address) for _ in range(1_000)]
        async with served.socket() as member:
            await member.send_str("40")
            assert (await receive(member)).startswith("40")
            await asyncio.gather(*(closed(each) for each in silent))
            assert served.server.connections == 1
    await nothing_left(served)
