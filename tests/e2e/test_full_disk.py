"""A disk that is full: what is refused is not there, what was accepted is, and it goes on when there is room again."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import ServerProcess
from tests.support.stage import logged_in, until_ready_as
from tests.support.wire import live_wire


@contextmanager
def no_room(server: ServerProcess, folder: Path) -> Iterator[None]:
    """No file of the server can become larger than the largest in this folder."""
    largest = max(file.stat().st_size for file in folder.iterdir())
    before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_refuses_what_it_cannot_store_and_loses_nothing(
    sqlite_server: ServerProcess, tmp_path: Path
):
    async with (
        logged_in(sqlite_server.url, "admin") as admin,
        logged_in(sqlite_server.url, "zhangsan") as zhangsan,
        live_wire(sqlite_server.url, zhangsan.token) as wire,
    ):
        accepted = []

        async def refusal(title: str) -> str | None:
            body = {"to": ["user:1"], "title": title, "content": title * 500}
            status, answer = await admin.call("POST", "notifications", body)
            if status == 201:
                accepted.append(title)
                return None
            return f"{status} {answer['error']['code']}"

        assert await refusal("there was room") is None
        with no_room(sqlite_server, tmp_path):
            told = None
            while told is None and len(accepted) < 100:
                told = await refusal(f"number {len(accepted)}")
            assert told == "503 storage_unavailable"
            assert await until_ready_as(sqlite_server, "degraded", database="read_only") == 200
            assert (await wire.call("ping", {"timestamp": 1}))["ok"] is True
            status, inbox = await zhangsan.call("GET", "inbox?limit=100")
            assert (status, [item["title"] for item in inbox["items"]]) == (200, accepted[::-1])
        assert await refusal("there is room again") is None
        assert await until_ready_as(sqlite_server, "ok") == 200

        heard = await wire.wait("notification", len(accepted))
        assert [notification["title"] for notification in heard] == accepted
        assert [notification["offset"] for notification in heard] == list(range(1, len(accepted) + 1))
        assert sum("the log cannot be written" in line for line in sqlite_server.lines) == 1
