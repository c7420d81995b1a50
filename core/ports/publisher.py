"""The fast path: telling live sessions what was committed."""

from collections.abc import Iterable
from typing import Protocol

from core.domain.inbox import InboxChange
from core.domain.notifications import Posting


class Publisher(Protocol):
    """Best effort by contract: everything told here may be lost, doubled or reordered, and the readers of the
    log repair it. Nothing here waits for a network or raises for one.
    """

    def publish(self, postings: Iterable[Posting], epoch: str) -> None:
        """Hand postings freshly committed in this epoch to the live sessions they are due to."""

    def inbox_changed(self, user_id: str, change: InboxChange, origin: str | None) -> None:
        """Tell the person's sessions, but not `origin`, that receipts changed."""

    def people_changed(self, user_ids: Iterable[str]) -> None:
        """Look at these people's sessions at once: their memberships, roles or credentials have changed."""
