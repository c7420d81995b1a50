"""The inbox, read. Receipts are written through the log."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from core.domain.inbox import InboxCounts, InboxFilter, InboxItem, InboxPage, InboxState, Missed
from core.domain.positions import Acknowledged, Position
from core.domain.runs import Runs


class Inbox(Protocol):
    """What is due to a person, over the rooms given: always their present rooms. All raise `Unavailable`."""

    async def page(
        self, user_id: str, rooms: Sequence[str], wanted: InboxFilter, cursor: str | None, limit: int
    ) -> InboxPage:
        """Items newest first, each notification once, and a thread once, as the newest of those it stands at in the
        rooms; a thread that is asked for by name comes as all its notifications.
        """

    async def item(self, user_id: str, rooms: Sequence[str], notification_id: str) -> InboxItem | None:
        """One notification as this person sees it, or None when it is not due to them."""

    async def state(self, user_id: str, rooms: Sequence[str]) -> InboxState:
        """Unread and unseen counts with the version and position they hold for, in one snapshot."""

    async def version(self, user_id: str) -> int:
        """The version alone; 0 before the first receipt."""

    async def counts(self, user_id: str, rooms: Sequence[str]) -> InboxCounts:
        """The numbers beside the tabs."""

    async def locate(
        self, user_id: str, rooms: Sequence[str], notification_ids: Iterable[str]
    ) -> dict[str, Runs]:
        """What marking the notifications marks, by room: where they are due to the person, and where their threads
        stand at something older, so that nothing of the row they are shown as is left. Unknown ids give nothing.
        """

    async def since(
        self, user_id: str, rooms: Sequence[str], after: Position, through: Position | None = None
    ) -> tuple[InboxState, Missed]:
        """The state, and what is due and shown above `after` up to `through` (None: the state's position), each
        notification once; both in one snapshot.
        """

    async def since_acknowledged(
        self, user_id: str, rooms: Sequence[str], noted: Acknowledged, through: Position | None = None
    ) -> tuple[InboxState, Missed, datetime | None]:
        """The same above what the person's devices acknowledged, which is what is stored or was `noted` since, and when
        the last of it was; None when nothing ever was.
        """


class Positions(Protocol):
    """What people's devices have acknowledged."""

    def acknowledge(self, user_id: str, position: Position) -> None:
        """Note it; written in chunks within 5 s. May be lost in a crash: the next acknowledgement carries it."""

    def noted(self, user_id: str, rooms: Sequence[str]) -> Acknowledged:
        """What may not be written yet."""
