"""The log: the one truth about what was accepted."""

from asyncio import Future
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.domain.counters import SetCounters
from core.domain.identity import IdentityChange
from core.domain.inbox import Mark
from core.domain.notifications import Draft, Head, Notification, Posting
from core.domain.retention import Chore
from core.domain.runs import Runs
from core.domain.tasks import TaskChange
from core.domain.values import value

Change = IdentityChange | Mark | TaskChange | SetCounters


@value()
class Unit:
    """A unit of work: changes that may be refused, then drafts; or a chore. All of it is committed, or none.

    `sender` is for fairness only: groups are filled by turns between senders. A draft with an idempotency key
    is a unit of its own, so that a conflict over the key never takes anything else with it.
    """

    sender: str
    changes: tuple[Change, ...] = ()
    drafts: tuple[Draft, ...] = ()
    chore: Chore | None = None

    def __post_init__(self) -> None:
        if any(draft.key for draft in self.drafts) and (len(self.drafts) > 1 or self.changes):
            raise ValueError("A draft with an idempotency key must be a unit of its own.")
        if self.chore and (self.changes or self.drafts):
            raise ValueError("A chore must be a unit of its own.")

    @property
    def size_bytes(self) -> int:
        counters = sum(change.size_bytes for change in self.changes if isinstance(change, SetCounters))
        return counters + sum(draft.size_bytes for draft in self.drafts)

    @property
    def weight(self) -> int:
        """Roughly how much it does to the database; groups are bounded by the sum, so that nobody waits for long."""
        changes = sum(change.weight for change in self.changes if isinstance(change, TaskChange | Mark))
        return changes + max(1, len(self.drafts))


@value()
class Appended:
    """What became of one draft.

    `duplicate`: the same sender had stored the same body under the same key; `notification` and `offsets`
    (room to offset) are those of the first time, as far as they were not pruned, and nothing new was appended.
    An amendment of what is gone appended nothing: it has no offsets.
    """

    notification: Notification | None
    postings: tuple[Posting, ...]
    offsets: Mapping[str, int]
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Committed:
    """A unit's outcome: one result a change or chore (what its kind promises), one `Appended` a draft, then those of
    what its changes told by themselves.

    `epoch` is the one that the transaction saw: that of every offset here. It may be empty when nothing was appended.
    """

    results: tuple[object, ...]
    appended: tuple[Appended, ...]
    epoch: str


class Log(Protocol):
    """Rooms with gap-free offsets in commit order."""

    async def commit(self, unit: Unit) -> Committed:
        """Commit the unit durably, grouped with whatever else is waiting.

        Returned means flushed to disk. Offsets of a room are 1, 2, 3 … in the order of commits.
        Raises the refusal of one of its changes, `Conflict` (idempotency_conflict) for another body under the
        same key, `RateLimited` when too much is waiting already, and `Unavailable` when it was not stored or
        that is unknown: the caller tries again with the same key.

        A caller that gives up waiting does not take its unit back: it may be committed all the same.
        """

    def begin(self, unit: Unit) -> Future[Committed]:
        """The same for whoever has many: they wait together, and what comes of each is known by itself.

        Raises the refusals that need no waiting: `RateLimited`, and `Unavailable` when the log is closed.
        """

    async def heads(self, rooms: Iterable[str]) -> dict[str, Head]:
        """Head, floor and members of the rooms by name, in one snapshot; a room never posted to is all zeros.

        Raises `Unavailable`.
        """

    async def read(self, runs: Mapping[str, Runs], limit: int) -> list[Posting]:
        """The postings in the runs, at most `limit`, ordered by room (as given) and offset.

        Content that is not to be shown any more is left out of its posting, what an update said included. What was
        pruned is simply absent: ask for the floor afterwards, or in the same snapshot. Raises `Unavailable`.
        """

    async def hidden(self, runs: Mapping[str, Runs]) -> dict[str, Runs]:
        """Those offsets in the runs whose content is not to be shown any more. Raises `Unavailable`."""

    async def epoch(self) -> str:
        """The id of this life of the log. Raises `Unavailable`."""

    async def begin_epoch(self, instead_of: str | None = None) -> str:
        """Begin another life of the log: every position of the present one is void. The epoch that holds then.

        With `instead_of`, only if that is still the present one: of several servers that find the same thing
        wrong, one begins an epoch and the others learn which. Raises `Unavailable`, also when it is unknown
        whether it began: then ask for the epoch, or call again with the same `instead_of`.
        """

    def forget(self) -> None:
        """Drop what is remembered of rooms. To be called by whoever sees that the epoch changed."""

    async def notification(self, notification_id: str) -> tuple[Notification, Sequence[str]] | None:
        """A notification and the rooms it was posted to, those where it was pruned left out; None without any.

        Raises `Unavailable`.
        """
