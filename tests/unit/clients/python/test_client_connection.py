import asyncio
import contextlib
import gc
import logging
import time

import pytest
import socketio
import uvloop
from aiohttp import WSMsgType, web
from engineio.base_client import connected_clients

from clients.python import LoginError, connection, upkeep
from clients.python.auth import FixedToken
from clients.python.retry import Retry
from tests.unit.clients.python.conftest import Silence


@contextlib.asynccontextmanager
async def serving(handler):
    """A server that answers everything with `handler`."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_delays_double_up_to_the_greatest_and_jitter_only_adds():
    retry = Retry(3000, 30000, 10)
    assert [retry.delay_ms(attempt, 0) for attempt in range(6)] == [3000, 6000, 12000, 24000, 30000, 30000]
    assert retry.delay_ms(0, 1) == 3600
    assert retry.delay_ms(10**9, 1) == 36000


async def test_when_the_tries_are_used_up_it_is_offline_until_told_to_try(peer, start, record, caplog):
    caplog.set_level(logging.INFO, "clients.python")
    run = start()
    await (await peer.connected()).begin({"user:1": 0})
    await record.next("state", state="live")
    port = int(peer.url.rpartition(":")[2])
    await peer.stop()
    await record.next("state", state="offline")
    waits = [
        payload["attempt"]
        for event, payload in record.seen
        if payload.get("state") == "waiting" and event == "state"
    ]
    assert waits == [1, 2, 3]
    assert "ms 后尝试重连（第 1 次）" in caplog.text
    assert "🔔 [WS] 已达到最大重连次数" in caplog.text
    await peer.start(port)
    run.client.retry_now()
    assert (await peer.connected()).sent["position"] == {"user:1": 0}


async def test_a_session_that_went_live_has_all_tries_ahead_again(peer, start, record):
    start()
    for _ in range(5):
        link = await peer.connected()
        await link.begin({"user:1": 0})
        await record.next("state", state="live")
        await link.cut()
        assert (await record.next("state", state="waiting"))["attempt"] == 1


async def test_what_comes_after_something_was_dropped_is_dropped_too(monkeypatch):
    monkeypatch.setattr(connection, "INBOX_EVENTS", 2)
    full = connection.Connection()
    for event in ("first", "second", "third"):
        full.deliver(event, {})
    assert await full.next() == ("first", {})
    full.deliver("fourth", {})
    assert await full.next() == ("second", {})
    waiting = asyncio.create_task(full.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await full.close()


async def test_retry_now_ends_a_wait(peer, start, record):
    run = start()
    link = await peer.connected()
    await link.begin({"user:1": 0}, retry_ms={"first": 600_000, "max": 600_000, "tries": 3})
    await record.next("state", state="live")
    await link.cut()
    await record.next("state", state="waiting")
    run.client.retry_now()
    await peer.connected()


async def test_closing_ends_a_wait(peer, start, record):
    run = start()
    link = await peer.connected()
    await link.begin({"user:1": 0}, retry_ms={"first": 600_000, "max": 600_000, "tries": 3})
    await record.next("state", state="live")
    await link.cut()
    await record.next("state", state="waiting")
    run.client.close()
    await run.over()


async def test_closing_ends_a_handshake_that_nobody_answers(start):
    asked = asyncio.Event()

    async def never(_request):
        asked.set()
        await asyncio.Event().wait()

    async with serving(never) as url:
        run = start(url=url)
        await asyncio.wait_for(asked.wait(), 5)
        run.client.close()
        await run.over()


async def test_a_connection_that_is_closed_instead_of_answered_is_tried_again_soon(peer, start, record):
    """That is how a server says "not now"; waiting for an answer to time out would cost ten seconds."""
    visits = 0
    accept = peer.sio.handlers["/"]["connect"]

    async def shut(sid, environ, auth):
        nonlocal visits
        visits += 1
        if visits == 1:
            request = environ["aiohttp.request"]
            request.transport.abort()
            await asyncio.sleep(0)
        return accept(sid, environ, auth)

    peer.sio.on("connect", shut)
    run = start()
    started = time.monotonic()
    run.client._retry = Retry(10, 10, 3)
    await record.next("state", state="waiting")
    await record.next("state", state="connecting")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("answer", ["", "hello", "0{}", "1", '0{"sid":1}', "\x1e"])
async def test_an_address_that_is_no_server_of_ours_may_become_one(start, record, answer):
    async def reply(request):
        if request.query.get("transport") != "websocket":
            return web.Response(text=answer)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(answer)
        await socket.close()
        return socket

    async with serving(reply) as url:
        for transport in ("websocket", "polling"):
            run = start(url=url, transports=(transport,))
            await record.next("state", state="waiting")
            run.client.close()
            await run.over()
    gc.collect()


async def test_websocket_is_what_it_connects_with(peer, start):
    start()
    await peer.connected()
    assert peer.transports == ["websocket"]


async def test_where_websocket_is_not_let_through_it_polls(peer, start, record):
    peer.sio.eio.transports = ["polling"]
    start()
    link = await peer.connected()
    assert peer.transports == ["polling"]
    await link.begin({"user:1": 0})
    await link.post("user:1", 1)
    await record.next("notification", offset=1)


async def test_a_polling_connection_that_falls_silent_is_left(peer, start, silence):
    peer.sio.eio.transports = ["polling"]
    peer.answers["ping"] = silence
    start()
    link = await peer.connected()
    await link.begin({"user:1": 4}, heartbeat_s=0.02)
    assert (await peer.connected()).sent == {"epoch": "e1", "position": {"user:1": 4}}


async def test_where_only_websocket_is_allowed_it_never_polls(peer, start, record):
    peer.sio.eio.transports = ["polling"]
    start(transports=("websocket",))
    await record.next("state", state="waiting")
    assert peer.unvisited()


async def test_a_server_under_a_path_is_found_there(start):
    sio = socketio.AsyncServer(async_mode="aiohttp")
    app = web.Application()
    sio.attach(app, "notify/socket.io")
    connected = asyncio.Event()
    sio.on("connect", lambda *_: connected.set())
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    run = start(url=f"http://127.0.0.1:{runner.addresses[0][1]}/notify/")
    await asyncio.wait_for(connected.wait(), 5)
    run.client.close()
    await run.over()
    await runner.cleanup()


class AtMessage(logging.Handler):
    """Calls a function in the very moment a line is logged."""

    def __init__(self, beginning, act):
        super().__init__()
        self.beginning, self.act = beginning, act

    def emit(self, record):
        if record.getMessage().startswith(self.beginning):
            self.act()


async def test_closing_between_the_handshake_and_the_session_is_not_missed(start, caplog):
    caplog.set_level(logging.INFO, "clients.python")
    run = start()
    trap = AtMessage("🔔 [WS] 通知服务连接成功", run.client.close)
    logging.getLogger("clients.python").addHandler(trap)
    try:
        await run.over()
    finally:
        logging.getLogger("clients.python").removeHandler(trap)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_closed_connection_leaves_nothing_behind(peer, start, record, transport):
    run = start(transports=(transport,))
    await (await peer.connected()).begin({"user:1": 0})
    await record.next("state", state="live")
    run.client.close()
    await run.over()
    assert not connected_clients
    mine = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
    assert not [name for name in mine if name.startswith(("AsyncClient", "Connection", "Session"))]


class Renewable(FixedToken):
    """Due once, at once."""

    refreshable = True

    def __init__(self):
        super().__init__("first")
        self.due = [0.0, None]

    def renewal_due_s(self):
        return self.due.pop(0)


async def test_an_open_connection_is_given_a_new_token_before_the_old_one_expires(peer, start):
    start(Renewable())
    link = await peer.connected()
    await link.begin({"user:1": 0})
    assert await link.said("authenticate") == {"token": "first"}
    assert not link.gone.is_set()


async def test_a_renewal_that_fails_on_the_way_is_tried_again(peer, start, monkeypatch):
    tokens = Renewable()
    fresh = iter([OSError("no route"), "second"])

    async def token():
        if len(tokens.due) == 2:
            return "first"
        found = next(fresh)
        if isinstance(found, OSError):
            raise found
        return found

    tokens.token = token
    monkeypatch.setattr(upkeep, "ANSWER_TIMEOUT_S", 0.5)
    start(tokens)
    link = await peer.connected()
    await link.begin({"user:1": 0})
    assert await link.said("authenticate") == {"token": "second"}


@pytest.mark.parametrize("answer", [Silence, {"ok": False, "error": {"code": "storage_unavailable"}}])
async def test_a_new_token_that_was_not_taken_is_offered_again_though_none_is_due(
    peer, start, monkeypatch, answer
):
    answers = iter([answer, {"ok": True}])
    peer.answers["authenticate"] = lambda _: next(answers)
    monkeypatch.setattr(upkeep, "ANSWER_TIMEOUT_S", 0.2)
    start(Renewable())
    link = await peer.connected()
    await link.begin({"user:1": 0})
    assert await link.said("authenticate") == {"token": "first"}
    assert await link.said("authenticate") == {"token": "first"}
    assert not link.gone.is_set()


def test_a_connection_can_be_cut_under_uvloop_too():
    async def hold(request):
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.receive()
        return websocket

    async def cut() -> WSMsgType:
        async with serving(hold) as url:
            cutting = connection.Connection()
            cutting._sio.eio.ws = websocket = await cutting._http.ws_connect(url)
            cutting.abort()
            message = await asyncio.wait_for(websocket.receive(), 5)
            await cutting._http.close()
            return message.type

    assert uvloop.run(cut()) is WSMsgType.CLOSED


async def test_a_login_that_is_refused_ends_the_client(start):
    async def provide():
        raise LoginError(401, "invalid_credentials")

    with pytest.raises(LoginError):
        await start(provide).over()


async def test_a_token_that_cannot_be_fetched_now_is_asked_for_again(peer, start, record):
    answers = iter([OSError("no route"), "later"])

    async def provide():
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    run = start(provide)
    await record.next("state", state="waiting")
    run.client.retry_now()
    assert (await peer.connected()).auth["token"] == "later"
