"""The hardened Socket.IO server, by frames on the wire: what the stock server gets wrong, and we do not.

Also the contract with the libraries' private hooks: each of these fails when a hook moves or is not called.
"""

import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import engineio
import pytest
import socketio
from aiohttp import WSCloseCode, web
from aiohttp.base_protocol import BaseProtocol
from socketio import packet as sio_packet
from socketio.exceptions import ConnectionRefusedError as Refused

from realtime import connection, engine, packets, rooms, transports
from realtime.engine import EventPacket
from tests.support.bare import DEADLINE_S, Served, accept, closed, nothing_left, receive, serving


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as found:
        yield found


async def test_the_connect_packet_is_the_first_thing_a_client_hears(served: Served):
    async def connect(sid: str, _environ: Any, _auth: Any) -> bool:
        await served.server.enter_room(sid, "user:1")
        return True

    served.server.on("connect", connect)
    served.server.on_connected = lambda _sid, eio: served.server.outgoing(eio).put_nowait(
        EventPacket.of("a", {})
    )
    async with served.socket() as socket:
        await socket.send_str("40")
        assert (await receive(socket)).startswith("40{")
        assert await receive(socket) == '42["a",{}]'


@pytest.mark.parametrize("answer", [None, False, 1, "yes", {}])
async def test_only_true_lets_a_client_in(served: Served, answer: object):
    async def connect(*_: Any) -> object:
        return answer

    served.server.on("connect", connect)
    async with served.socket() as socket:
        await socket.send_str("40")
        assert await closed(socket) == []
    await nothing_left(served)


@pytest.mark.parametrize("failure", [RuntimeError, TypeError, KeyError, asyncio.CancelledError, TimeoutError])
async def test_a_connect_handler_that_fails_lets_nobody_in(served: Served, failure: type[BaseException]):
    async def connect(sid: str, *_: Any) -> bool:
        await served.server.enter_room(sid, "user:1")
        raise failure

    served.server.on("connect", connect)
    async with served.socket() as socket:
        await socket.send_str("40")
        await served.server.emit("secret", {}, room="user:1")
        assert await closed(socket) == []
    await nothing_left(served)


async def test_a_refusal_is_said_and_leaves_nothing(served: Served):
    async def connect(*_: Any) -> bool:
        raise Refused("unauthorized", {"code": "token_expired"})

    served.server.on("connect", connect)
    async with served.socket() as socket:
        await socket.send_str("40")
        refusal = await receive(socket)
        assert json.loads(refusal.removeprefix("44")) == {
            "message": "unauthorized",
            "data": {"code": "token_expired"},
        }
        assert not served.leftovers()["rooms"]
    await nothing_left(served)


async def test_a_client_that_leaves_while_it_connects_is_no_ghost(served: Served):
    asked, answer = asyncio.Event(), asyncio.Event()

    async def connect(*_: Any) -> bool:
        asked.set()
        await answer.wait()
        return True

    served.server.on("connect", connect)
    opening = await served.http.get(f"{served.url}?EIO=4&transport=polling")
    sid = json.loads((await opening.text())[1:])["sid"]
    connecting = asyncio.create_task(
        served.http.post(f"{served.url}?EIO=4&transport=polling&sid={sid}", data="40")
    )
    await asyncio.wait_for(asked.wait(), DEADLINE_S)
    (await served.http.post(f"{served.url}?EIO=4&transport=polling&sid={sid}", data="1")).close()
    answer.set()
    (await connecting).close()
    await nothing_left(served)


async def test_a_second_connect_ends_the_connection(served: Served):
    served.server.on("connect", accept)
    async with served.socket() as socket:
        await socket.send_str("40")
        await receive(socket)
        await socket.send_str("40")
        await closed(socket)
    await nothing_left(served)


@pytest.mark.parametrize("round_", [["40", "41"], ["40/nobody,"]])
async def test_who_asks_to_be_let_in_again_and_again_is_cut(served: Served, round_: list[str]):
    served.server.on("connect", accept)
    async with served.socket() as socket:
        for frame in round_ * (engine.MAX_CONNECTS + 1):
            await socket.send_str(frame)
        assert len(await closed(socket)) == engine.MAX_CONNECTS
        assert socket.close_code == WSCloseCode.POLICY_VIOLATION
    await nothing_left(served)


@pytest.mark.parametrize(
    "frame", ['451-["x",{"_placeholder":true,"num":0}]', "461-[]", "4", "42", "42{", "49", "9", "x", "42[]"]
)
async def test_a_malformed_frame_ends_the_connection_and_nothing_else(served: Served, frame: str):
    served.server.on("connect", accept)
    async with served.socket() as neighbour, served.socket() as socket:
        for one in (neighbour, socket):
            await one.send_str("40")
            await receive(one)
        await socket.send_str(frame)
        await closed(socket)
        await neighbour.send_str('421["nobody serves this"]')
    await nothing_left(served)


async def test_binary_frames_end_the_connection(served: Served):
    served.server.on("connect", accept)
    async with served.socket() as socket:
        await socket.send_str("40")
        await receive(socket)
        await socket.send_bytes(b"\x00\x01")
        await closed(socket)
    await nothing_left(served)


async def test_a_client_that_never_says_connect_is_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "CONNECT_DEADLINE_S", 0.1)
    async with serving() as served:
        async with served.socket() as socket:
            assert await closed(socket) == []
        await nothing_left(served)


async def test_acknowledgements_are_not_served(served: Served):
    served.server.on("connect", accept)
    async with served.socket() as socket:
        await socket.send_str("40")
        await receive(socket)
        await socket.send_str("430[]")
        await socket.send_str("435[]")
        assert served.server.manager.callbacks == {}
        served.server.on("echo", lambda _sid, value: value)
        await socket.send_str('427["echo",1]')
        assert await receive(socket) == "437[1]"


