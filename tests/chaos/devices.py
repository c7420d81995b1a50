"""Devices in Python: the client of `clients/python` with its state in a file, writing down what it shows.

`python -m tests.chaos.devices SPEC` runs those of a JSON file, until SIGTERM. Each goes to another server whenever
it connects. Killed and started again, it goes on where its file says; the one notification that the kill may have
caught between its showing and its storing is recognised by its id, as the promise asks of a client.
"""

import asyncio
import itertools
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clients.python import ClientError, NotificationClient
from tests.chaos import journal, mutations

_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """Who it belongs to, by which key it listens, and in which folder its journal and its state lie."""

    name: str
    user: str
    key: str
    urls: Sequence[str]
    folder: str
    transports: Sequence[str] = ("websocket", "polling")

    @property
    def journal(self) -> Path:
        return Path(self.folder) / f"device-{self.name}.journal"


class Device:
    """One screen."""

    def __init__(self, spec: DeviceSpec) -> None:
        self._spec = spec
        self._urls = itertools.cycle(spec.urls)
        self._last_id = _last_shown_id(spec.journal)
        self._journal = journal.Journal(spec.journal)
        self._journal.write(user=spec.user)
        self._closing = False
        self._client = self._make_client()

    async def run(self) -> None:
        """Return after `close`. A client that gives up is written down, and starts again like an impatient person."""
        while not self._closing:
            try:
                await self._client.run()
            except ClientError as error:
                self._journal.write(failed=f"{type(error).__name__}: {error}")
                await asyncio.sleep(_AGAIN_S)
                self._client = self._make_client()

    def close(self) -> None:
        self._closing = True
        self._client.close()

    def _make_client(self) -> NotificationClient:
        return NotificationClient(
            next(self._urls),
            self._spec.key,
            state=Path(self._spec.folder) / f"{self._spec.name}.state",
            transports=self._spec.transports,
            on_notification=self._show,
            on_session=self._note_session,
            on_state=self._note_state,
        )

    def _show(self, notification: dict[str, Any]) -> None:
        if notification["id"] == self._last_id:
            self._last_id = None
        else:
            self._journal.write(
                shown=notification["title"],
                id=notification["id"],
                room=notification["room"],
                offset=notification["offset"],
            )

    def _note_session(self, session: dict[str, Any]) -> None:
        lost = [room for room, recovered in (session.get("recovered") or {}).items() if not recovered]
        if lost:
            self._journal.write(unrecovered=lost)

    def _note_state(self, state: dict[str, Any]) -> None:
        if state["state"] == "connecting":
            self._client._url = next(self._urls)
        elif state["state"] == "live":
            self._journal.write(live=True)


def _last_shown_id(path: Path) -> str | None:
    return next((entry["id"] for entry in reversed(list(journal.read(path))) if "shown" in entry), None)


def write_specs(path: Path, specs: Sequence[DeviceSpec]) -> None:
    path.write_text(json.dumps([asdict(spec) for spec in specs]))


async def run_devices(specs: Sequence[DeviceSpec]) -> None:
    """Until SIGTERM."""
    devices = [Device(spec) for spec in specs]

    def close() -> None:
        for device in devices:
            device.close()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, close)
    await asyncio.gather(*(device.run() for device in devices))


if __name__ == "__main__":
    mutations.apply_from_environment(mutations.CLIENT)
    asyncio.run(run_devices([DeviceSpec(**spec) for spec in json.loads(Path(sys.argv[1]).read_text())]))
