"""Notifications, and the postings that put them into rooms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.domain.values import value

MAX_ROOMS = 100
"""Rooms that one notification may be sent to."""


class Level(StrEnum):
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


class Kind(StrEnum):
    """What a posting says: a notification came, changed, was taken back, or its thread is done."""

    NOTIFICATION = "notification"
    UPDATE = "update"
    RETRACT = "retract"
    SETTLE = "settle"


@dataclass(frozen=True, slots=True)
class Actor:
    """The person who did what a notification tells of."""

    id: str
    name: str


@value(kw_only=True)
class Notification:
    """The content that people see. Times are aware UTC; `data` is a JSON object."""

    id: str
    type: str
    level: Level
    urgent: bool
    title: str
    content: str
    data: Mapping[str, Any]
    link: str | None
    thread: str | None
    settles: bool
    actor: Actor | None
    sender: str
    created_at: datetime
    expires_at: datetime | None
    retracted_at: datetime | None = None

    def is_shown_at(self, moment: datetime) -> bool:
        """Whether anybody may still see it: neither taken back nor expired."""
        return self.retracted_at is None and (self.expires_at is None or self.expires_at > moment)


@dataclass(frozen=True, slots=True)
class Amendment:
    """What an `update`, `retract` or `settle` posting changes, and who did it; `set` holds wire values."""

    by: Actor | None = None
    set: Mapping[str, Any] = field(default_factory=dict)


@value(kw_only=True)
class Draft:
    """A posting before it has its offsets: one of these becomes one posting in each of `rooms`.

    A draft of kind `notification` brings its content with it and stores it under (`sender`, `key`): the same
    pair with the same `body_hash` again is the same notification, with another one a conflict.
    Drafts of the other kinds speak of a notification that is stored already. One that speaks of a notification
    that is gone, and an update of content that is gone, become no posting.
    """

    kind: Kind
    notification_id: str
    rooms: tuple[str, ...]
    thread: str | None
    created_at: datetime
    notification: Notification | None = None
    amendment: Amendment | None = None
    key: str | None = None
    body_hash: str = ""

    @property
    def size_bytes(self) -> int:
        """Roughly what the draft costs to store; groups are bounded by the sum."""
        content = self.notification
        text = len(content.title) + len(content.content) if content else 0
        amended = len(str(self.amendment.set)) if self.amendment else 0  # stored with each posting
        return 256 + 3 * text + (len(str(content.data)) if content else 0) + (96 + amended) * len(self.rooms)


@value(kw_only=True)
class Posting:
    """One entry in a room's log. `members` is the room's membership counter when it was written.

    `notification` is the present content; None when it is not to be shown (expired, retracted), so that the
    offset is stepped over.
    """

    room: str
    offset: int
    kind: Kind
    notification_id: str
    thread: str | None
    members: int
    created_at: datetime
    notification: Notification | None = None
    amendment: Amendment | None = None

    @property
    def is_shown(self) -> bool:
        return self.kind is not Kind.NOTIFICATION or self.notification is not None


@dataclass(frozen=True, slots=True)
class Head:
    """Where a room's log stands: last offset, last pruned offset, and the membership counter."""

    head: int = 0
    floor: int = 0
    members: int = 0