async def test_compression_is_not_negotiated(served: Served):
    async with served.http.ws_connect(f"{served.url}?EIO=4&transport=websocket", compress=15) as socket:
        assert not socket.compress


async def test_a_namespace_that_nobody_serves_is_refused(served: Served):
    served.server.on("connect", accept)
    async with served.socket() as socket:
        await socket.send_str("40/nobody,")
        assert await receive(socket) == '44/nobody,{"message":"Invalid namespace"}'


async def test_abort_cuts_a_client_that_was_upgraded_from_polling(served: Served):
    served.server.on("connect", accept)
    opening = await served.http.get(f"{served.url}?EIO=4&transport=polling")
    sid = json.loads((await opening.text())[1:])["sid"]
    async with served.http.ws_connect(f"{served.url}?EIO=4&transport=websocket&sid={sid}") as socket:
        await socket.send_str("2probe")
        assert await receive(socket) == "3probe"
        await socket.send_str("5")
        await socket.send_str("40")
        while not (await receive(socket)).startswith("40"):
            pass
        served.server.abort(sid)
        await closed(socket)
    await nothing_left(served)


async def test_abort_ends_a_polling_client(served: Served):
    served.server.on("connect", accept)
    opening = await served.http.get(f"{served.url}?EIO=4&transport=polling")
    sid = json.loads((await opening.text())[1:])["sid"]
    poll = f"{served.url}?EIO=4&transport=polling&sid={sid}"
    (await served.http.post(poll, data="40")).close()
    assert (await (await served.http.get(poll)).text()).startswith("40")
    waiting = asyncio.create_task(served.http.get(poll))
    async with asyncio.timeout(DEADLINE_S):
        while served.server.eio.sockets[sid].polling._waiting is None:
            await asyncio.sleep(0)
    served.server.abort(sid)
    assert (await (await asyncio.wait_for(waiting, DEADLINE_S)).text()) in ("1", "6")
    assert (await served.http.get(poll)).status == 400
    await nothing_left(served)


async def test_the_origin_is_checked_also_when_none_is_configured(served: Served):
    handshake = f"{served.url}?EIO=4&transport=polling"
    assert (await served.http.get(handshake, headers={"Origin": "https://evil.example"})).status == 400
    assert (await served.http.get(handshake)).status == 200


async def test_the_queue_knows_its_size_and_when_it_is_empty():
    queue = engine.OutgoingQueue()
    packet = EventPacket.of("n", {"title": "任务"})
    queue.put_nowait(packet)
    queue.put_nowait(packet)
    frame = 2 + len('42["n",{"title":"任务"}]'.encode())
    assert queue.size_bytes == 2 * frame
    waiting = asyncio.create_task(queue.wait_empty())
    await queue.get()
    assert not waiting.done()
    await queue.get()
    await asyncio.wait_for(waiting, DEADLINE_S)
    assert queue.size_bytes == 0


HOOKS = {
    (engine.SocketServer, socketio.AsyncServer): [
        *("_engineio_server_class", "_handle_eio_connect", "_handle_eio_message", "_handle_eio_disconnect"),
        *("_handle_connect", "_handle_event", "_handle_disconnect", "_trigger_event", "emit", "disconnect"),
    ],
    (transports.Engine, engineio.AsyncServer): [
        *(
            "attach",
            "generate_id",
            "handle_request",
            "_cors_allowed_origins",
            "send",
            "send_packet",
            "disconnect",
            "shutdown",
        ),
    ],
    (rooms.RoomIndex, socketio.AsyncManager): [
        *("basic_enter_room", "basic_leave_room", "basic_close_room", "basic_disconnect"),
        *("sid_from_eio_sid", "get_participants", "get_rooms"),
    ],
    (packets.TextPacket, sio_packet.Packet): ["decode"],
}
USED = {
    socketio.AsyncServer: [
        "_get_event_handler",
        "_get_namespace_handler",
        "_send_packet",
        "_send_eio_packet",
    ],
    engineio.AsyncServer: ["_trigger_event", "_cors_headers"],
    socketio.AsyncManager: ["pre_connect", "connect", "disconnect", "is_connected", "eio_sid_from_sid"],
    BaseProtocol: ["_drain_helper", "writing_paused"],
    web.WebSocketResponse: ["_exception"],
}


@pytest.mark.parametrize(("classes", "names"), HOOKS.items())
def test_what_is_overridden_is_there_and_takes_the_same(classes: tuple[type, type], names: list[str]):
    """A hook that moved would leave ours uncalled, and the hardening without effect."""
    ours, theirs = classes
    for name in names:
        assert name in vars(ours)
        parameters = list(inspect.signature(getattr(theirs, name)).parameters.values())
        needed = [found.name for found in parameters if found.default is found.empty and found.kind < 2]
        inspect.signature(getattr(ours, name)).bind_partial(*needed)


def test_no_session_id_comes_twice():
    engine = transports.Engine(async_mode="aiohttp")
    ids = [engine.generate_id() for _ in range(3 * 256 + 1)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{20}", one) for one in ids)


def test_what_is_used_of_the_libraries_is_there():
    assert [name for owner, names in USED.items() for name in names if not hasattr(owner, name)] == []


async def test_the_library_builds_what_we_gave_it(served: Served):
    server = served.server
    assert type(server.eio) is transports.Engine
    assert isinstance(server.manager, rooms.RoomIndex)
    assert server.packet_class is packets.TextPacket
    assert server.eio.handlers.keys() == {"connect", "message", "disconnect"}
    client = await served.polling()
    assert isinstance(server.eio.sockets[client.sid], connection.Connection)
