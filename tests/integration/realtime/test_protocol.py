"""The Engine.IO protocol (version 4) and the Socket.IO protocol (version 5), as their own test suites ask for them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from tests.support.bare import DEADLINE_S, Served, receive, serving

PING_INTERVAL_S, PING_TIMEOUT_S = 0.3, 0.2
OPENING = {"pingInterval": 300, "pingTimeout": 200, "maxPayload": 1_000_000}
BINARY = '452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'


@asynccontextmanager
async def _echoing(**options: Any) -> AsyncIterator[Served]:
    """The echo server of the suites."""
    limits = {"strict": False, "max_message_bytes": 1_000_000, "max_attachment_bytes": 1_000_000}
    async with serving(**limits, **options) as found:
        for namespace in ("/", "/custom"):
            _echo(found, namespace)
        yield found


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """With pings so seldom that they do not come into it, however busy the machine is."""
    async with _echoing() as found:
        yield found


@pytest.fixture
async def pinging() -> AsyncIterator[Served]:
    """With pings as the suites have them."""
    async with _echoing(ping_interval_s=PING_INTERVAL_S, ping_timeout_s=PING_TIMEOUT_S) as found:
        yield found


def _echo(served: Served, namespace: str) -> None:
    async def connect(sid: str, _environ: Any, auth: Any) -> None:
        await served.server.emit("auth", auth or {}, to=sid, namespace=namespace)

    async def message(sid: str, *values: Any) -> None:
        await served.server.emit("message-back", values, to=sid, namespace=namespace)

    async def message_with_ack(_sid: str, *values: Any) -> Any:
        return values

    served.server.on("connect", connect, namespace=namespace)
    served.server.on("message", message, namespace=namespace)
    served.server.on("message-with-ack", message_with_ack, namespace=namespace)


async def _gone(socket: ClientWebSocketResponse) -> None:
    """Return when the connection is closed, whatever comes before."""
    async with asyncio.timeout(DEADLINE_S):
        while (await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
            pass


async def _frames(socket: ClientWebSocketResponse, number: int) -> list[str | bytes]:
    """The next frames that are no pings."""
    found: list[str | bytes] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < number:
            message = await socket.receive()
            assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), message
            found += [] if message.data == "2" else [message.data]
    return found


async def _status(served: Served, query: str, method: str = "GET") -> int:
    async with served.http.request(method, f"{served.url}?{query}") as answer:
        return answer.status


async def test_a_session_is_opened_by_polling(pinging: Served):
    async with pinging.http.get(f"{pinging.url}?EIO=4&transport=polling") as answer:
        assert answer.status == 200
        content = await answer.text()
    assert content[0] == "0"
    opening = json.loads(content[1:])
    assert opening == {"sid": opening["sid"], "upgrades": ["websocket"], **OPENING}


async def test_a_session_is_opened_by_a_websocket(pinging: Served):
    async with pinging.http.ws_connect(f"{pinging.url}?EIO=4&transport=websocket") as socket:
        opening = json.loads((await receive(socket))[1:])
        assert opening == {"sid": opening["sid"], "upgrades": [], **OPENING}


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", "transport=polling"),
        ("GET", "EIO=abc&transport=polling"),
        ("GET", "EIO=3&transport=polling"),
        ("GET", "EIO=4"),
        ("GET", "EIO=4&transport=abc"),
        ("GET", "EIO=4&transport=constructor"),
        ("GET", "EIO=4&transport=websocket"),
        ("GET", "EIO=4&transport=polling&sid=unknown"),
        ("POST", "EIO=4&transport=polling"),
        ("PUT", "EIO=4&transport=polling"),
        ("DELETE", "EIO=4&transport=polling"),
        ("HEAD", "EIO=4&transport=polling"),
    ],
)
async def test_a_request_that_opens_nothing_is_400(served: Served, method: str, query: str):
    assert await _status(served, query, method) == 400
    assert not served.server.eio.sockets


@pytest.mark.parametrize(
    "query", ["transport=websocket", "EIO=abc&transport=websocket", "EIO=4", "EIO=4&transport=abc"]
)
async def test_a_websocket_that_opens_nothing_is_refused(served: Served, query: str):
    with pytest.raises(WSServerHandshakeError):
        await served.http.ws_connect(f"{served.url}?{query}")


async def test_options_stay_for_pages_of_other_origins(served: Served):
    assert await _status(served, "EIO=4&transport=polling", "OPTIONS") == 200


async def test_packets_by_polling_one_and_several(served: Served):
    client = await served.polling()
    assert await client.post("40") == (200, "ok")
    connected, greeting = await client.packets(2)
    assert (connected[:2], greeting) == ("40", '42["auth",{}]')
    assert await client.post('42["message","a"]') == (200, "ok")
    assert await client.packets(1) == ['42["message-back","a"]']
    assert await client.post("\x1e".join(f'42["message",{number}]' for number in range(3))) == (200, "ok")
    assert await client.packets(3) == [f'42["message-back",{number}]' for number in range(3)]


async def test_binary_by_polling(served: Served):
    client = await served.polling()
    assert await client.post("40") == (200, "ok")
    await client.packets(2)
    assert await client.post(f"{BINARY}\x1ebAQIDBA==\x1ebBQ==") == (200, "ok")
    assert await client.packets(3) == [BINARY.replace("message", "message-back"), "bAQIDBA==", "bBQ=="]


@pytest.mark.parametrize("body", ["abc", "", "b***", "4", "2", "4abc"])
async def test_what_is_no_payload_ends_the_session(served: Served, body: str):
    client = await served.polling()
    assert (await client.post(body))[0] == 400
    assert (await client.get())[0] == 400


async def test_a_second_poll_ends_the_session(served: Served):
    client = await served.polling()
    first = asyncio.create_task(client.get())
    await client.is_waiting()
    assert (await client.get())[0] == 400
    assert await first == (200, "1")
    assert (await client.get())[0] == 400


@pytest.mark.parametrize(
    "frame", ["abc", "", "2", "4abc", "42{}", '42abc["message-with-ack",1]', "0", "2probe"]
)
async def test_a_malformed_frame_closes_the_websocket(served: Served, frame: str):
    async with served.socket() as socket:
        await socket.send_str("40")
        await _frames(socket, 2)
        await socket.send_str(frame)
        await _gone(socket)


async def test_pings_by_polling(pinging: Served):
    client = await pinging.polling()
    for _ in range(3):
        assert await client.get() == (200, "2")
        assert await client.post("3") == (200, "ok")


async def test_pings_by_websocket(pinging: Served):
    async with pinging.socket() as socket:
        for _ in range(3):
            assert await receive(socket) == "2"
            await socket.send_str("3")


async def test_a_polling_client_that_answers_no_ping_is_closed(pinging: Served):
    client = await pinging.polling()
    await asyncio.sleep(PING_INTERVAL_S + PING_TIMEOUT_S)  # as the suite does: from then on it is too late
    assert (await client.get())[0] == 400
    assert not pinging.server.eio.sockets


async def test_a_websocket_that_answers_no_ping_is_closed(pinging: Served):
    async with pinging.socket() as socket:
        began = asyncio.get_running_loop().time()
        await _gone(socket)
        took_s = asyncio.get_running_loop().time() - began
    assert took_s > PING_INTERVAL_S


async def test_a_client_that_closes_ends_its_pending_poll(served: Served):
    client = await served.polling()
    pending = asyncio.create_task(client.get())
    await client.is_waiting()
    assert await client.post("1") == (200, "ok")
    assert await pending == (200, "6")
    assert (await client.get())[0] == 400


async def test_a_client_that_closes_its_websocket_session(served: Served):
    async with served.socket() as socket:
        await socket.send_str("1")
        await _gone(socket)


async def test_an_upgrade_answers_the_probe_and_ends_polling(served: Served):
    client = await served.polling()
    async with client.upgrade() as socket:
        await socket.send_str("2probe")
        assert await receive(socket) == "3probe"
        assert await client.get() == (200, "6")
        await socket.send_str("5")
        await socket.send_str("40")
        connected, greeting = await _frames(socket, 2)
        assert (connected[:2], greeting) == ("40", '42["auth",{}]')


async def test_an_upgrade_ends_the_poll_that_waits(served: Served):
    client = await served.polling()
    pending = asyncio.create_task(client.get())
    await client.is_waiting()
    async with client.upgrade() as socket:
        await socket.send_str("2probe")
        assert await pending == (200, "6")
        assert await receive(socket) == "3probe"


async def test_after_an_upgrade_requests_with_its_sid_are_400(served: Served):
    client = await served.polling()
    async with client.upgrade() as socket:
        await socket.send_str("2probe")
        await socket.send_str("5")
        assert (await client.get())[0] == 400
        assert (await client.post("40"))[0] == 400
        await socket.send_str("40")
        assert (await _frames(socket, 2))[0] == "3probe"


async def test_after_an_upgrade_a_second_websocket_is_closed_and_hurts_nobody(served: Served):
    client = await served.polling()
    async with client.upgrade() as socket:
        await socket.send_str("2probe")
        await socket.send_str("5")
        async with client.upgrade() as second:
            await _gone(second)
        await socket.send_str("40")
        probed, connected, greeting = await _frames(socket, 3)
        assert (probed, connected[:2], greeting) == ("3probe", "40", '42["auth",{}]')


@pytest.mark.parametrize("namespace", ["", "/custom,"])
@pytest.mark.parametrize("auth", ["", '{"token":"123"}'])
async def test_a_namespace_is_entered(served: Served, namespace: str, auth: str):
    async with served.socket() as socket:
        await socket.send_str(f"40{namespace}{auth}")
        connected = await receive(socket)
        assert connected.startswith(f"40{namespace}{{")
        handshake = json.loads(connected.removeprefix(f"40{namespace}"))
        assert list(handshake) == ["sid"]
        assert await receive(socket) == f'42{namespace}["auth",{auth or "{}"}]'


@pytest.mark.parametrize("frame", ["40/random", "40/random,", '40/random,{"token":1}'])
async def test_a_namespace_that_is_not_there_is_refused(served: Served, frame: str):
    async with served.socket() as socket:
        await socket.send_str(frame)
        assert await receive(socket) == '44/random,{"message":"Invalid namespace"}'


async def test_a_client_that_sends_no_handshake_is_closed(pinging: Served):
    async with pinging.socket() as socket:
        await _gone(socket)


async def test_leaving_the_main_namespace_keeps_the_connection(pinging: Served):
    async with pinging.socket() as socket:
        await socket.send_str("40")
        await _frames(socket, 2)
        await socket.send_str("41")
        assert await receive(socket) == "2"


async def test_leaving_a_custom_namespace_keeps_the_main_one(served: Served):
    async with served.socket() as socket:
        await socket.send_str("40")
        await _frames(socket, 2)
        await socket.send_str("40/custom")
        await _frames(socket, 2)
        await socket.send_str("41/custom")
        await socket.send_str('42["message","message to main namespace"]')
        assert await _frames(socket, 1) == ['42["message-back","message to main namespace"]']


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ('42["message",1,"2",{"3":[true]}]', '42["message-back",1,"2",{"3":[true]}]'),
        ('42456["message-with-ack",1,"2",{"3":[false]}]', '43456[1,"2",{"3":[false]}]'),
    ],
)
async def test_a_message_is_answered(served: Served, sent: str, answered: str):
    async with served.socket() as socket:
        await socket.send_str("40")
        await _frames(socket, 2)
        await socket.send_str(sent)
        assert await _frames(socket, 1) == [answered]


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (BINARY, BINARY.replace("message", "message-back")),
        (
            BINARY.replace("452-", "452-789").replace("message", "message-with-ack"),
            '462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
        ),
    ],
)
async def test_a_binary_message_is_answered(served: Served, sent: str, answered: str):
    async with served.socket() as socket:
        await socket.send_str("40")
        await _frames(socket, 2)
        await socket.send_str(sent)
        await socket.send_bytes(b"\1\2\3")
        await socket.send_bytes(b"\4\5\6")
        assert await _frames(socket, 3) == [answered, b"\1\2\3", b"\4\5\6"]
