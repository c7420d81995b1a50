"""The inbox: a person's view of what is due to them, and what they did with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from core.domain.notifications import Actor, Level, Notification
from core.domain.runs import Runs

MAX_UNREAD = 100
"""Counting stops here: more is shown as "99+"."""


class Receipt(StrEnum):
    """What one user did with a posting. Reading includes seeing, archiving includes reading."""

    SEEN = "seen"
    READ = "read"
    ARCHIVED = "archived"

    @property
    def implied(self) -> tuple["Receipt", ...]:
        """The receipts that giving this one gives too, itself last."""
        order = tuple(Receipt)
        return order[: order.index(self) + 1]

    @property
    def undone(self) -> tuple["Receipt", ...]:
        """The receipts that taking this one takes too, itself first: what is not seen is not read either."""
        order = tuple(Receipt)
        return order[order.index(self) :]

    def moved(self, *, given: bool) -> tuple["Receipt", ...]:
        """The receipts that giving or taking this one gives or takes."""
        return self.implied if given else self.undone


@dataclass(frozen=True, slots=True)
class Mark:
    """A change of a person's receipts: `runs` of each room get or lose `receipt` at `at`."""

    user_id: str
    receipt: Receipt
    given: bool
    runs: Mapping[str, Runs]
    at: datetime

    @property
    def weight(self) -> int:
        """As of `Unit.weight`: each run takes up to nine statements."""
        return 9 * sum(map(len, self.runs.values()))


@dataclass(frozen=True, slots=True)
class MarkTarget:
    """Which postings a person means: some notifications, everything, or everything through a position.

    With `epoch`, nothing if the log has begun another one since.
    """

    ids: tuple[str, ...] = ()
    all: bool = False
    through: Mapping[str, int] | None = None
    epoch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxFilter:
    """What to list; None means "do not filter by this". To do are the threads that are open, read or not."""

    unread: bool | None = None
    todo: bool | None = None
    archived: bool | None = None
    type: str | None = None
    level: Level | None = None
    room: str | None = None
    project: str | None = None
    thread: str | None = None
    q: str | None = None


@dataclass(frozen=True, slots=True)
class ThreadState:
    """The thread an item belongs to, over all rooms of the person.

    `count` is how many of its notifications they may see, capped at `MAX_THREAD`; it is open if it is so in any of
    the rooms; `settled_by` is who settled it last, None while it is open and where nobody was named.
    """

    key: str
    count: int
    open: bool
    settled_by: Actor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxItem:
    """One notification as one person sees it. `rooms` are all their rooms that hold it, `room` the nearest.

    The newest of a thread stands for all of it: it is seen, read or archived when the newest entry of every room is.
    """

    notification: Notification
    room: str
    offset: int
    rooms: tuple[str, ...]
    thread: ThreadState | None
    seen_at: datetime | None
    read_at: datetime | None
    archived_at: datetime | None


@dataclass(frozen=True, slots=True)
class InboxPage:
    """A page of items, newest first; `next_cursor` continues below it, None at the end."""

    items: tuple[InboxItem, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxState:
    """Where an inbox stands. `unread` and `unseen` are capped at 100; `position` is what they were counted over."""

    unread: int
    unseen: int
    version: int
    epoch: str
    position: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxCounts:
    """The numbers beside the tabs, each capped at 100."""

    all: int
    unread: int
    unseen: int
    todo: int
    archived: int
    by_type: Mapping[str, int]
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxChange:
    """What the person's other sessions hear when receipts change."""

    state: InboxState
    receipt: Receipt
    given: bool
    at: datetime
    ids: tuple[str, ...] = ()
    through: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """What became due since a person was last known to have it, counted up to `MISSED_CAP`."""

    total: int
    capped: bool
    by_type: Mapping[str, int]
    by_room: Mapping[str, int]
    urgent: int
    latest: tuple[InboxItem, ...]


MISSED_CAP = 500
LATEST = 5
MAX_THREAD = 1_000
