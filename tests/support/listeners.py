"""Listeners that resume, in two languages, and what has to be true of all they showed."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from clients.python import NotificationClient
from tests.support.processes import ROOT, Program
from tests.support.stage import Recorder, until

JS = ROOT / "tests" / "e2e" / "js"


class PythonListener:
    """Our client; `shown` is what it showed, `summaries` came whenever it was live again."""

    def __init__(self, url: str, token: str, transport: str) -> None:
        self.shown = Recorder()
        self.summaries = Recorder()
        self.client = NotificationClient(
            url,
            token,
            transports=[transport],
            on_notification=self.shown.append,
            on_summary=self.summaries.append,
        )

    async def until_shown(self, title: str) -> None:
        await until(lambda: any(notification["title"] == title for notification in self.shown), 30)


@asynccontextmanager
async def python_listeners(
    url: str, token: str, transports: Sequence[str]
) -> AsyncIterator[list[PythonListener]]:
    """One for each of the transports, all live."""
    listeners = [PythonListener(url, token, transport) for transport in transports]
    running = [asyncio.create_task(listener.client.run()) for listener in listeners]
    try:
        await until(lambda: all(listener.summaries for listener in listeners), 30)
        yield listeners
    finally:
        for listener in listeners:
            listener.client.close()
        await asyncio.gather(*running)


class JavaScriptListener:
    """The official client with a position of its own."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def said(self, event: str) -> list[Any]:
        lines = [json.loads(line) for line in self._program.lines]
        return [line["payload"] for line in lines if line["event"] == event]

    @property
    def shown(self) -> list[Any]:
        return self.said("notification")

    async def until_shown(self, title: str) -> None:
        await asyncio.to_thread(self._program.wait_for_log, f'"title":"{title}"', timeout=30)

    async def until_live(self) -> None:
        await asyncio.to_thread(self._program.wait_for_log, '"event":"summary"', timeout=30)


@asynccontextmanager
async def javascript_listener(
    url: str, token: str, folder: Path, options: Mapping[str, Any]
) -> AsyncIterator[JavaScriptListener]:
    command = ("node", "resume.mjs", url, json.dumps(options))
    log_path = folder / f"js{time.monotonic_ns()}.log"
    with Program(command, log_path=log_path, cwd=JS, env={"TOKEN": token}) as program:
        listener = JavaScriptListener(program)
        await listener.until_live()
        yield listener


def check_shown(shown: Sequence[Mapping[str, Any]], accepted: Sequence[str]) -> None:
    """Every accepted id was shown once, nothing else, and each room in order."""
    times = Counter(notification["id"] for notification in shown)
    assert not [id_ for id_, number in times.items() if number > 1], "doubled"
    assert not set(accepted) - times.keys(), "lost"
    assert not times.keys() - set(accepted), "not published"
    offsets = defaultdict(list)
    for notification in shown:
        offsets[notification["room"]].append(notification["offset"])
    assert all(found == sorted(found) for found in offsets.values()), "out of order"
