"""How far units and heads have come inside one transaction of the log."""

from dataclasses import dataclass

from core.domain.errors import DomainError
from core.domain.notifications import Head
from core.ports.log import Appended, Unit
from core.store.done import Moves


@dataclass(slots=True)
class Progress:
    """How far one unit has come inside the transaction."""

    unit: Unit
    refusal: DomainError | None = None
    results: tuple[object, ...] = ()
    moves: tuple[Moves, ...] = ()
    before: Appended | None = None

    @property
    def appends(self) -> bool:
        return self.refusal is None and self.before is None


@dataclass(slots=True)
class LockedHead:
    """A locked head, before and while it moves."""

    was: Head
    head: int = 0
    members: int = 0

    def __post_init__(self) -> None:
        self.head, self.members = self.was.head, self.was.members
