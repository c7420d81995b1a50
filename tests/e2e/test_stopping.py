"""Stopping and crashing with people connected: the end is told, soon, and costs nothing that was accepted."""

import asyncio
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import socketio
from aiohttp import ClientError

from tests.support import crowd
from tests.support.postgres import PostgresCluster
from tests.support.processes import ROOT, Program, ServerProcess
from tests.support.proxy import TcpProxy
from tests.support.stage import PASSWORD, Caller, Recorder, demo_server, log_in, logged_in, until
from tests.support.wire import Wire, live_wire, opened_wire

STOPS_WITHIN_S = 5


def stop_reading(wire: Wire) -> None:
    wire.socket._conn.transport.pause_reading()


async def test_it_ends_within_seconds_whoever_is_connected_and_tells_those_who_listen(server: ServerProcess):
    polled = Recorder()
    polling = socketio.AsyncClient(reconnection=False)
    for event in ("session", "summary"):
        polling.on(event, lambda payload, event=event: polled.append((event, payload)))
    async with (
        logged_in(server.url, "admin") as admin,
        logged_in(server.url, "zhangsan") as zhangsan,
        live_wire(server.url, zhangsan.token) as one,
        live_wire(server.url, admin.token) as another,
        live_wire(server.url, zhangsan.token) as stuck,
        opened_wire(server.url) as silent,
    ):
        await polling.connect(server.url, auth={"token": zhangsan.token}, transports=["polling"])
        await until(lambda: "summary" in [event for event, _ in polled])
        _, idle = await asyncio.open_connection("127.0.0.1", server.port)
        stop_reading(stuck)
        for _ in range(150):
            await admin.publish("user:1", content="x" * 9_000)
        await one.wait("notification", 150)
        began = time.monotonic()
        assert await asyncio.to_thread(server.stop) == 0
        took_s = time.monotonic() - began
        await silent.until(lambda: silent.closed)
        for wire in (one, another):
            await wire.until(lambda wire=wire: wire.closed)
            check_goodbye(wire.of("session")[-1])
        await until(lambda: polled[-1][1].get("state") == "ending")
        check_goodbye(polled[-1][1])
        await polling.disconnect()
        idle.close()
        stuck.socket._conn.transport.resume_reading()
    assert took_s < STOPS_WITHIN_S
    await asyncio.to_thread(server.start)


async def test_with_a_thousand_clients_of_all_kinds_it_still_ends_within_seconds(
    sqlite_demo: Path, tmp_path: Path
):
    """Some poll, some do not read, some never log in, some publish what never arrives."""
    database_url = f"sqlite:///{shutil.copy(sqlite_demo, tmp_path / 'log.db')}"
    # No pings: whoever does not read would be cut for that, if the others took their time to come.
    server = demo_server(
        database_url, tmp_path, env={"PING_INTERVAL_S": "300", "MAX_SESSIONS_PER_USER": "1000"}
    )
    await asyncio.to_thread(server.start)
    async with logged_in(server.url, "admin") as admin:
        # In few rooms: it is not the joining that is to be seen.
        person, deaf = [await new_person(admin, name) for name in ("wenjing", "yonggang")]
        tokens = {"TOKEN": person.token, "DEAF_TOKEN": deaf.token}
        command = (sys.executable, "-m", "tests.support.crowd", server.url)
        with Program(command, log_path=tmp_path / "crowd.log", env=tokens) as clients:
            await asyncio.to_thread(clients.wait_for_log, "ready", timeout=60)
            for _ in range(30):
                await admin.publish(f"user:{deaf.user['id']}", content="x" * 9_000)
            began = time.monotonic()
            exit_code = await asyncio.to_thread(server.stop)
            took_s = time.monotonic() - began
            await asyncio.to_thread(clients.wait_for_log, "{", timeout=20)
    assert exit_code == 0
    assert took_s < STOPS_WITHIN_S
    assert json.loads(clients.lines[-1]) == {
        "websocket server_stopping 1001": crowd.LISTENING,
        "polling server_stopping": crowd.POLLING,
        "deaf": crowd.DEAF,
        "silent": crowd.SILENT,
        "hanging": crowd.HANGING,
    }
    said = [line for line in server.lines if "[Shutdown]" in line]
    assert f"sessions={crowd.SESSIONS} " in said[1]
    assert float(said[-1].rpartition("took_s=")[2]) < STOPS_WITHIN_S


