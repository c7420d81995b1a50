"""The programs as they are run: `python -m clients.python listen | send`, in processes of their own."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from aiohttp import web
from typer.testing import CliRunner

from clients.python.__main__ import app
from clients.python.journal import Journal

ROOT = Path(__file__).parents[4]
PATIENCE_S = 20
TITLE = "任务\x1b[31m被驳回"


class Program:
    """A running command line."""

    def __init__(self, process):
        self.process = process

    async def line(self):
        return (await asyncio.wait_for(self.process.stdout.readline(), PATIENCE_S)).decode()

    async def event(self, event):
        while True:
            fields = json.loads(await self.line())
            if fields["event"] == event:
                return fields

    async def end(self, number=None):
        """The exit code, the rest of stdout, and stderr."""
        if number is not None:
            self.process.send_signal(number)
        out, err = await asyncio.wait_for(self.process.communicate(), PATIENCE_S)
        return self.process.returncode, out.decode(), err.decode()


@pytest.fixture
async def run():
    programs = []

    async def run(*arguments, **environment):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFY_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "clients.python", *arguments, cwd=ROOT, env=clean | environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        programs.append(process)
        return Program(process)

    yield run
    for process in programs:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_listening_in_json_gives_one_object_a_line_and_goes_on_where_it_ended(peer, run, tmp_path):
    arguments = ("listen", "--url", peer.url, "--json", "--state", str(tmp_path / "state"))
    program = await run(*arguments, NOTIFY_TOKEN="secret-token")
    link = await peer.connected()
    assert link.auth == {"token": "secret-token"}
    await link.begin({"user:1": 3})
    await link.emit("summary", {"unread": 3, "missed": {"total": 4}})
    await link.post("user:1", 4, title=TITLE, created_at="2026-01-01T00:00:00.000Z")
    notification = await program.event("notification")
    assert (notification["offset"], notification["title"]) == (4, TITLE)
    code, out, err = await program.end(signal.SIGTERM)
    assert code == 0
    assert json.loads(out.splitlines()[-1]) == {"event": "connection", "state": "closed"}
    assert "secret" not in err
    assert TITLE not in err
    assert (await link.said("ack"))["position"] == {"user:1": 4}

    program = await run(*arguments, NOTIFY_TOKEN="secret-token")
    link = await peer.connected()
    assert link.sent == {"epoch": "e1", "position": {"user:1": 4}}
    assert (await program.end(signal.SIGINT))[0] == 0


async def test_listening_for_people_shows_a_line_a_notification(peer, run):
    program = await run("listen", "--url", peer.url, "--token", "t")
    link = await peer.connected()
    peer.answers["sync"] = {"ok": True, "recovered": {"user:1": False}, "position": {"user:1": 9}}
    await link.begin({"user:1": 3}, heartbeat_s=0.3)
    await link.post("user:1", 4, title=TITLE, level="warning", content="[bold]x[/bold]", urgent=True)
    await link.emit("changed", {"kind": "retract", "room": "user:1", "offset": 5, "epoch": "e1", "id": "n"})
    settled = {"kind": "settle", "room": "user:1", "offset": 6, "epoch": "e1", "id": "n", "thread": "task:17"}
    await link.emit("changed", settled | {"by": {"id": "3", "name": "王五"}})
    await link.emit(
        "summary",
        {"unread": 3, "missed": {"total": 4}, "messages": [{"level": "info", "text": {"zh-CN": "请修订"}}]},
    )
    await link.post("user:1", 9)
    assert (await link.said("sync"))["position"] == {"user:1": 6}
    await link.emit("inbox", {"unread": 2, "version": 1})
    await link.emit("rooms", {"joined": {"project:8": 1}, "left": ["project:7"]})
    lines = []
    while not lines or "请查看收件箱" not in lines[-1]:
        lines.append(await program.line())
    while "project:8" not in "".join(lines):
        lines.append(await program.line())
    shown = "".join(lines)
    assert "warning user:1 ‼ 任务�[31m被驳回  [bold]x[/bold]\n" in shown
    assert "\x1b" not in shown
    for part in (
        "撤回 user:1 n",
        "已处理 user:1 task:17 (王五)",
        "离线期间 4 条，未读 3",
        "请修订",
        "未读 2",
        "+project:8 -project:7",
        "请查看收件箱: user:1",
    ):
        assert part in shown
    await link.said("ping")
    await link.said("ping")
    code, _, err = await program.end(signal.SIGINT)
    assert code == 0
    assert "💓 [WS] 发送心跳" in err
    assert "💓 [WS] 收到心跳响应 延迟: " in err


async def test_a_refusal_ends_listening_with_1(peer, run):
    peer.refusals = ["token_invalid"]
    code, _, err = await (await run("listen", "--url", peer.url, "--token", "secret-token")).end()
    assert code == 1
    assert "token_invalid" in err
    assert "Traceback" not in err
    assert "secret-token" not in err


async def test_giving_up_ends_listening_with_1(peer, run):
    program = await run("listen", "--url", peer.url, "--token", "t", "--json")
    link = await peer.connected()
    await link.begin({"user:1": 3}, retry_ms={"first": 1, "max": 1, "tries": 2})
    await program.event("connection")
    while (await program.event("connection"))["state"] != "live":
        pass
    await peer.stop()
    code, out, err = await program.end()
    assert code == 1
    assert '"state":"offline"' in out
    assert "🔔 [WS] 已达到最大重连次数" in err


async def test_a_reader_that_leaves_ends_listening_quietly(peer, run):
    program = await run("listen", "--url", peer.url, "--token", "t", "--json")
    link = await peer.connected()
    await link.begin({"user:1": 3})
    await program.event("session")
    program.process._transport.get_pipe_transport(1).close()
    await link.post("user:1", 4)
    await asyncio.wait_for(link.gone.wait(), PATIENCE_S)
    error = (await asyncio.wait_for(program.process.stderr.read(), PATIENCE_S)).decode()
    assert await asyncio.wait_for(program.process.wait(), PATIENCE_S) == 0
    assert "Broken" not in error
    assert "Traceback" not in error


async def test_two_listeners_do_not_share_a_state_file(run, tmp_path):
    keeper = Journal(tmp_path / "state")
    code, _, err = await (await run("listen", "--token", "t", "--state", str(keeper.path))).end()
    keeper.close()
    assert code == 1
    assert "another client uses this state file" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("listen",),
        ("listen", "--username", "u"),
        ("send", "--to", "user:1", "--title", "t"),
        ("send", "--to", "user:1", "--title", "t", "--token", "t", "--data", "{"),
        ("send", "--to", "user:1", "--title", "t", "--token", "t", "--url", "localhost:8000"),
        ("listen", "--token", "t", "--url", "http://[x"),
    ],
)
def test_wrong_usage_ends_with_2(arguments, monkeypatch):
    for name in ("NOTIFY_TOKEN", "NOTIFY_API_KEY", "NOTIFY_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid value" in result.stderr


@contextlib.asynccontextmanager
async def api(answer):
    requests = []

    async def handle(request):
        requests.append((request.path, dict(request.headers), await request.json()))
        status, body = answer(request)
        return web.json_response(body, status=status)

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", requests
    finally:
        await runner.cleanup()


async def sent(*arguments, **environment):
    return await asyncio.to_thread(CliRunner().invoke, app, ["send", *arguments], env=environment)


async def test_sending_prints_the_answer():
    async with api(lambda _: (201, {"id": "n1", "postings": {"user:1": 12}})) as (url, requests):
        result = await sent(
            "--url", url, "--to", "user:1", "--to", "global", "--title", "t", "--content", "c", "--type", "x.y",
            "--level", "error", "--urgent", "--data", '{"a":[1]}', "--link", "/l", "--thread", "task:17",
            "--idempotency-key", "mine", NOTIFY_API_KEY="key",
        )  # fmt: skip
    assert result.exit_code == 0
    assert json.loads(result.stdout)["postings"] == {"user:1": 12}
    path, headers, body = requests[0]
    assert path == "/api/v1/notifications"
    assert (headers["X-API-Key"], headers["Idempotency-Key"]) == ("key", "mine")
    assert body == {
        "to": ["user:1", "global"],
        "title": "t",
        "content": "c",
        "type": "x.y",
        "level": "error",
        "urgent": True,
        "data": {"a": [1]},
        "link": "/l",
        "thread": "task:17",
    }


async def test_sending_that_is_refused_ends_with_1_and_says_why():
    error = {"error": {"code": "validation_failed", "message": "no", "fields": {"to.0": ["Not a room."]}}}
    async with api(lambda _: (422, error)) as (url, requests):
        result = await sent("--url", url, "--to", "x", "--title", "t", NOTIFY_TOKEN="t")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "validation_failed" in result.stderr
    assert "Not a room." in result.stderr
    assert requests[0][2] == {"to": ["x"], "title": "t"}


async def test_listening_logs_in_with_a_name_and_a_password(peer, run):
    granted = {"access_token": "granted", "refresh_token": "r", "expires_in": 900}
    async with api(lambda _: (401, {"error": {"code": "invalid_credentials", "message": ""}})) as (url, _):
        code, _, err = await (
            await run("listen", "--url", url, "--username", "u", NOTIFY_PASSWORD="secret")
        ).end()
    assert code == 1
    assert "invalid_credentials" in err
    assert "secret" not in err

    async def log_in(_request):
        return web.json_response(granted)

    peer.routes.append(web.post("/api/v1/auth/login", log_in))
    await peer.stop()
    await peer.start()
    program = await run("listen", "--url", peer.url, "--username", "u", NOTIFY_PASSWORD="secret")
    assert (await peer.connected()).auth["token"] == "granted"
    assert (await program.end(signal.SIGTERM))[0] == 0
