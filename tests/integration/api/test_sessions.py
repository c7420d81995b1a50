"""Live sessions as admins see and end them."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession

from tests.support.http import PASSWORD, bearer, log_in
from tests.support.waiting import ask_until
from tests.support.wire import live_wire


@pytest.fixture(scope="module")
def database(database_of_each_kind):
    return database_of_each_kind


def listed(admin, **query):
    answer = admin.get("sessions", query=query)
    assert answer.status == 200, answer
    return answer.body["items"]


def session_id(wire):
    return wire.of("session")[0]["session_id"]


async def test_a_session_is_listed_as_its_client_knows_it_while_it_is_there(admin, server):
    login = log_in(server.url, "zhangsan")
    async with live_wire(server.url, login["access_token"]) as wire:
        (shown,) = listed(admin, user="1")
        connected_at = datetime.fromisoformat(shown["connected_at"])
        expires_at = datetime.fromisoformat(shown["expires_at"])
        assert shown == {
            "id": session_id(wire),
            "user_id": "1",
            "username": "zhangsan",
            "login_id": shown["login_id"],
            "key_id": None,
            "connected_at": shown["connected_at"],
            "expires_at": shown["expires_at"],
            "transport": "websocket",
        }
        assert shown["login_id"]
        assert abs((datetime.now(UTC) - connected_at).total_seconds()) < 30
        assert 800 < (expires_at - connected_at).total_seconds() <= 900
        assert listed(admin, user="2") == []
        assert listed(admin, user="unknown") == []

        # A client that leaves is gone from the list once the server has noticed.
        await wire.socket.close()
        await asyncio.to_thread(ask_until, lambda: listed(admin, user="1"), lambda found: not found)


async def test_sessions_of_everybody_come_in_pages(admin, server):
    zhangsan, lisi = (log_in(server.url, name)["access_token"] for name in ("zhangsan", "lisi"))
    async with (
        live_wire(server.url, zhangsan) as first,
        live_wire(server.url, zhangsan) as second,
        live_wire(server.url, lisi) as third,
    ):
        found, cursor = [], None
        while cursor is not None or not found:
            query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = admin.get("sessions", query=query).body
            found += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert sorted(found) == sorted(map(session_id, (first, second, third)))
        assert {item["id"] for item in listed(admin, user="1")} == {session_id(first), session_id(second)}


async def test_ending_a_session_ends_the_login_behind_it_everywhere_and_no_other(admin, nobody, server):
    mine, other = log_in(server.url, "zhangsan"), log_in(server.url, "zhangsan")
    async with (
        live_wire(server.url, mine["access_token"]) as wire,
        live_wire(server.url, other["access_token"]) as stays,
    ):
        place = f"sessions/{session_id(wire)}"
        login_id = next(s["login_id"] for s in listed(admin) if s["id"] == session_id(wire))
        assert nobody.get("me", headers=bearer(mine["access_token"])).status == 200

        answer = admin.delete(place)

        assert (answer.status, answer.content) == (204, b"")
        await wire.until(lambda: wire.closed)
        ending = wire.of("session")[-1]
        assert (ending["state"], ending["reason"], ending["retry"]) == ("ending", "revoked", False)
        assert admin.delete(place).code == "session_not_found"
        assert nobody.get("me", headers=bearer(mine["access_token"])).code == "token_revoked"
        refreshed = nobody.post("auth/refresh", {"refresh_token": mine["refresh_token"]})
        assert refreshed.code == "token_revoked"
        assert nobody.get("me", headers=bearer(other["access_token"])).status == 200
        assert (await stays.call("ping", {"timestamp": 1}))["ok"] is True
    (entry,) = admin.get("audit", query={"target": f"session:{session_id(wire)}"}).body["items"]
    assert (entry["action"], entry["actor_id"]) == ("session.ended", "4")
    assert entry["details"] == {"user": "1", "login": login_id, "key": None}


async def test_a_session_that_lives_by_a_key_is_ended_alone(admin, server, caller):
    made = admin.post("keys", {"name": "listener", "rooms": [], "user_id": "2"}).body
    async with live_wire(server.url, made["key"]) as wire:
        (shown,) = listed(admin, user="2")
        assert (shown["login_id"], shown["key_id"], shown["expires_at"]) == (None, made["id"], None)

        assert admin.delete(f"sessions/{shown['id']}").status == 204

        await wire.until(lambda: wire.closed)
        assert wire.of("session")[-1]["reason"] == "revoked"
    assert caller({"X-API-Key": made["key"]}).get("me").body["id"] == "2"
    (entry,) = admin.get("audit", query={"target": f"session:{shown['id']}"}).body["items"]
    assert entry["details"] == {"user": "2", "login": None, "key": made["id"]}


async def test_a_client_that_polls_is_listed_as_one(admin, server):
    token = log_in(server.url, "wangwu")["access_token"]
    address = f"{server.url}/socket.io/?EIO=4&transport=polling"
    async with ClientSession() as http:
        async with http.get(address) as opened:
            sid = json.loads((await opened.text())[1:])["sid"]
        async with http.post(f"{address}&sid={sid}", data=f'40{{"token":"{token}"}}') as posted:
            assert posted.status == 200
        async with http.get(f"{address}&sid={sid}") as polled:
            assert "40" in await polled.text()
        (shown,) = listed(admin, user="3")
        assert shown["transport"] == "polling"
        assert shown["id"] != sid  # the engine's id opens the connection; it is nobody's business
        assert admin.delete(f"sessions/{shown['id']}").status == 204


async def test_what_admins_do_is_felt_by_live_sessions_at_once(admin, nobody, server):
    def made(**fields):
        return admin.post("users", {"password": PASSWORD, **fields}).body["id"]

    closed, reset, left = made(username="closed"), made(username="reset"), made(username="left")
    key = admin.post("keys", {"name": "listener", "rooms": [], "user_id": "3"}).body
    tokens = [log_in(server.url, name)["access_token"] for name in ("closed", "reset", "left")]
    async with (
        live_wire(server.url, tokens[0]) as of_closed,
        live_wire(server.url, tokens[1]) as of_reset,
        live_wire(server.url, tokens[2]) as of_left,
        live_wire(server.url, key["key"]) as of_key,
    ):
        assert admin.put(f"projects/1/members/{left}", {"roles": ["reviewer"]}).status == 200
        assert (await of_left.wait("rooms"))[0]["joined"].keys() == {"project:1", "project:1:reviewer"}
        assert admin.delete(f"projects/1/members/{left}").status == 204
        assert set((await of_left.wait("rooms", 2))[1]["left"]) == {"project:1", "project:1:reviewer"}

        assert admin.patch(f"users/{closed}", {"disabled": True}).status == 200
        assert admin.patch(f"users/{reset}", {"password": "another password"}).status == 200
        assert nobody.post("auth/logout", {"all": True}, headers=bearer(tokens[2])).status == 204
        assert admin.delete(f"keys/{key['id']}").status == 204

        for wire in (of_closed, of_reset, of_left, of_key):
            await wire.until(lambda wire=wire: wire.closed, within_s=2)
            ending = wire.of("session")[-1]
            assert (ending["state"], ending["reason"], ending["retry"]) == ("ending", "revoked", False)
