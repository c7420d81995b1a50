"""Tokens over the life of a connection: refused ones hear nothing, and a session is as good as its latest token."""

import asyncio
import itertools

import jwt
import pytest

from clients.python import NotificationClient, RefusedError, SessionEndedError
from tests.support.processes import SECRET_KEY, ServerProcess
from tests.support.stage import Recorder, logged_in, until
from tests.support.wire import live_wire, opened_wire


def signed_anew(token: str, key: str | None = SECRET_KEY, algorithm: str = "HS256", **claims: object) -> str:
    """A real token with other claims, another key or another algorithm."""
    real = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode({**real, **claims}, key, algorithm)


async def test_the_refused_hear_nothing_and_are_let_in_on_the_same_connection_with_a_good_token(
    server: ServerProcess,
):
    async with (
        logged_in(server.url, "admin") as admin,
        logged_in(server.url, "zhangsan") as zhangsan,
        logged_in(server.url, "zhangsan") as left,
    ):
        assert (await left.call("POST", "auth/logout"))[0] == 204
        good = zhangsan.token
        refused = (
            (None, "token_missing"),
            ({}, "token_missing"),
            ({"token": "garbage"}, "token_invalid"),
            ({"token": f"{good[:-4]}AAAA"}, "token_invalid"),
            ({"token": signed_anew(good, key="x" * 40)}, "token_invalid"),
            ({"token": signed_anew(good, key=None, algorithm="none")}, "token_invalid"),
            ({"token": zhangsan.refresh_token}, "token_invalid"),
            ({"token": signed_anew(good, exp=1_700_000_000, iat=1_600_000_000)}, "token_expired"),
            ({"token": left.token}, "token_revoked"),
            ({"token": signed_anew(good, sub="999")}, "token_revoked"),
        )
        async with opened_wire(server.url) as wire:
            for number, (auth, code) in enumerate(refused, 1):
                await wire.connect(auth)
                refusals = await wire.wait("connect_error", number)
                assert refusals[-1] == {"message": "unauthorized", "data": {"code": code}}, auth
                await admin.publish("user:1", "global", title="not for the refused")
            await wire.connect({"token": good})
            await wire.wait("summary")
            assert wire.names[len(refused) :] == ["connect", "session syncing", "session live", "summary"]
            await admin.publish("user:1", title="for those let in")
            assert [n["title"] for n in await wire.wait("notification")] == ["for those let in"]


async def test_a_session_belongs_to_the_login_of_its_latest_token(server: ServerProcess):
    async with (
        logged_in(server.url, "zhangsan") as first,
        logged_in(server.url, "zhangsan") as second,
        live_wire(server.url, first.token) as moved,
        live_wire(server.url, first.token) as stayed,
    ):
        assert (await moved.call("authenticate", {"token": second.token}))["ok"] is True
        await first.call("POST", "auth/logout")
        await stayed.until(lambda: stayed.closed)
        assert stayed.of("session")[-1]["reason"] == "revoked"
        assert (await moved.call("ping", {"timestamp": 1}))["ok"] is True
        await second.call("POST", "auth/logout")
        await moved.until(lambda: moved.closed)
        ending = moved.of("session")[-1]
        assert (ending["state"], ending["reason"], ending["retry"]) == ("ending", "revoked", False)


async def test_a_token_that_is_not_good_is_not_taken_and_costs_nothing(server: ServerProcess):
    async with (
        logged_in(server.url, "zhangsan") as zhangsan,
        logged_in(server.url, "lisi") as lisi,
        live_wire(server.url, zhangsan.token) as wire,
    ):
        for token, code in (
            (lisi.token, "token_invalid"),
            (zhangsan.refresh_token, "token_invalid"),
            (signed_anew(zhangsan.token, exp=1_700_000_000), "token_expired"),
            (signed_anew(zhangsan.token, key="x" * 40), "token_invalid"),
        ):
            answer = await wire.call("authenticate", {"token": token})
            assert (answer["ok"], answer["error"]["code"]) == (False, code)
        assert (await wire.call("ping", {"timestamp": 1}))["ok"] is True


async def test_the_client_says_for_good_when_its_login_is_ended(server: ServerProcess):
    async with logged_in(server.url, "zhangsan") as zhangsan:
        states = Recorder()
        client = NotificationClient(
            server.url, zhangsan.token, on_state=lambda state: states.append(state["state"])
        )
        running = asyncio.create_task(client.run())
        await until(lambda: "live" in states)
        await zhangsan.call("POST", "auth/logout")
        with pytest.raises(SessionEndedError) as ended:
            await asyncio.wait_for(running, 10)
        assert ended.value.reason == "revoked"
        with pytest.raises(RefusedError) as refused:
            await asyncio.wait_for(NotificationClient(server.url, zhangsan.token).run(), 10)
        assert refused.value.code == "token_revoked"


async def test_the_client_pings_every_interval_and_every_ping_is_answered(server: ServerProcess):
    async with logged_in(server.url, "zhangsan") as zhangsan:
        beats = Recorder()
        client = NotificationClient(server.url, zhangsan.token, on_heartbeat=beats.append)
        running = asyncio.create_task(client.run())
        await until(lambda: len(beats) >= 4)
        client.close()
        await running
    sent = [beat["timestamp"] for beat in beats]
    assert all(later - earlier >= 950 for earlier, later in itertools.pairwise(sent))
    assert {beat["type"] for beat in beats} == {"pong"}
    for beat in beats:
        assert beat["timestamp"] <= beat["server_time"] <= beat["timestamp"] + beat["latency_ms"] + 50
        assert beat["latency_ms"] < 5_000
