"""Catching up: what a client that comes back with a position is sent before it goes live.

Register at the hub first, then read: what is published meanwhile is held, and nothing falls between.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from core.domain import runs
from core.domain.membership import due_runs
from core.domain.notifications import Posting
from core.domain.positions import (
    MAX_REPLAY_PER_SESSION,
    Claim,
    Recovery,
    RoomView,
    membership_start,
    plan_recovery,
)
from core.domain.runs import Runs
from core.ports.identity import Identity
from core.ports.log import Log
from realtime.engine import EventPacket
from realtime.hub import Hub
from realtime.publication import Publication, with_skip
from realtime.session import Held, Session

PAGE = 100
MAX_UNSENT_BYTES = 256 << 10
SEND_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How a session's rooms are caught up: what the client is told first, and what is then sent.

    `holds` are released once it is done, `base` says from where on. `start` is where a client without a position of
    its own stands before the replay.
    """

    holds: Mapping[str, Held]
    base: Mapping[str, int]
    start: Mapping[str, int]
    recovered: Mapping[str, bool]
    replay: Mapping[str, Runs]
    skip: Mapping[str, Runs]
    due: Mapping[str, Runs]

    def body(self) -> dict[str, Any]:
        return {
            "recovered": dict(self.recovered),
            "position": dict(self.base),
            "skip": {room: [list(run) for run in offsets] for room, offsets in self.skip.items() if offsets},
        }


class Replay:
    """Plans and sends replays from the log."""

    def __init__(self, hub: Hub, log: Log, identity: Identity) -> None:
        self._hub = hub
        self._log = log
        self._identity = identity

    async def plan(self, holds: Mapping[str, Held], due: Mapping[str, Runs], claim: Claim | None) -> Plan:
        """Decide what a claim over rooms that are held is owed; None claims all of the present membership.

        The session is in the hub. Raises `Unavailable`.
        """
        base = {room: held.base for room, held in holds.items()}
        if claim is not None and claim.is_empty:
            return Plan(holds, base, base, dict.fromkeys(base, True), {}, {}, due)
        epoch = self._hub.epoch
        heads = await self._log.heads(base)
        views = {
            room: RoomView(base=base[room], head=heads[room].head, floor=heads[room].floor, due=due[room])
            for room in base
        }
        if claim is None:
            # What came while its people moved may be much, and nobody has asked for less.
            everything = Claim(epoch=epoch, position={})
            recoveries = plan_recovery(views, epoch, everything, MAX_REPLAY_PER_SESSION)
        else:
            recoveries = plan_recovery(views, epoch, claim)
        hidden = await self._log.hidden({room: recovery.replay for room, recovery in recoveries.items()})
        return Plan(
            holds=holds,
            base=base,
            start={
                room: membership_start(views[room]) if recovery.recovered else base[room]
                for room, recovery in recoveries.items()
            },
            recovered={room: recovery.recovered for room, recovery in recoveries.items()},
            replay={
                room: runs.subtract(recovery.replay, hidden.get(room, ()))
                for room, recovery in recoveries.items()
            },
            skip={room: _skipped(recovery, hidden.get(room, ())) for room, recovery in recoveries.items()},
            due=due,
        )

    async def run(self, session: Session, plan: Plan) -> None:
        """Send the replay, then let the rooms go live. Raises `Unavailable`, `TimeoutError` for a stuck client."""
        wanted = dict(plan.replay)
        while True:
            await self._send(session, plan, wanted)
            await _let_drain(session)
            wanted = await self._overflowed(session, plan)
            if not wanted:
                break
        session.release(plan.holds, plan.due)

    async def _send(self, session: Session, plan: Plan, wanted: Mapping[str, Runs]) -> None:
        left = {room: offsets for room, offsets in wanted.items() if offsets}
        hidden_since: dict[str, int] = {}
        while left and not session.ended:
            page = await self._log.read(left, PAGE)
            if not _is_whole(page, left):
                # Pruned since the plan was made. The client comes again with what it has, and is told.
                session.cut("pruned")
                return
            for posting in page:
                if session.unsent_bytes > MAX_UNSENT_BYTES:
                    await _let_drain(session)
                if session.catching_up.get(posting.room) is plan.holds[posting.room]:
                    self._send_posting(session, posting, hidden_since)
            if len(page) < PAGE:
                return
            left = _after(left, page[-1].room, page[-1].offset)
            await _let_drain(session)

    def _send_posting(self, session: Session, posting: Posting, hidden_since: dict[str, int]) -> None:
        """Send a posting; what is not to be shown is named with the next."""
        body = Publication.of(posting, self._hub.epoch).body
        if body is None:
            hidden_since.setdefault(posting.room, posting.offset)
            return
        if (since := hidden_since.pop(posting.room, None)) is not None:
            body = with_skip(body, since, posting.offset - 1)
        session.send(EventPacket(body))

    async def _overflowed(self, session: Session, plan: Plan) -> dict[str, Runs]:
        """Rooms in which too much came meanwhile: their base is raised, and the replay reads on up to it.

        What is due is read anew, behind the new bases: people may have moved since the plan was made.
        """
        applied = self._hub.position_of(session, plan.base)
        missing: dict[str, Runs] = {}
        for room, held in session.standing(plan.holds).items():
            if held.overflowed and room in applied:
                missing[room] = ((held.base + 1, applied[room]),)
                held.base, held.overflowed = max(held.base, applied[room]), False
        if not missing:
            return {}
        intervals = await self._identity.intervals(session.user.id, tuple(missing))
        return {room: runs.intersect(offsets, due_runs(intervals, room)) for room, offsets in missing.items()}


async def _let_drain(session: Session) -> None:
    async with asyncio.timeout(SEND_DEADLINE_S):
        await session.wait_sent()


def _is_whole(page: Sequence[Posting], wanted: Mapping[str, Runs]) -> bool:
    """Whether the page holds the first of what was wanted, without a gap."""
    offsets = (
        (room, offset)
        for room, wanted_runs in wanted.items()
        for first, last in wanted_runs
        for offset in range(first, last + 1)
    )
    return [(posting.room, posting.offset) for posting in page] == list(islice(offsets, PAGE))


def _skipped(recovery: Recovery, hidden: Runs) -> Runs:
    return runs.union(recovery.skip, hidden)


def _after(wanted: Mapping[str, Runs], room: str, offset: int) -> dict[str, Runs]:
    """What is left of the runs once everything up to this room and offset was read."""
    names = list(wanted)
    left = {name: wanted[name] for name in names[names.index(room) :]}
    left[room] = runs.subtract(left[room], ((1, offset),))
    return {name: offsets for name, offsets in left.items() if offsets}
