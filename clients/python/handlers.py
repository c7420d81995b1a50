"""The caller's side: which functions a client calls, and how."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Literal, TypedDict

from .follow import Payload

Handler = Callable[[Payload], Awaitable[None] | None]
HandlerName = Literal[
    "on_notification",
    "on_changed",
    "on_summary",
    "on_session",
    "on_inbox",
    "on_inbox_stale",
    "on_rooms",
    "on_heartbeat",
    "on_state",
]


class Handlers(TypedDict, total=False):
    """Functions or coroutine functions of one argument: the payload of the event, as it is on the wire.

    on_session gets each `session` event, with `recovered` per room: where it is False, something between the
    old position and the new one will not come, and the inbox has to be read. It also gets
    `{"state": "synced", …}` after a hole was found and the server answered. on_inbox_stale gets `{"version"}`
    when the server has a newer inbox than was last seen. on_heartbeat gets the pong and its `latency_ms`.
    on_state gets `{"state": "connecting" | "live" | "waiting" | "offline" | "closed", …}`; `waiting` says which
    `attempt` comes next and in how many `delay_ms`. It alone is not called again when it raises: `run` raises.
    """

    on_notification: Handler
    on_changed: Handler
    on_summary: Handler
    on_session: Handler
    on_inbox: Handler
    on_inbox_stale: Handler
    on_rooms: Handler
    on_heartbeat: Handler
    on_state: Handler


class HandlerRaisedError(Exception):
    """`error` is what the caller's function raised."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


async def call_handler(handler: Handler | None, payload: Payload) -> None:
    """Call, and await if there is something to await. What it raises passes through."""
    if handler is not None:
        done = handler(payload)
        if inspect.isawaitable(done):
            await done
