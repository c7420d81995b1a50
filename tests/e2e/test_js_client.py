"""The JavaScript package, built and in Node, against a real server: the promises of the Python client, kept again."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt

from clients.python import Publisher
from tests.support.listeners import JS, check_shown
from tests.support.processes import SECRET_KEY, Program, ServerProcess
from tests.support.proxy import TcpProxy
from tests.support.stage import PASSWORD, Caller, logged_in

ZHANGSAN = {"userId": "1", "username": "zhangsan", "password": PASSWORD}


class JavaScriptClient(Program):
    """`client.mjs` with what it wrote, one event a line."""

    def said(self, event: str) -> list[Any]:
        entries = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [entry["payload"] for entry in entries if entry["event"] == event]

    async def until(self, condition: Callable[[], Any], timeout_s: float = 30) -> None:
        """Return once `condition()` holds, which speaks of what was said."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            seen = len(self.lines)
            assert time.monotonic() < deadline, self.lines[-20:]
            await asyncio.to_thread(self.wait_for_log, "{", after=seen, timeout=timeout_s)

    async def until_live(self, times: int = 1) -> None:
        await self.until(lambda: len(self.said("summary")) >= times)

    async def until_shown(self, title: str) -> None:
        await self.until(lambda: title in [shown["title"] for shown in self.said("notification")])


@asynccontextmanager
async def client(server: ServerProcess, folder: Path, **spec: Any) -> AsyncIterator[JavaScriptClient]:
    """Running; live when its first summary came."""
    command = ("node", "client.mjs", json.dumps({"url": server.url, **(spec or ZHANGSAN)}))
    program = JavaScriptClient(command, log_path=folder / f"client{time.monotonic_ns()}.log", cwd=JS)
    await asyncio.to_thread(program.start)
    try:
        yield program
    finally:
        if program.running:
            await asyncio.to_thread(program.stop)


async def publish(admin: Caller, *titles: str, to: tuple[str, ...] = ("user:1",)) -> list[str]:
    return [(await admin.publish(*to, title=title))["id"] for title in titles]


async def test_nothing_is_lost_or_doubled_when_the_server_is_killed(server: ServerProcess, tmp_path: Path):
    async with logged_in(server.url, "admin") as admin, client(server, tmp_path) as js:
        await js.until_live()
        accepted = await publish(admin, "before")
        await js.until_shown("before")
        for life in range(3):
            accepted += await publish(admin, *(f"{life}.{number}" for number in range(20)))
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            accepted += await publish(admin, f"after {life}")
            await js.until_shown(f"after {life}")
            await js.until_live(life + 2)
        check_shown(js.said("notification"), accepted)
        await js.until(lambda: len(js.said("toast")) >= len(accepted))
        toasts = [toast["notification"]["id"] for toast in js.said("toast")]
        assert toasts == [shown["id"] for shown in js.said("notification")]
        assert not any(False in s["recovered"].values() for s in js.said("session") if "recovered" in s)


async def test_a_reload_goes_on_where_the_page_was(sqlite_server: ServerProcess, tmp_path: Path):
    spec = {**ZHANGSAN, "storage": str(tmp_path / "storage.json")}
    async with logged_in(sqlite_server.url, "admin") as admin:
        async with client(sqlite_server, tmp_path, **spec) as js:
            await js.until_live()
            await publish(admin, "seen")
            await js.until_shown("seen")
        await publish(admin, "missed 1", "missed 2")
        async with client(sqlite_server, tmp_path, **spec) as js:
            await js.until_live()
            await publish(admin, "live")
            await js.until(lambda: len(js.said("toast")) == 3)
            assert [shown["title"] for shown in js.said("notification")] == ["missed 1", "missed 2", "live"]
            assert [toast["replayed"] for toast in js.said("toast")] == [True, True, False]
            assert [s["caught_up"] for s in js.said("session") if s["state"] == "live"] == [2]


