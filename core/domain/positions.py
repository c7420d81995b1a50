"""Positions, and what a client that comes back with one can be given. Pure decisions; see `plan_recovery`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from core.domain import runs
from core.domain.runs import Runs

MAX_REPLAY_PER_ROOM = 500
MAX_REPLAY_PER_SESSION = 2_000

Position = Mapping[str, int]
"""Room to the last offset applied. A room that is absent has not been followed yet."""

Acknowledged = Mapping[str, tuple[int, datetime]]
"""By room the newest offset that any of a person's devices acknowledged, and when."""


def newest(one: Acknowledged, other: Acknowledged) -> Acknowledged:
    """What was acknowledged here or there."""
    return {room: max(at[room] for at in (one, other) if room in at) for room in one.keys() | other.keys()}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a client says it has: the epoch and the position it applied, either of them possibly missing."""

    epoch: str | None
    position: Position | None

    @property
    def is_empty(self) -> bool:
        return self.epoch is None and self.position is None


UNREADABLE_CLAIM = Claim(epoch=None, position={})
"""Something was claimed, and nothing can be made of it: no room is recovered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomView:
    """One present room as recovery sees it.

    Live delivery begins above `base`; `head` is the last offset of the log (≥ base), `floor` the last pruned
    one, `due` the person's due offsets, unbounded above.
    """

    base: int
    head: int
    floor: int
    due: Runs


@dataclass(frozen=True, slots=True)
class Recovery:
    """How one room is caught up: replay the offsets in `replay`, step over those in `skip`.

    Not `recovered`: nothing is replayed, and the client must read its inbox for what came before the base.
    """

    recovered: bool
    replay: Runs = ()
    skip: Runs = ()


def plan_recovery(
    views: Mapping[str, RoomView], epoch: str, claim: Claim, per_room: int = MAX_REPLAY_PER_ROOM
) -> dict[str, Recovery]:
    """Decide for each present room, in the order given, how a client with this claim is caught up.

    No claim at all: live from the base, nothing to recover. Another epoch, half a claim, a position above the
    head or below the floor, more than `per_room` postings in a room or 2,000 in all: not recovered, never in part.
    A room absent from the position is replayed from the start of the person's present membership.
    """
    if claim.is_empty:
        return dict.fromkeys(views, Recovery(recovered=True))
    if claim.position is None or claim.epoch != epoch:
        return dict.fromkeys(views, Recovery(recovered=False))
    plan: dict[str, Recovery] = {}
    left = MAX_REPLAY_PER_SESSION
    for room, view in views.items():
        recovery = _recover_room(view, claim.position.get(room), min(left, per_room))
        left -= runs.count(recovery.replay)
        plan[room] = recovery
    return plan


def _recover_room(view: RoomView, position: int | None, limit: int) -> Recovery:
    start = membership_start(view) if position is None else position
    if start > view.head or start < view.floor:
        return Recovery(recovered=False)
    missing = ((start + 1, view.base),)
    replay = runs.intersect(missing, view.due)
    if runs.count(replay) > limit:
        return Recovery(recovered=False)
    return Recovery(recovered=True, replay=replay, skip=runs.subtract(missing, view.due))


def membership_start(view: RoomView) -> int:
    """Where the newest membership begins: what a client had of earlier ones, only its own position can tell."""
    return view.due[-1][0] - 1 if view.due else view.base
