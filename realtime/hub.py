"""The hub: keeps each active room of this server in order, whatever the fast path loses, doubles or reorders.

For each room with members here it knows `applied`. Offset applied+1 is delivered; a smaller one is dropped; a
larger one is held, and if what is missing has not come within 50 ms, it is read from the log. A sweep asks every
second for the heads of all active rooms, by name: what is behind 50 ms later is read. So a publication can be
late, never lost: the log is its own outbox.

Each posting carries its room's membership counter. One that is higher than what the hub knows waits until the hub
has read who moved: what is not due is never delivered, whatever is lost on the way.

Whatever was read while the log began another epoch belongs to the one before, and is dropped.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from core.domain.errors import Unavailable
from core.domain.membership import FOREVER
from core.domain.notifications import Head, Posting
from core.domain.rooms import user_of
from core.domain.runs import Runs
from core.ports.identity import Identity
from core.ports.log import Log
from core.ports.presence import Audience
from realtime.background import Background
from realtime.room import Room
from realtime.session import Session

SWEEP_INTERVAL_S = 1.0
GAP_PATIENCE_S = 0.05
LINGER_S = 10.0
_REPAIR_PAGE = 500
_SWEEP_NAMES = 5_000

_logger = logging.getLogger(__name__)


class Hub:
    """`open` rooms, then `join` them at a base; every posting above the base is delivered once, in order."""

    def __init__(self, log: Log, identity: Identity, background: Background) -> None:
        self._log = log
        self._identity = identity
        self._background = background
        self._rooms: dict[str, Room] = {}
        self._moved: set[str] = set()
        self._looking = False
        self._sweeping_early = False
        self.epoch = ""
        self.on_epoch_changed: list[Callable[[], None]] = []
        self.on_people_moved: Callable[[set[str]], None] = lambda _: None
        self.swept_at = time.monotonic()
        self.log_reachable = True
        self.repaired = 0
        self.delivered = 0

    async def start(self) -> None:
        """Learn the epoch and begin to sweep. Raises `Unavailable`."""
        self.epoch = await self._log.epoch()
        self._background.repeat(self.sweep, SWEEP_INTERVAL_S, "hub sweep")

    async def open(self, rooms: Iterable[str]) -> None:
        """Make rooms active and keep them so until `join` or `unpin`. Raises `Unavailable`."""
        names = tuple(rooms)
        fresh = {
            name: Room(name, asyncio.get_running_loop().create_future())
            for name in names
            if name not in self._rooms
        }
        self._rooms |= fresh
        for name in names:
            self._rooms[name].pins += 1
        try:
            await self._opened(names, fresh)
        except BaseException:
            self.unpin(names)
            raise

    async def _opened(self, names: Sequence[str], fresh: Mapping[str, Room]) -> None:
        rooms = [self._rooms[name] for name in names]
        if fresh:
            await self._open_fresh(fresh)
        for room in rooms:
            if room.opened is not None:
                await asyncio.shield(room.opened)
        if rooms != [self._rooms.get(name) for name in names]:
            raise Unavailable("The log began another epoch meanwhile.", code="epoch_changed")

    async def _open_fresh(self, fresh: Mapping[str, Room]) -> None:
        try:
            heads = await self._log.heads(fresh)
        except BaseException as error:
            for name, room in fresh.items():
                if self._rooms.get(name) is room:
                    del self._rooms[name]
                if room.opened is not None and not room.opened.done():
                    room.opened.set_exception(error)
                    room.opened.exception()
            raise
        for name, room in fresh.items():
            room.applied, room.members = heads[name].head, heads[name].members
            opening, room.opened = room.opened, None
            if opening is not None:
                opening.set_result(None)
            self._deliver_held(room)

    def unpin(self, rooms: Iterable[str]) -> None:
        """Give up rooms that were opened and are not joined after all."""
        for name in rooms:
            if (room := self._rooms.get(name)) is not None:
                room.pins = max(0, room.pins - 1)

    def join(self, session: Session, rooms: Iterable[str]) -> dict[str, int]:
        """Put the session into opened rooms; the base of each: what comes above it is delivered from now on."""
        names = tuple(rooms)
        for name in names:
            self._rooms[name].join(session)
        self.unpin(names)
        return {name: self._rooms[name].applied for name in names}

    def leave(self, session: Session, rooms: Iterable[str]) -> None:
        for name in rooms:
            room = self._rooms.get(name)
            if room is not None:
                room.leave(session)

    def limit(self, session: Session, due: Mapping[str, Runs]) -> None:
        """Say which offsets of rooms it joined are due to the session, where that is not all from here on."""
        for name, offsets in due.items():
            if (room := self._rooms.get(name)) is not None:
                room.limit(session, offsets)

    @property
    def active_rooms(self) -> int:
        return len(self._rooms)

    def position(self, rooms: Iterable[str]) -> dict[str, int]:
        """How far each active room was delivered."""
        return {name: self._rooms[name].applied for name in rooms if name in self._rooms}

    def connections(self, room: str) -> int:
        found = self._rooms.get(room)
        return len(found.sessions) if found else 0

    def audience(self, rooms: Iterable[str]) -> Audience:
        """`core.ports.presence.Presence` for one server."""
        found = [self._rooms[name].sessions for name in rooms if name in self._rooms]
        connections = len(found[0]) if len(found) == 1 else len(set().union(*found))
        return Audience(connections=connections, servers=1 if connections else 0)

    def offer(self, posting: Posting, epoch: str) -> None:
        """Take a publication from the fast path: lost, doubled, reordered, whatever it went through."""
        if epoch != self.epoch:
            self._sweep_early()
            return
        room = self._rooms.get(posting.room)
        if room is None or (room.opened is None and posting.offset <= room.applied):
            return
        room.hold(posting)
        if room.opened is None:
            self._deliver_held(room)

    def _sweep_early(self) -> None:
        """Sweep now rather than within a second; once, however many ask."""
        if not self._sweeping_early:
            self._sweeping_early = True
            self._background.start(self._early_sweep(), "early sweep")

    async def _early_sweep(self) -> None:
        try:
            await self.sweep()
        finally:
            self._sweeping_early = False

    async def sweep(self) -> None:
        """Compare every active room with the log, and repair what stays behind."""
        try:
            await self._sweep()
        except Unavailable as error:
            self.log_reachable = False
            _logger.warning("the log cannot be reached", extra={"reason": error.code})
        else:
            self.log_reachable = True
        self.swept_at = time.monotonic()

    async def _sweep(self) -> None:
        self._close_idle()
        present = self.epoch
        epoch = await self._log.epoch()
        if present != self.epoch:
            return
        if epoch != present:
            self._begin_epoch(epoch)
            return
        applied = {name: room.applied for name, room in self._rooms.items() if room.opened is None}
        heads = await self._heads(list(applied))
        if epoch != self.epoch:
            return
        if any(head.head < applied[name] for name, head in heads.items()):
            # What was delivered is not in the log: another database took over without it.
            self._begin_epoch(await self._log.begin_epoch(instead_of=self.epoch))
            return
        await self._review(
            {
                name
                for name, head in heads.items()
                if (room := self._rooms.get(name)) is not None and head.members > room.members
            }
        )
        if not self._behind(heads):
            return
        await asyncio.sleep(GAP_PATIENCE_S)
        await self._repair(self._behind(heads))

    def _begin_epoch(self, epoch: str) -> None:
        """The log was restored from a backup: nothing that was delivered counts, everybody starts anew."""
        _logger.warning("the log has another epoch")
        self.epoch = epoch
        self._rooms.clear()
        self._log.forget()
        for told in self.on_epoch_changed:
            told()

    async def _heads(self, names: list[str]) -> dict[str, Head]:
        heads: dict[str, Head] = {}
        for start in range(0, len(names), _SWEEP_NAMES):
            heads |= await self._log.heads(names[start : start + _SWEEP_NAMES])
        return heads

    def _behind(self, heads: Mapping[str, Head]) -> list[str]:
        return [
            name
            for name, head in heads.items()
            if name in self._rooms and self._rooms[name].applied < head.head
        ]

    async def _repair(self, names: list[str]) -> None:
        """Read what is missing, all rooms in one query a page, until nothing is left."""
        while names:
            wanted = {
                name: ((self._rooms[name].applied + 1, FOREVER),) for name in names if name in self._rooms
            }
            epoch = self.epoch
            found = await self._log.read(wanted, _REPAIR_PAGE)
            if epoch != self.epoch:
                return
            moved = set()
            for posting in found:
                room = self._rooms.get(posting.room)
                if room is not None and posting.offset == room.applied + 1:
                    room.hold(posting)
                    if self._deliver_held(room):
                        moved.add(room.name)
                        self.repaired += 1
            await self._step_over_pruned(wanted.keys() - moved)
            names = names if len(found) == _REPAIR_PAGE and moved else []

    async def _step_over_pruned(self, names: Iterable[str]) -> None:
        """Nothing came in these rooms. If what comes next was pruned, nobody here can have it: they are cut, come
        back with their positions, and are told that what they missed is gone.
        """
        waiting = [
            name for name in names if (room := self._rooms.get(name)) and room.applied + 1 not in room.held
        ]
        epoch = self.epoch
        heads = await self._log.heads(waiting)
        for name, head in heads.items() if epoch == self.epoch else ():
            room = self._rooms.get(name)
            if room is None or head.floor <= room.applied:
                continue
            _logger.warning("postings were pruned before they were delivered", extra={"room": name})
            room.applied = head.floor
            room.forget_applied()
            for session in list(room.sessions):
                session.cut("pruned")

    def _deliver_held(self, room: Room) -> bool:
        """Deliver what waits and has its turn; whether there was anything.

        A posting written after somebody moved waits until it is known who.
        """
        progress = False
        while (following := room.take_held()) is not None:
            if following.members > room.members:
                room.hold(following)
                self._look_who_moved(room.name)
                return progress
            self.delivered += room.apply(following, self.epoch)
            progress = True
        room.forget_applied()
        if room.held:
            self._wait_for_gap(room)
        return progress

    def _look_who_moved(self, name: str) -> None:
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
        known = {name: self._rooms[name].members for name in names if name in self._rooms}
        people: set[str] = set()
        epoch = self.epoch
        found = await self._identity.changes_since(known)
        for name, changes in found.items() if epoch == self.epoch else ():
            room = self._rooms.get(name)
            if room is None or changes.members <= room.members:
                continue  # another review has seen as much
            room.members = changes.members
            for session in [session for session in room.sessions if session.user.id in changes.moved]:
                session.stale = True
                room.limit(session, changes.moved[session.user.id])
            people.update(changes.moved)
            people.update(filter(None, (user_of(name),)))
            self._deliver_held(room)
        if people:
            self.on_people_moved(people)

    def _wait_for_gap(self, room: Room) -> None:
        if not room.waiting_for_gap:
            room.waiting_for_gap = True
            self._background.start(self._fill_gap(room), f"gap in {room.name}")

    async def _fill_gap(self, room: Room) -> None:
        try:
            await asyncio.sleep(GAP_PATIENCE_S)
            if room.held and self._rooms.get(room.name) is room:
                await self._repair([room.name])
        except Unavailable:
            _logger.warning("a gap could not be read; the sweep will", extra={"room": room.name})
        finally:
            room.waiting_for_gap = False

    def _close_idle(self) -> None:
        now = time.monotonic()
        idle = [
            name
            for name, room in self._rooms.items()
            if not room.sessions and room.pins <= 0 and now - room.idle_since > LINGER_S
        ]
        for name in idle:
            del self._rooms[name]
