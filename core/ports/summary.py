"""What waits for a person elsewhere: pushed to us, or asked for."""

from collections.abc import Sequence
from typing import Protocol

from core.domain.counters import Counters
from core.domain.principals import User


class PushedCounters(Protocol):
    """Counters that were pushed, as they were stored through the log."""

    async def of(self, user_id: str) -> Sequence[Counters]:
        """What each source says of the person; those whose key was revoked or has expired say nothing.

        Raises `Unavailable`.
        """


class SummarySource(Protocol):
    """A platform that is asked."""

    async def counters(self, user: User) -> Counters:
        """What it says of the person, a few seconds old at most; nothing when it cannot be asked.

        Never raises for a fault of the platform, and answers within a second.
        """
