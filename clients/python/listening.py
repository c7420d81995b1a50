"""What `listen` does: a client whose handlers show each event, until a signal, a refusal or a closed pipe."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .auth import TokenSource
from .client import NotificationClient
from .follow import Payload
from .handlers import Handler


class Output(Protocol):
    """`show` returns when the event is out of this process. It may raise BrokenPipeError."""

    def show(self, event: str, payload: Payload) -> None: ...


class Listener:
    """`gave_up` tells, after `run`, that it ended because the server was out of reach for too long."""

    def __init__(
        self,
        url: str,
        token: str | TokenSource,
        state: Path | None,
        transports: Sequence[str],
        output: Output,
    ) -> None:
        self.gave_up = False
        self._output = output
        self._reader_left = False
        self._client = NotificationClient(
            url,
            token,
            state=state,
            transports=transports,
            on_notification=self._shown("notification"),
            on_changed=self._shown("changed"),
            on_summary=self._shown("summary"),
            on_session=self._shown("session"),
            on_inbox=self._shown("inbox"),
            on_inbox_stale=self._shown("inbox_stale"),
            on_rooms=self._shown("rooms"),
            on_heartbeat=self._shown("heartbeat"),
            on_state=self._on_state,
        )

    async def run(self) -> None:
        """Return after SIGINT or SIGTERM, when the reader of our output left, or when the tries are used up.
        A refusal raises as in `NotificationClient.run`.
        """
        loop = asyncio.get_running_loop()
        ending = (signal.SIGINT, signal.SIGTERM)
        for number in ending:
            loop.add_signal_handler(number, self._client.close)
        try:
            await self._client.run()
        finally:
            for number in ending:
                loop.remove_signal_handler(number)

    def _shown(self, event: str) -> Handler:
        def show(payload: Payload) -> None:
            try:
                self._output.show(event, payload)
            except BrokenPipeError:
                self._leave_quietly()
                raise

        return show

    def _on_state(self, payload: Payload) -> None:
        if payload["state"] == "offline":
            self.gave_up = True
            self._client.close()
        if self._reader_left:
            return
        try:
            self._output.show("connection", payload)
        except BrokenPipeError:
            self._leave_quietly()

    def _leave_quietly(self) -> None:
        """Nobody reads any more. What Python still wants to flush at exit goes nowhere, without a complaint."""
        self._reader_left = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        self._client.close()