async def test_what_a_listener_threw_at_comes_again_and_nothing_overtakes_it(
    sqlite_server: ServerProcess, tmp_path: Path
):
    spec = {**ZHANGSAN, "throwsAt": "b", "throws": 2}
    async with logged_in(sqlite_server.url, "admin") as admin, client(sqlite_server, tmp_path, **spec) as js:
        await js.until_live()
        await publish(admin, "a", "b", "c")
        await js.until(lambda: len(js.said("toast")) == 3)
        assert [shown["title"] for shown in js.said("notification")] == ["a", "b", "c"]
        assert [state["state"] for state in js.said("state")].count("waiting") == 2


async def test_a_listener_that_keeps_throwing_is_given_up_until_somebody_helps(
    sqlite_server: ServerProcess, tmp_path: Path
):
    spec = {**ZHANGSAN, "throwsAt": "b", "throws": 100}
    async with logged_in(sqlite_server.url, "admin") as admin, client(sqlite_server, tmp_path, **spec) as js:
        await js.until_live()
        await publish(admin, "b")
        await js.until(lambda: js.said("state")[-1] == {"state": "offline", "reason": "listener_failed"})
        assert js.said("notification") == []


async def test_what_comes_by_two_rooms_is_shown_and_toasted_once(
    sqlite_server: ServerProcess, tmp_path: Path
):
    async with logged_in(sqlite_server.url, "admin") as admin, client(sqlite_server, tmp_path) as js:
        await js.until_live()
        accepted = await publish(admin, "twice", to=("user:1", "role:annotator", "global"))
        accepted += await publish(admin, "last")
        await js.until(lambda: len(js.said("toast")) == 2)
        check_shown(js.said("notification"), accepted)
        assert [toast["notification"]["title"] for toast in js.said("toast")] == ["twice", "last"]


async def test_what_the_person_did_themselves_raises_no_toast(sqlite_server: ServerProcess, tmp_path: Path):
    spec = {**ZHANGSAN, "userId": "4", "username": "admin"}
    async with logged_in(sqlite_server.url, "admin") as admin, client(sqlite_server, tmp_path, **spec) as js:
        await js.until_live()
        status, made = await admin.call("POST", "keys", {"name": "k", "rooms": ["user:4"], "types": ["*"]})
        assert status == 201, made
        await publish(admin, "my own", to=("user:4",))
        async with Publisher(sqlite_server.url, api_key=made["key"]) as program:
            await program.publish(to=["user:4"], title="of a program")
        await js.until(lambda: js.said("toast"))
        assert [shown["title"] for shown in js.said("notification")] == ["my own", "of a program"]
        assert [toast["notification"]["title"] for toast in js.said("toast")] == ["of a program"]


def unread(js: JavaScriptClient) -> list[int]:
    return [view["counts"]["unread"] for view in js.said("view") if view["counts"]]


async def test_what_is_read_on_one_device_is_read_on_the_other(sqlite_server: ServerProcess, tmp_path: Path):
    async with (
        logged_in(sqlite_server.url, "admin") as admin,
        client(sqlite_server, tmp_path) as one,
        client(sqlite_server, tmp_path, **ZHANGSAN, readOnArrival=True) as other,
    ):
        await one.until(lambda: unread(one))
        await other.until(lambda: unread(other))
        before = unread(one)[-1]
        (id_,) = await publish(admin, "read it")

        def read_here() -> bool:
            view = one.said("view")[-1]
            rows = {row["id"]: row for row in view["rows"]}
            return id_ in rows and not rows[id_]["unread"] and view["counts"]["unread"] == before

        await one.until(read_here)
        await other.until(lambda: other.said("view")[-1]["pending"] == 0)


async def test_what_is_read_offline_is_read_once_the_server_is_back(
    sqlite_server: ServerProcess, tmp_path: Path
):
    async with (
        logged_in(sqlite_server.url, "admin") as admin,
        client(sqlite_server, tmp_path, **ZHANGSAN, readAll=True) as js,
    ):
        await js.until(lambda: unread(js))
        await publish(admin, "unread")
        await js.until(lambda: unread(js)[-1] > 0)
        await asyncio.to_thread(sqlite_server.kill)
        await js.until(lambda: js.said("view")[-1]["pending"] == 1)
        assert unread(js)[-1] == 0
        await asyncio.to_thread(sqlite_server.start)
        await publish(admin, "later")

        def only_the_later_is_unread() -> bool:
            view = js.said("view")[-1]
            titles = [row["title"] for row in view["rows"] if row["unread"]]
            return view["pending"] == 0 and view["counts"]["unread"] == 1 and titles == ["later"]

        await js.until(only_the_later_is_unread)


