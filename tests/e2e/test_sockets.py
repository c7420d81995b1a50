"""Sockets by example: what is refused, how, and that it hurts nobody else."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
import socketio

from tests.support.processes import SECRET_KEY, ServerProcess, run_command
from tests.support.stage import Caller, Recorder, demo_server, logged_in, until

EVENTS = ("session", "notification", "changed", "summary", "inbox", "pong")
OBJECT_EVENTS = ("ping", "ack", "sync", "read", "seen", "archive", "authenticate")


@pytest.fixture
def server(sqlite_demo: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    copy = tmp_path / "log.db"
    copy.write_bytes(sqlite_demo.read_bytes())
    server = demo_server(f"sqlite:///{copy}", tmp_path)
    with server:
        yield server


@pytest.fixture(scope="module")
def common_server(sqlite_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """For tests that leave nothing in the log: they share one."""
    folder = tmp_path_factory.mktemp("common")
    copy = folder / "log.db"
    copy.write_bytes(sqlite_demo.read_bytes())
    with demo_server(f"sqlite:///{copy}", folder) as server:
        yield server


class Heard(Recorder):
    def of(self, event: str) -> list[Any]:
        return [payload for name, payload in self if name == event]


@asynccontextmanager
async def connected(url: str, auth: Any) -> AsyncIterator[tuple[Heard, socketio.AsyncClient]]:
    heard = Heard()
    client = socketio.AsyncClient(reconnection=False)
    for event in (*EVENTS, "connect_error", "disconnect"):
        client.on(event, lambda *payload, event=event: heard.append((event, payload[0] if payload else None)))
    await client.connect(url, auth=auth, transports=["websocket"], wait=False)
    try:
        yield heard, client
    finally:
        await client.disconnect()


def token(**changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": "notify", "aud": "notify", "sub": "1", "sid": "L", "jti": "J", "use": "access"}
    claims |= {"iat": now, "exp": now + 3_600} | changes.pop("claims", {})
    return jwt.encode(claims, changes.pop("key", SECRET_KEY), **{"algorithm": "HS256", **changes})


REFUSED = {
    "no auth": (None, "token_missing"),
    "an empty object": ({}, "token_missing"),
    "a list": (["token"], "token_missing"),
    "an empty token": ({"token": ""}, "token_missing"),
    "a number": ({"token": 7}, "token_invalid"),
    "garbage": ({"token": "garbage"}, "token_invalid"),
    "an unknown key": ({"token": "nk_unknown"}, "token_invalid"),
    "another secret": ({"token": token(key="x" * 32)}, "token_invalid"),
    "no algorithm": ({"token": token(key=None, algorithm="none")}, "token_invalid"),
    "another audience": ({"token": token(claims={"aud": "others"})}, "token_invalid"),
    "another issuer": ({"token": token(claims={"iss": "others"})}, "token_invalid"),
    "a refresh token": ({"token": token(claims={"use": "refresh"})}, "token_invalid"),
    "a token not valid yet": ({"token": token(claims={"nbf": int(time.time()) + 86_400})}, "token_invalid"),
    "an expired token": ({"token": token(claims={"exp": 1_000_000_000})}, "token_expired"),
    "nobody's token": ({"token": token(claims={"sub": "999"})}, "token_revoked"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_connection_is_refused_with_the_right_code_and_hears_nothing(
    common_server: ServerProcess, name: str
):
    auth, code = REFUSED[name]
    async with connected(common_server.url, auth) as (heard, _):
        await until(lambda: heard.of("connect_error"))
        assert heard.of("connect_error") == [{"message": "unauthorized", "data": {"code": code}}]
        assert [event for event, _ in heard if event in EVENTS] == []


async def test_a_signed_token_of_a_person_is_let_in(common_server: ServerProcess):
    async with connected(common_server.url, {"token": token()}) as (heard, _):
        await until(lambda: heard.of("summary"))


@pytest.mark.parametrize(
    "claim",
    [
        {"epoch": "another"},
        {"position": {"user:1": 0}},
        {"epoch": "another", "position": {"user:1": 0}},
        {"epoch": 7, "position": "nonsense"},
        {"epoch": "another", "position": {"user:1": -1}},
    ],
)
async def test_a_claim_that_means_nothing_is_answered_by_not_recovered(
    common_server: ServerProcess, claim: dict[str, Any]
):
    async with connected(common_server.url, {"token": token(), **claim}) as (heard, _):
        await until(lambda: heard.of("summary"))
        assert set(heard.of("session")[0]["recovered"].values()) == {False}
        assert heard.of("summary")[0]["recovered"] is False


async def test_a_position_above_the_head_is_not_recovered_and_the_others_are(common_server: ServerProcess):
    async with connected(common_server.url, {"token": token()}) as (heard, _):
        await until(lambda: heard.of("summary"))
        session = heard.of("session")[0]
    claim = {"epoch": session["epoch"], "position": {**session["position"], "user:1": 10**9}}
    async with connected(common_server.url, {"token": token(), **claim}) as (heard, _):
        await until(lambda: heard.of("summary"))
        recovered = heard.of("session")[0]["recovered"]
        assert recovered.pop("user:1") is False
        assert set(recovered.values()) == {True}


async def test_events_come_in_the_documented_order(server: ServerProcess):
    async with logged_in(server.url, "admin") as admin:
        async with connected(server.url, {"token": token()}) as (heard, _):
            await until(lambda: heard.of("summary"))
            session = heard.of("session")[0]
        await admin.publish("user:1", title="missed")
        claim = {"epoch": session["epoch"], "position": session["position"]}
        async with connected(server.url, {"token": token(), **claim}) as (heard, _):
            await until(lambda: heard.of("summary"))
            order = [(event, payload.get("state")) for event, payload in heard]
    assert order == [
        ("session", "syncing"),
        ("notification", None),
        ("session", "live"),
        ("summary", None),
    ]


@pytest.mark.parametrize("event", OBJECT_EVENTS)
async def test_an_event_of_the_wrong_shape_is_answered_and_hurts_nobody(
    common_server: ServerProcess, event: str
):
    wrong = [None, 7, "text", [], [1], {}, {"nonsense": 1}, {"epoch": 5}, {"ids": "x"}, {"all": "yes"}]
    wrong += [
        {"epoch": "e", "position": {"user:1": "x"}},
        {"token": 5},
        {"through": {"a": -1}},
        {"ids": [], "all": True},
    ]
    async with connected(common_server.url, {"token": token()}) as (heard, client):
        await until(lambda: heard.of("summary"))
        for payload in wrong:
            answer = await client.call(event, payload)
            assert answer["ok"] is False, payload
            assert answer["error"]["code"] == "validation_failed"
        assert (await client.call("nobody knows", {}))["error"]["code"] == "unknown_event"
        assert (await client.call("ping", {"type": "ping", "timestamp": 1}))["type"] == "pong"
        assert not heard.of("disconnect")


async def test_rooms_that_are_not_mine_are_left_out_of_sync_and_ack(server: ServerProcess):
    async with logged_in(server.url, "admin") as admin:
        await admin.publish("user:2", title="not for 1")
        async with connected(server.url, {"token": token()}) as (heard, client):
            await until(lambda: heard.of("summary"))
            position = {"epoch": heard.of("session")[0]["epoch"], "position": {"user:2": 0, "user:1": 0}}
            answer = await client.call("sync", position)
            assert answer == {
                "ok": True,
                "recovered": {"user:1": True},
                "position": {"user:1": 0},
                "skip": {},
            }
            assert (await client.call("ack", position)) == {"ok": True}
            assert (await client.call("ack", {**position, "epoch": "another"})) == {"ok": True}
            marked = await client.call("read", {"through": {"user:2": 1}})
            assert (marked["ok"], marked["version"]) == (True, 0)
            assert heard.of("notification") == []


async def test_sync_replays_what_is_missing_behind_its_answer(server: ServerProcess):
    async with logged_in(server.url, "admin") as admin:
        for number in range(3):
            await admin.publish("user:1", title=str(number))
        async with connected(server.url, {"token": token()}) as (heard, client):
            await until(lambda: heard.of("summary"))
            answer = await client.call(
                "sync", {"epoch": heard.of("session")[0]["epoch"], "position": {"user:1": 1}}
            )
            assert answer["position"] == {"user:1": 3}
            await until(lambda: len(heard.of("notification")) >= 2)
            assert [n["offset"] for n in heard.of("notification")] == [2, 3]
            await admin.publish("user:1", title="live again")
            await until(lambda: len(heard.of("notification")) >= 3)


async def test_an_update_and_a_retraction_reach_live_and_late_clients(server: ServerProcess):
    async with logged_in(server.url, "admin") as admin:
        async with connected(server.url, {"token": token()}) as (heard, _):
            await until(lambda: heard.of("summary"))
            session = heard.of("session")[0]
            kept = await admin.publish("user:1", title="kept")
            gone = await admin.publish("user:1", title="gone")
            await admin.call("PATCH", f"notifications/{kept['id']}", {"title": "mended", "expires_at": None})
            assert (await admin.call("DELETE", f"notifications/{gone['id']}"))[0] == 204
            await until(lambda: len(heard.of("changed")) >= 2)
            live = heard.of("changed")
        assert [(c["kind"], c["id"], c["offset"]) for c in live] == [
            ("update", kept["id"], 3),
            ("retract", gone["id"], 4),
        ]
        assert live[0]["set"] == {"title": "mended", "expires_at": None}
        assert live[0]["by"] == {"id": "4", "name": "管理员"}
        claim = {"epoch": session["epoch"], "position": session["position"]}
        async with connected(server.url, {"token": token(), **claim}) as (heard, _):
            await until(lambda: heard.of("summary"))
            assert [n["title"] for n in heard.of("notification")] == ["mended"]
            assert heard.of("changed") == live
            assert heard.of("session")[0]["skip"] == {"user:1": [[2, 2]]}


async def test_a_token_that_runs_out_ends_the_session_and_a_fresh_one_keeps_it(server: ServerProcess):
    short = token(claims={"exp": int(time.time()) + 3})
    async with (
        connected(server.url, {"token": short}) as (ending, _),
        connected(server.url, {"token": short}) as (staying, client),
    ):
        await until(lambda: ending.of("summary") and staying.of("summary"))
        answer = await client.call("authenticate", {"token": token()})
        assert answer["ok"] is True
        assert 3_500 <= answer["expires_in"] <= 3_600
        await until(lambda: ending.of("disconnect"))
        last = ending.of("session")[-1]
        assert (last["state"], last["reason"], last["retry"]) == ("ending", "token_expired", True)
        assert (await client.call("ping", {"timestamp": 1}))["type"] == "pong"
        other = await client.call("authenticate", {"token": token(claims={"sub": "2"})})
        assert other["error"]["code"] == "token_invalid"


async def test_logging_out_ends_the_live_sessions_of_that_login_only(server: ServerProcess):
    async with logged_in(server.url, "zhangsan") as one, logged_in(server.url, "zhangsan") as two:
        async with (
            connected(server.url, {"token": one.token}) as (ended, _),
            connected(server.url, {"token": two.token}) as (kept, client),
        ):
            await until(lambda: ended.of("summary") and kept.of("summary"))
            assert (await one.call("POST", "auth/logout"))[0] == 204
            await until(lambda: ended.of("disconnect"))
            last = ended.of("session")[-1]
            assert (last["state"], last["reason"], last["retry"]) == ("ending", "revoked", False)
            assert (await client.call("ping", {"timestamp": 1}))["type"] == "pong"
        async with connected(server.url, {"token": one.token}) as (heard, _):
            await until(lambda: heard.of("connect_error"))
            assert heard.of("connect_error")[0]["data"]["code"] == "token_revoked"


async def test_an_api_key_of_a_person_may_listen_and_one_of_nobody_may_not(common_server: ServerProcess):
    listening, publishing = [
        await _key(common_server, *options) for options in (("--user", "1"), ("--room", "user:*"))
    ]
    async with connected(common_server.url, {"token": listening}) as (heard, _):
        await until(lambda: heard.of("summary"))
        assert heard.of("session")[0]["user_id"] == "1"
    async with connected(common_server.url, {"token": publishing}) as (heard, _):
        await until(lambda: heard.of("connect_error"))


async def _key(server: ServerProcess, *options: str) -> str:
    env = {"DATABASE_URL": server.database_url}
    made = await asyncio.to_thread(run_command, "key", "add", "test", *options, env=env)
    return made.stdout.strip()


async def test_one_person_has_only_so_many_sessions_and_those_are_not_disturbed(
    sqlite_demo: Path, tmp_path: Path
):
    url = f"sqlite:///{shutil.copy(sqlite_demo, tmp_path / 'log.db')}"
    with demo_server(url, tmp_path, env={"MAX_SESSIONS_PER_USER": "2", "RETRY_MAX_MS": "1000"}) as server:
        zhangsan, lisi = {"token": token()}, {"token": token(claims={"sub": "2"})}
        async with (
            connected(server.url, zhangsan) as (first, one),
            connected(server.url, zhangsan) as (second, _),
            connected(server.url, lisi) as (other, _),
            logged_in(server.url, "admin") as admin,
        ):
            here = (first, second, other)
            await until(lambda: all(heard.of("summary") for heard in here))
            async with connected(server.url, zhangsan) as (third, _):
                await until(lambda: third.of("disconnect"))
                (ending,) = third.of("session")
                assert 1_000 <= ending.pop("retry_ms") <= 1_200
                assert ending == {"state": "ending", "reason": "too_many_sessions", "retry": True}
            await admin.publish("global", title="for those that are here")
            await until(lambda: all(heard.of("notification") for heard in here))
            assert not any(heard.of("disconnect") for heard in here)
            await one.disconnect()
            async with connected(server.url, zhangsan) as (third, _):
                await until(lambda: third.of("summary"))


async def test_a_server_that_stops_says_so_and_ends_soon(server: ServerProcess):
    async with connected(server.url, {"token": token()}) as (heard, _):
        await until(lambda: heard.of("summary"))
        began = time.monotonic()
        assert await asyncio.to_thread(server.stop) == 0
        assert time.monotonic() - began < 10
        last = heard.of("session")[-1]
        assert (last["state"], last["reason"], last["retry"]) == ("ending", "server_stopping", True)
        assert last["retry_ms"] >= 100
    await asyncio.to_thread(server.start)


async def test_somebody_who_reads_nothing_is_cut_and_the_others_hear_everything(server: ServerProcess):
    async with logged_in(server.url, "admin") as admin:
        caller: Caller = admin
        async with connected(server.url, {"token": token()}) as (heard, _):
            await until(lambda: heard.of("summary"))
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
            writer.write(
                b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            frame = f'40{{"token":"{token()}"}}'.encode()
            writer.write(b"\x81" + bytes([0x80 | 126]) + len(frame).to_bytes(2) + b"\0\0\0\0" + frame)
            await writer.drain()
            await reader.readuntil(b'"state":"live"')
            writer.transport.pause_reading()
            total = 600
            try:
                for _ in range(total):
                    await caller.publish("user:1", content="x" * 9_000)
                await until(lambda: len(heard.of("notification")) >= total, 60)
                await asyncio.to_thread(server.wait_for_log, "slow_consumer")
            finally:
                writer.transport.abort()
