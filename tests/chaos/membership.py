"""What was due to a person, as far as the times of asking and answering can tell.

A posting got its offset between the asking and the answer of its publication, a membership began or ended between
the asking and the answer of its change. Where these overlap, nobody outside can say which came first; but offsets
have an order, and a person's devices agree: what one of them was shown places the border for all.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

from tests.chaos.history import Change


@dataclass(frozen=True, slots=True)
class Posting:
    room: str
    offset: int
    asked_at: float
    accepted_at: float


@dataclass(slots=True)
class Stay:
    """A membership, from the change that began it to the one that ended it."""

    joined: tuple[float, float]
    left: tuple[float, float] = (inf, inf)

    def has(self, posting: Posting) -> bool:
        """Certainly a posting of this stay."""
        return posting.asked_at >= self.joined[1] and posting.accepted_at <= self.left[0]

    def may_have(self, posting: Posting) -> bool:
        return posting.accepted_at > self.joined[0] and posting.asked_at < self.left[1]


@dataclass(frozen=True, slots=True)
class Dues:
    """The offsets of one room that must be shown to a person, and those that may be."""

    due: frozenset[int]
    allowed: frozenset[int]


def stays(changes: Iterable[Change], user: str, room: str) -> list[Stay]:
    found: list[Stay] = []
    for change in changes:
        if change.user != user:
            continue
        if room in change.joins and not (found and found[-1].left[0] == inf):
            found.append(Stay((change.asked_at, change.done_at)))
        elif room in change.leaves and found:
            found[-1].left = (change.asked_at, change.done_at)
    return found


def dues(memberships: Sequence[Stay], postings: Sequence[Posting], shown: set[int]) -> Dues:
    """What of a room's postings is due by these stays, of which the person's devices showed some offsets."""
    possible = [[posting for posting in postings if stay.may_have(posting)] for stay in memberships]
    times = Counter(posting.offset for part in possible for posting in part)
    due: set[int] = set()
    for stay, part in zip(memberships, possible, strict=True):
        known = [
            posting.offset
            for posting in part
            if stay.has(posting) or (posting.offset in shown and times[posting.offset] == 1)
        ]
        if known:
            first, last = min(known), max(known)
            due.update(posting.offset for posting in part if first <= posting.offset <= last)
    return Dues(frozenset(due), frozenset(times))
