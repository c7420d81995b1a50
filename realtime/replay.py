"""Catching up: what a client that comes back with a position is sent before it goes live.

Register at the hub first, then read: what is published meanwhile is held, and nothing falls between.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.domain import runs
from core.domain.membership import due_runs
from core.domain.positions import Claim, Recovery, RoomView, plan_recovery
from core.domain.runs import Runs
from core.ports.identity import Identity
from core.ports.log import Log
from core.schemas.sockets import posting_event
from realtime.engine import EventPacket
from realtime.hub import Hub
from realtime.session import Session

PAGE = 100
MAX_UNSENT_BYTES = 256 << 10
SEND_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How a session's rooms are caught up: what the client is told first, and what is then sent."""

    base: Mapping[str, int]
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

    async def plan(self, session: Session, base: Mapping[str, int], claim: Claim) -> Plan:
        """Decide what the claim is owed. The session is in the hub and its rooms held. Raises `Unavailable`."""
        if claim.is_empty:
            return Plan(base, dict.fromkeys(base, True), {}, {}, {})
        intervals = await self._identity.intervals(session.user.id, tuple(base))
        heads = await self._log.heads(base)
        due = {room: due_runs(intervals, room) for room in base}
        views = {
            room: RoomView(base=base[room], head=heads[room].head, floor=heads[room].floor, due=due[room])
            for room in base
        }
        recoveries = plan_recovery(views, self._hub.epoch, claim)
        hidden = await self._log.hidden({room: recovery.replay for room, recovery in recoveries.items()})
        return Plan(
            base=base,
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
            await self._send(session, wanted)
            await _let_drain(session)
            wanted = self._overflowed(session, plan)
            if not wanted:
                break
        session.release(plan.base)

    async def _send(self, session: Session, wanted: Mapping[str, Runs]) -> None:
        left = {room: offsets for room, offsets in wanted.items() if offsets}
        while left and not session.ended:
            page = await self._log.read(left, PAGE)
            for posting in page:
                if posting.is_shown:
                    session.send(EventPacket(*posting_event(posting, self._hub.epoch)))
                if session.unsent_bytes > MAX_UNSENT_BYTES:
                    await _let_drain(session)
            if len(page) < PAGE:
                return
            left = _after(left, page[-1].room, page[-1].offset)
            await _let_drain(session)

    def _overflowed(self, session: Session, plan: Plan) -> dict[str, Runs]:
        """Rooms in which too much came meanwhile: their base is raised, and the replay reads on up to it."""
        more: dict[str, Runs] = {}
        applied = self._hub.position(plan.base)
        for room in plan.base:
            held = session.catching_up.get(room)
            if held is not None and held.overflowed:
                missing = ((held.base + 1, applied[room]),)
                more[room] = runs.intersect(missing, plan.due[room]) if room in plan.due else missing
                held.base, held.overflowed = applied[room], False
        return more


async def _let_drain(session: Session) -> None:
    async with asyncio.timeout(SEND_DEADLINE_S):
        await session.wait_sent()


def _skipped(recovery: Recovery, hidden: Runs) -> Runs:
    return runs.union(recovery.skip, hidden)


def _after(wanted: Mapping[str, Runs], room: str, offset: int) -> dict[str, Runs]:
    """What is left of the runs once everything up to this room and offset was read."""
    names = list(wanted)
    left = {name: wanted[name] for name in names[names.index(room) :]}
    left[room] = runs.subtract(left[room], ((1, offset),))
    return {name: offsets for name, offsets in left.items() if offsets}