async def new_person(admin: Caller, username: str) -> Caller:
    status, answer = await admin.call(
        "POST", "users", {"username": username, "password": PASSWORD, "name": username}
    )
    assert status == 201, answer
    return await log_in(admin.http, admin.url.removesuffix("/api/v1"), username)


async def test_a_database_that_hangs_does_not_hold_up_the_end(
    postgres_cluster: PostgresCluster, postgres_demo: str, tmp_path: Path
):
    async with TcpProxy(postgres_cluster.create_database(postgres_demo)) as database:
        server = demo_server(database.url, tmp_path)
        await asyncio.to_thread(server.start)
        async with (
            logged_in(server.url, "zhangsan") as zhangsan,
            logged_in(server.url, "admin") as admin,
            live_wire(server.url, zhangsan.token) as wire,
        ):
            await admin.publish("user:1")
            database.hole()
            epoch = wire.of("session")[0]["epoch"]
            assert (await wire.call("ack", {"epoch": epoch, "position": {"user:1": 1}}))["ok"]
            publishing = asyncio.create_task(admin.publish("user:1"))
            await database.swallowed.wait()
            began = time.monotonic()
            await asyncio.to_thread(server.stop)
            assert time.monotonic() - began < STOPS_WITHIN_S
            await wire.until(lambda: wire.closed)
            check_goodbye(wire.of("session")[-1])
            with pytest.raises((ClientError, AssertionError)):
                await publishing


def check_goodbye(session: dict[str, Any]) -> None:
    assert session == {
        "state": "ending",
        "reason": "server_stopping",
        "retry": True,
        "retry_ms": pytest.approx(110, abs=10),
    }


async def publish_until_it_ends(admin: Caller, number: int, accepted: dict[str, dict[str, Any]]) -> None:
    """Each body is the key's own, so that it can be sent again."""
    for count in range(10_000):
        key = f"{number}-{count}"
        try:
            status, answer = await admin.call(
                "POST",
                "notifications",
                {"to": ["user:1", "global"], "title": key},
                headers={"Idempotency-Key": key},
            )
        except ClientError:
            return
        if status == 503:
            return
        assert status == 201
        accepted[key] = answer


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_what_was_accepted_before_the_end_is_there_afterwards_under_its_key(
    server: ServerProcess, end: str
):
    accepted: dict[str, dict[str, Any]] = {}
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        async with live_wire(server.url, zhangsan.token) as wire:
            claim = {key: wire.of("session")[0][key] for key in ("epoch", "position")}
            writers = [
                asyncio.create_task(publish_until_it_ends(admin, number, accepted)) for number in range(10)
            ]
            await wire.wait("notification", 100)
            await asyncio.to_thread(getattr(server, end))
            await asyncio.gather(*writers)
        await asyncio.to_thread(server.start)
        assert len(accepted) >= 40
        for key, answer in accepted.items():
            again = await admin.publish("user:1", "global", title=key, key=key)
            assert (again["id"], again["postings"]) == (answer["id"], answer["postings"])
        async with live_wire(server.url, zhangsan.token, **claim) as wire:
            base = wire.of("session")[0]["position"]
            for room in ("user:1", "global"):
                offsets = [answer["postings"][room] for answer in accepted.values()]
                assert len(set(offsets)) == len(offsets)
                assert max(offsets) <= base[room] <= max(offsets) + 10, "only what was under way may be more"


@pytest.mark.parametrize("options", [{}, {"transports": ["polling"]}])
async def test_the_official_javascript_client_comes_back_after_a_restart(
    server: ServerProcess, tmp_path: Path, options: dict[str, Any]
):
    async with logged_in(server.url, "admin") as admin, logged_in(server.url, "zhangsan") as zhangsan:
        auth = json.dumps({"token": zhangsan.token})
        command = ("node", "listen.mjs", server.url, auth, json.dumps(options))
        with Program(command, log_path=tmp_path / "js.log", cwd=ROOT / "tests" / "e2e" / "js") as client:
            first = await asyncio.to_thread(client.wait_for_log, '"event":"summary"')
            await asyncio.to_thread(server.restart)
            again = await asyncio.to_thread(client.wait_for_log, '"event":"summary"', after=first, timeout=20)
            await admin.publish("user:1", title="after the restart")
            await asyncio.to_thread(client.wait_for_log, "after the restart", after=again)
            lines = [json.loads(line) for line in client.lines]
            endings = [line["payload"]["reason"] for line in lines if '"ending"' in json.dumps(line)]
            assert endings == ["server_stopping"]