def kept_login(folder: Path, url: str, caller: Caller, lasts_s: int) -> dict[str, Any]:
    """A stored login, as a page finds it, whose access token lasts so long; negative: it has expired."""
    claims = jwt.decode(caller.token, options={"verify_signature": False})
    token = jwt.encode({**claims, "exp": int(time.time()) + lasts_s}, SECRET_KEY, "HS256")
    kept = {
        "access_token": token,
        "refresh_token": caller.refresh_token,
        "renew_at": time.time() * 1000 + 900_000,
        "user": caller.user,
    }
    storage = folder / "login.json"
    storage.write_text(json.dumps({f"notify:{url}:login": json.dumps(kept)}))
    return {"url": url, "userId": "1", "storage": str(storage)}


async def test_an_expired_token_is_renewed_before_the_connection_is_tried_again(
    sqlite_server: ServerProcess, tmp_path: Path
):
    async with logged_in(sqlite_server.url, "zhangsan") as zhangsan:
        spec = kept_login(tmp_path, sqlite_server.url, zhangsan, -60)
        async with client(sqlite_server, tmp_path, **spec) as js:
            await js.until_live()
            assert js.said("token")[:2] == [{"fresh": False}, {"fresh": True}]
            assert {said["state"] for said in js.said("state")} == {"connecting", "live"}


async def test_fresh_tokens_that_are_lost_on_their_way_are_given_again(
    sqlite_server: ServerProcess, tmp_path: Path
):
    async with TcpProxy(sqlite_server.url) as network, logged_in(sqlite_server.url, "zhangsan") as zhangsan:
        spec = kept_login(tmp_path, network.url, zhangsan, -60)
        network.drop_replies(after=b"POST /api/v1/auth/refresh")
        async with client(sqlite_server, tmp_path, **spec) as js:
            await js.until_live()
        assert network.dropped.is_set()


async def test_an_open_connection_gets_a_new_token_before_the_old_one_ends(
    sqlite_server: ServerProcess, tmp_path: Path
):
    async with (
        logged_in(sqlite_server.url, "zhangsan") as zhangsan,
        logged_in(sqlite_server.url, "admin") as admin,
    ):
        spec = kept_login(tmp_path, sqlite_server.url, zhangsan, 4)
        async with client(sqlite_server, tmp_path, **spec) as js:
            await js.until_live()
            _, before = await admin.call("GET", "sessions?user=1")
            await js.until(lambda: {"fresh": True} in js.said("token"))
            async with asyncio.timeout(10):
                while (await admin.call("GET", "sessions?user=1"))[1]["items"][0]["expires_at"] == (
                    before["items"][0]["expires_at"]
                ):
                    await asyncio.sleep(0)
            await publish(admin, "still here")
            await js.until_shown("still here")
            assert len(js.said("summary")) == 1


async def test_a_refusal_is_final_and_says_why(sqlite_server: ServerProcess, tmp_path: Path):
    async with client(sqlite_server, tmp_path, userId="1", token="forged") as js:
        await js.until(lambda: {"state": "signed_out", "code": "token_invalid"} in js.said("state"))
    async with logged_in(sqlite_server.url, "zhangsan") as zhangsan:
        async with client(sqlite_server, tmp_path, userId="2", token=zhangsan.token) as js:
            await js.until(lambda: {"state": "signed_out", "code": "other_user"} in js.said("state"))
        async with client(sqlite_server, tmp_path, userId="1", token=zhangsan.token) as js:
            await js.until_live()
            assert (await zhangsan.call("POST", "auth/logout"))[0] == 204
            await js.until(lambda: js.said("state")[-1] == {"state": "signed_out", "code": "revoked"})
