"""How far units and heads have come inside one transaction of the log."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from core.domain.errors import DomainError
from core.domain.handovers import Handover
from core.domain.notifications import Draft, Head
from core.domain.retention import Prune
from core.ports.log import Appended, Unit
from core.store.done import Moves


@dataclass(slots=True)
class Progress:
    """How far one unit has come inside the transaction. `drafts` are the unit's own, then those of its handovers; `moot`
    are the places of those that amend what is gone.
    """

    unit: Unit
    refusal: DomainError | None = None
    results: tuple[object, ...] = ()
    moves: tuple[Moves, ...] = ()
    handovers: tuple[Handover, ...] = ()
    before: Appended | None = None
    drafts: list[Draft] = field(init=False)
    moot: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.drafts = list(self.unit.drafts)

    @property
    def rooms(self) -> Iterator[str]:
        """The rooms whose heads must be locked."""
        for draft in self.drafts:
            yield from draft.rooms
        for told in self.handovers:
            yield from told.rooms
            yield from told.settles_in
        for move in self.moves:
            yield from move.rooms
        if isinstance(self.unit.chore, Prune):
            yield self.unit.chore.room

    @property
    def appends(self) -> bool:
        return self.refusal is None and self.before is None


@dataclass(slots=True)
class LockedHead:
    """A locked head, before and while it moves."""

    was: Head
    head: int = 0
    floor: int = 0
    members: int = 0

    def __post_init__(self) -> None:
        self.head, self.floor, self.members = self.was.head, self.was.floor, self.was.members

    @property
    def now(self) -> Head:
        return Head(self.head, self.floor, self.members)
