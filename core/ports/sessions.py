"""Live sessions: the Socket.IO connections of this server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSession:
    """A connection at one moment. `id` is what the client knows as its `session_id`.

    It lives by a login or outside token (`login_id`) or by an API key (`key_id`), until `expires_at` at the latest.
    """

    id: str
    user_id: str
    username: str
    login_id: str | None
    key_id: str | None
    connected_at: datetime
    expires_at: datetime | None
    transport: str


class LiveSessions(Protocol):
    """What is connected to this server now; other servers know their own."""

    def list(self, user_id: str | None) -> Sequence[LiveSession]:
        """Those of a person, or all; in no order."""

    def get(self, id_: str) -> LiveSession | None:
        """One of them, None when it is not there (any more)."""

    def end(self, id_: str) -> None:
        """Tell the client that its session was revoked, and close the connection. One that is gone is no error."""
