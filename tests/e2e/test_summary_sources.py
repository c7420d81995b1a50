"""What waits for people on other platforms is in their summary, and a platform that fails holds nobody up."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from core.domain import clock
from core.store import tables
from server.summary_sources import TIMEOUT_S, signed_headers
from tests.support.http import Api, bearer, log_in
from tests.support.platform import SECRET, ExamplePlatform, sources_setting
from tests.support.processes import ROOT, ServerProcess, environment
from tests.support.stage import demo_server, logged_in
from tests.support.store import opened
from tests.support.wire import live_wire, opened_wire

GUIDE = (ROOT / "docs" / "summary.md").read_text()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExamplePlatform]:
    with ExamplePlatform(tmp_path_factory.mktemp("platform") / "platform.log") as platform:
        yield platform


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """The URL of one that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.fixture
def serve(sqlite_demo: Path, tmp_path: Path) -> Callable[..., ServerProcess]:
    def serve(**sources: str) -> ServerProcess:
        url = f"sqlite:///{shutil.copy(sqlite_demo, tmp_path / 'log.db')}"
        return demo_server(url, tmp_path, env={"SUMMARY_SOURCES": sources_setting(**sources)})

    return serve


def newcomer(server: ServerProcess) -> str:
    """The id of an annotator for whom nothing waits: their name is ann, their password that of the demo."""
    admin = Api(server.url, bearer(log_in(server.url, "admin")["access_token"]))
    person = {
        "username": "ann", "password": "demo-password", "name": "Ann", "roles": ["annotator"],
        "projects": {"1": ["annotator"]},
    }  # fmt: skip
    made = admin.post("users", person)
    admin.close()
    return made.body["id"]


async def reject_task(server: ServerProcess, user_id: str) -> None:
    now = clock.now()
    row = {
        "project_id": "1", "title": "a task", "state": "rejected", "assignee_id": user_id, "version": 1,
        "created_at": now, "changed_at": now,
    }  # fmt: skip
    async with opened(server.database_url) as database:
        await database.write(lambda connection: connection.execute(insert(tables.task), row))


def push(server: ServerProcess, people: dict[str, Any]) -> None:
    admin = Api(server.url, bearer(log_in(server.url, "admin")["access_token"]))
    assert admin.put("summary/counters", {"counters": people}).status == 204
    admin.close()


def metrics(server: ServerProcess) -> dict[str, float]:
    admin = Api(server.url, bearer(log_in(server.url, "admin")["access_token"]))
    lines = [line.split() for line in admin.get("/metrics").content.decode().splitlines() if line[0] != "#"]
    admin.close()
    return {line[0]: float(line[1]) for line in lines if len(line) == 2}


async def test_what_is_kept_here_what_is_pushed_and_what_is_asked_for_are_one_sum(platform, serve):
    with serve(example=f"{platform.url}/summary") as server:
        ann = newcomer(server)
        await reject_task(server, ann)
        push(server, {ann: {"rejected": 10, "in_progress": 2}})
        platform.set_tasks(ann, rejected=100, to_label=7)

        async with logged_in(server.url, "ann") as caller, live_wire(server.url, caller.token) as wire:
            (told,) = wire.of("summary")
            _, asked = await caller.call("GET", "summary")

        assert told["tasks"] == asked["tasks"] == {"rejected": 111, "in_progress": 2, "to_label": 7}
        assert told["urgent"] is True
        assert told["messages"][0]["text"]["zh-CN"] == "⚠️ 您有 111 个被驳回任务，建议请您先修订"
        counted = metrics(server)
        assert counted["notify_summary_asked_total"] == 1
        assert counted["notify_summary_failed_total"] == counted["notify_summary_spared_total"] == 0


async def test_a_platform_that_never_answers_holds_up_nothing_but_that_summary_for_a_second(
    platform, silent, serve
):
    with serve(example=f"{platform.url}/summary", silent=silent) as server:
        ann = newcomer(server)
        platform.set_tasks(ann, in_progress=3)
        async with (
            logged_in(server.url, "admin") as admin,
            logged_in(server.url, "ann") as caller,
            opened_wire(server.url) as wire,
        ):
            started = time.monotonic()
            await wire.connect({"token": caller.token})
            await wire.wait("session", 2)
            await admin.publish(f"user:{ann}", title="meanwhile")
            await wire.wait("summary")
            took_s = time.monotonic() - started

        assert wire.names == ["connect", "session syncing", "session live", "notification", "summary"]
        assert took_s < TIMEOUT_S + 2
        assert wire.of("summary")[0]["tasks"]["in_progress"] == 3
        counted = metrics(server)
        assert counted["notify_summary_asked_total"] == 2
        assert counted["notify_summary_failed_total"] == 1


async def test_a_project_that_is_left_meanwhile_is_in_no_summary(silent, serve):
    with serve(silent=silent) as server:
        ann = newcomer(server)
        async with (
            logged_in(server.url, "admin") as admin,
            logged_in(server.url, "ann") as caller,
            opened_wire(server.url) as wire,
        ):
            await admin.call("PUT", f"projects/1/members/{ann}", {"roles": []})
            await admin.publish("project:1", title="theirs no more")
            await admin.publish(f"user:{ann}", title="theirs")
            await wire.connect({"token": caller.token})
            await wire.wait("session", 2)
            status, _ = await admin.call("DELETE", f"projects/1/members/{ann}")
            await wire.wait("summary")

        assert status == 204
        assert wire.names[-2:] == ["rooms", "summary"]
        assert wire.of("summary")[0]["missed"]["by_room"] == {f"user:{ann}": 1}


async def test_with_a_platform_that_is_away_everybody_gets_a_summary_and_it_is_logged_once(serve):
    with serve(away="http://127.0.0.1:1/secret-path") as server:
        async with logged_in(server.url, "zhangsan") as caller:
            for _ in range(10):
                assert (await caller.call("GET", "summary"))[0] == 200

        told = [line for line in server.lines if "摘要" in line]
        assert len(told) == 1
        assert "away: ClientConnectorError" in told[0]
        assert "secret-path" not in told[0]
        assert "zhangsan" not in told[0]
        counted = metrics(server)
        assert counted["notify_summary_asked_total"] == counted["notify_summary_failed_total"] == 3
        assert counted["notify_summary_spared_total"] == 7


def test_the_example_answers_only_to_signatures_of_now(platform):
    body = json.dumps({"user_id": "acme|17"}).encode()
    now = int(time.time())
    good = signed_headers(SECRET, now, body)
    platform.set_tasks("acme%7C17", rejected=1)

    assert platform.request("POST", "/summary", body, good) == (200, b'{"tasks": {"rejected": 1}}')
    for headers in (
        {},
        signed_headers("another secret of the same length or so", now, body),
        signed_headers(SECRET, now - 61, body),
        signed_headers(SECRET, now + 120, body),
        signed_headers(SECRET, now, body + b" "),
        {**good, "X-Notify-Timestamp": str(now - 1)},
        {**good, "X-Notify-Timestamp": "now"},
        {**good, "X-Notify-Signature": good["X-Notify-Signature"].removeprefix("sha256=")},
    ):
        assert platform.request("POST", "/summary", body, headers)[0] == 401, headers


def test_the_guide_runs_as_it_stands(platform, serve):
    (script,) = [part.partition("```")[0] for part in GUIDE.split("```sh\n") if "curl" in part]

    with serve(example=f"{platform.url}/summary") as server:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=environment({"SOURCE_URL": platform.url, "NOTIFY_URL": server.url}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done
    assert '"to_label":7' in done.stdout
