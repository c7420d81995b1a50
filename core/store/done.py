"""What a change of a unit came to."""

from dataclasses import dataclass

from core.domain.handovers import Handover


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """A person whose rooms, or whose right to be heard of at all, changed: to be carried out under the heads' locks.

    `joined` and `left` are rooms whose interval opens or closes at the head of that moment, in their own room at
    the beginning. `touched` are rooms they stay in, whose other members' servers must look at them again.
    """

    user_id: str
    own_room: str
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()

    @property
    def rooms(self) -> frozenset[str]:
        return frozenset((self.own_room, *self.joined, *self.left, *self.touched))


@dataclass(frozen=True, slots=True)
class Done:
    """What a change came to: its result for the caller, the memberships that follow from it, and what is to be told."""

    result: object = True
    moves: Moves | None = None
    handovers: tuple[Handover, ...] = ()
