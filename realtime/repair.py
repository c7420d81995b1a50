"""Repair: what the hub lacks is read from the log, which is its own outbox.

A sweep asks every second for the heads of all active rooms, by name: what is behind 50 ms later is read. So a
publication can be late, never lost. Whatever was read while the log began another epoch belongs to the one before,
and is dropped.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from core.domain.errors import Unavailable
from core.domain.membership import FOREVER
from core.domain.notifications import Head
from core.domain.rooms import user_of
from core.ports.identity import Identity
from core.ports.log import Log
from realtime.background import Background
from realtime.publication import Publication
from realtime.room import Room

if TYPE_CHECKING:
    from realtime.hub import Hub

SWEEP_INTERVAL_S = 1.0
GAP_PATIENCE_S = 0.05
LOG_PATIENCE_S = 2.0
_PAGE = 500
_RESTS_S = 0.5
_SWEEP_NAMES = 5_000

_logger = logging.getLogger(__name__)


class Repair:
    """Reads for one hub: gaps, heads, and who moved."""

    def __init__(self, hub: "Hub", log: Log, identity: Identity, background: Background) -> None:
        self._hub = hub
        self._log = log
        self._identity = identity
        self._background = background
        self._to_check: set[str] = set()
        self._checking = False
        self._moved: set[str] = set()
        self._looking = False
        self._sweeping_early = False
        self._waiting_since: float | None = None
        self._log_answered = True
        self.swept_at = time.monotonic()
        self.repaired = 0

    @property
    def log_reachable(self) -> bool:
        """Whether the log has answered the last sweep, or one that goes on has not waited long for it."""
        waiting = self._waiting_since
        return self._log_answered and (waiting is None or time.monotonic() - waiting <= LOG_PATIENCE_S)

    def start(self) -> None:
        """Begin to sweep."""
        self._background.repeat(self.sweep, SWEEP_INTERVAL_S, "hub sweep")

    def sweep_early(self) -> None:
        """Sweep now rather than within a second; not more than once in 50 ms, however many ask."""
        if not self._sweeping_early:
            self._sweeping_early = True
            self._background.start(self._early_sweep(), "early sweep")

    async def _early_sweep(self) -> None:
        try:
            await self.sweep()
            await asyncio.sleep(GAP_PATIENCE_S)
        finally:
            self._sweeping_early = False

    async def sweep(self) -> None:
        """Compare every active room with the log, and repair what stays behind."""
        self._waiting_since = time.monotonic()
        try:
            await self._sweep()
        except Unavailable as error:
            self._log_answered = False
            _logger.warning("the log cannot be reached", extra={"reason": error.code})
        else:
            self._log_answered = True
        finally:
            self._waiting_since = None
        self.swept_at = time.monotonic()

    async def _sweep(self) -> None:
        self._hub.close_idle()
        present = self._hub.epoch
        epoch = await self._log.epoch()
        if present != self._hub.epoch:
            return
        if epoch != present:
            self._begin_epoch(epoch)
            return
        patience_s: float = GAP_PATIENCE_S
        while await self._compare(self._hub.rooms, patience_s):
            self._waiting_since = self.swept_at = time.monotonic()
            patience_s = 0

    def check(self, names: Iterable[str]) -> None:
        """Somebody says that the log has more of these rooms: compare them at once, each at most once in 50 ms."""
        self._to_check.update(names)
        if self._to_check and not self._checking:
            self._checking = True
            self._background.start(self._check(), "check of rooms")

    async def _check(self) -> None:
        try:
            while self._to_check:
                names, self._to_check = self._to_check, set()
                if await self._compare(names, 0):
                    self._to_check |= names
                await asyncio.sleep(GAP_PATIENCE_S)
        except Unavailable:
            _logger.warning("rooms could not be checked; the sweep will")
        finally:
            self._checking = False

    async def _compare(self, names: Iterable[str], patience_s: float) -> bool:
        """Compare these rooms, as far as they are active, with their heads; read a page of what is behind after a while.

        Whether there may be more to read: then heads are compared anew, so that no room waits for all of another one.
        """
        epoch = self._hub.epoch
        applied = {
            name: room.applied
            for name in names
            if (room := self._hub.rooms.get(name)) is not None and room.opened is None
        }
        heads = await self._heads(list(applied))
        if epoch != self._hub.epoch:
            return False
        if any(head.head < applied[name] for name, head in heads.items()):
            # What was delivered is not in the log: another database took over without it.
            self._begin_epoch(await self._log.begin_epoch(instead_of=epoch))
            return False
        await self._review(
            {
                name
                for name, head in heads.items()
                if (room := self._hub.rooms.get(name)) is not None and head.members > room.members
            }
        )
        if not self._behind(heads):
            return False
        await asyncio.sleep(patience_s)
        return await self._read(self._behind(heads))

    def _begin_epoch(self, epoch: str) -> None:
        _logger.warning("the log has another epoch")
        self._hub.begin_epoch(epoch)

    async def _heads(self, names: list[str]) -> dict[str, Head]:
        heads: dict[str, Head] = {}
        for start in range(0, len(names), _SWEEP_NAMES):
            heads |= await self._log.heads(names[start : start + _SWEEP_NAMES])
        return heads

    def _behind(self, heads: Mapping[str, Head]) -> list[str]:
        """What lacks least comes first: it is read by the first page, however much another room lacks."""
        missing = {
            name: head.head - room.applied
            for name, head in heads.items()
            if (room := self._hub.rooms.get(name)) is not None and room.applied < head.head
        }
        return sorted(missing, key=missing.__getitem__)

    async def _read(self, names: list[str]) -> bool:
        """Read a page of what is missing, all rooms in one query; whether there may be more.

        What a tired room has not taken after some rests is left for the next page.
        """
        wanted = {
            name: ((room.applied + 1, FOREVER),)
            for name in names
            if (room := self._hub.rooms.get(name)) is not None
        }
        epoch = self._hub.epoch
        found = await self._log.read(wanted, _PAGE)
        resting_until = time.monotonic() + _RESTS_S
        begun, moved, left = set(), set(), False
        for posting in found:
            room = self._hub.rooms.get(posting.room) if epoch == self._hub.epoch else None
            if room is not None and room.name not in begun:
                begun.add(room.name)
                if room.is_behind:
                    await room.rest()
                    room = self._hub.rooms.get(posting.room) if epoch == self._hub.epoch else None
            while room is not None and room.is_tired and not left:
                await room.rest()
                room = self._hub.rooms.get(posting.room) if epoch == self._hub.epoch else None
                left = time.monotonic() >= resting_until
            if left:
                break
            if room is not None and posting.offset == room.applied + 1:
                room.hold(Publication.of(posting, epoch))
                if self._hub.deliver_held(room):
                    moved.add(room.name)
                    self.repaired += 1
        if epoch != self._hub.epoch:
            return False
        await self._step_over_pruned(wanted.keys() - moved)
        return left or (bool(moved) and len(found) == _PAGE)

    async def _step_over_pruned(self, names: Iterable[str]) -> None:
        """Nothing came in these rooms. If what comes next was pruned, nobody here can have it: they are cut, come
        back with their positions, and are told that what they missed is gone.
        """
        rooms = self._hub.rooms
        waiting = [name for name in names if (room := rooms.get(name)) and room.applied + 1 not in room.held]
        epoch = self._hub.epoch
        heads = await self._log.heads(waiting)
        for name, head in heads.items() if epoch == self._hub.epoch else ():
            room = rooms.get(name)
            if room is None or head.floor <= room.applied:
                continue
            _logger.warning("postings were pruned before they were delivered", extra={"room": name})
            room.applied = head.floor
            room.forget_applied()
            for session in list(room.sessions):
                session.cut("pruned")

    def look_who_moved(self, name: str) -> None:
        """Read who moved in the room; what waits for that is then delivered."""
        self._moved.add(name)
        if not self._looking:
            self._looking = True
            self._background.start(self._look(), "who moved")

    async def _look(self) -> None:
        try:
            while self._moved:
                names, self._moved = self._moved, set()
                await self._review(names)
        except Unavailable:
            _logger.warning("who moved could not be read; the sweep will")
        finally:
            self._looking = False

    async def _review(self, names: set[str]) -> None:
        """Read who moved in the rooms; then what waited for that is delivered, to those it is due to."""
        rooms = self._hub.rooms
        known = {name: rooms[name].members for name in names if name in rooms}
        people: set[str] = set()
        epoch = self._hub.epoch
        found = await self._identity.changes_since(known)
        for name, changes in found.items() if epoch == self._hub.epoch else ():
            room = rooms.get(name)
            if room is None or changes.members <= room.members:
                continue  # another review has seen as much
            room.members = changes.members
            for session in [session for session in room.sessions if session.user.id in changes.moved]:
                session.stale = True
                room.limit(session, changes.moved[session.user.id])
            people.update(changes.moved)
            people.update(filter(None, (user_of(name),)))
            self._hub.deliver_held(room)
        if people:
            self._hub.on_people_moved(people)

    def wait_for_gap(self, room: Room) -> None:
        """Something waits for what is before it: read that, unless it comes within 50 ms."""
        if not room.waiting_for_gap:
            room.waiting_for_gap = True
            self._background.start(self._fill_gap(room), f"gap in {room.name}")

    async def _fill_gap(self, room: Room) -> None:
        try:
            await asyncio.sleep(GAP_PATIENCE_S)
            if room.held and self._hub.rooms.get(room.name) is room:
                await self._read([room.name])
        except Unavailable:
            _logger.warning("a gap could not be read; the sweep will", extra={"room": room.name})
        finally:
            room.waiting_for_gap = False
