"""The fast path: telling live sessions what was committed."""

from collections.abc import Iterable
from typing import Protocol

from core.domain.inbox import InboxChange
from core.domain.notifications import Posting


class Publisher(Protocol):
    """Best effort by contract: everything told here may be lost, doubled or reordered, and the readers of the
    log repair it. Nothing here waits for a network or raises for one.
    """

    def publish(self, postings: Iterable[Posting]) -> None:
        """Hand freshly committed postings to the live sessions they are due to."""

    def inbox_changed(self, user_id: str, change: InboxChange, origin: str | None) -> None:
        """Tell the person's sessions, but not `origin`, that receipts changed."""

    def login_ended(self, login_id: str) -> None:
        """End the sessions that live by tokens of this login."""
