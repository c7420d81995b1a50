"""The hub: keeps each active room of this server in order, whatever the fast path loses, doubles or reorders.

For each room with members here it knows `applied`. Offset applied+1 is delivered; a smaller one is dropped; a
larger one is held, and if what is missing has not come within 50 ms, it is read from the log. A sweep asks every
second for the heads of all active rooms, by name: what is behind 50 ms later is read. So a publication can be
late, never lost: the log is its own outbox.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from core.domain.errors import Unavailable
from core.domain.membership import FOREVER
from core.domain.notifications import Head, Posting
from core.ports.log import Log
from core.ports.presence import Audience
from core.schemas.sockets import posting_event
from realtime.background import Background
from realtime.engine import EventPacket
from realtime.session import Session

SWEEP_INTERVAL_S = 1.0
GAP_PATIENCE_S = 0.05
LINGER_S = 10.0
_MAX_HELD = 500
_REPAIR_PAGE = 500
_SWEEP_NAMES = 5_000

_logger = logging.getLogger(__name__)


class _Room:
    """One active room. `opened` is None while its head is being read; publications are held meanwhile."""

    __slots__ = ("applied", "held", "idle_since", "members", "opened", "pins", "sessions", "waiting_for_gap")

    def __init__(self, opening: "asyncio.Future[None]") -> None:
        self.applied = 0
        self.members = 0
        self.opened: asyncio.Future[None] | None = opening
        self.sessions: set[Session] = set()
        self.held: dict[int, Posting] = {}
        self.waiting_for_gap = False
        self.pins = 0
        self.idle_since = time.monotonic()


class Hub:
    """`open` rooms, then `join` them at a base; every posting above the base is delivered once, in order."""

    def __init__(self, log: Log, background: Background) -> None:
        self._log = log
        self._background = background
        self._rooms: dict[str, _Room] = {}
        self.epoch = ""
        self.on_epoch_changed: Callable[[], None] = lambda: None
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
            name: _Room(asyncio.get_running_loop().create_future())
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

    async def _opened(self, names: Sequence[str], fresh: Mapping[str, _Room]) -> None:
        rooms = [self._rooms[name] for name in names]
        if fresh:
            await self._open_fresh(fresh)
        for room in rooms:
            if room.opened is not None:
                await asyncio.shield(room.opened)
        if rooms != [self._rooms.get(name) for name in names]:
            raise Unavailable("The log began another epoch meanwhile.", code="epoch_changed")

    async def _open_fresh(self, fresh: Mapping[str, _Room]) -> None:
        try:
            heads = await self._log.heads(fresh)
        except BaseException as error:
            for name, room in fresh.items():
                self._rooms.pop(name, None)
                if room.opened is not None and not room.opened.done():
                    room.opened.set_exception(error)
                    room.opened.exception()
            raise
        for name, room in fresh.items():
            room.applied, room.members = heads[name].head, heads[name].members
            opening, room.opened = room.opened, None
            if opening is not None:
                opening.set_result(None)
            self._deliver_held(name, room)

    def unpin(self, rooms: Iterable[str]) -> None:
        """Give up rooms that were opened and are not joined after all."""
        for name in rooms:
            if (room := self._rooms.get(name)) is not None:
                room.pins -= 1

    def join(self, session: Session, rooms: Iterable[str]) -> dict[str, int]:
        """Put the session into opened rooms; the base of each: what comes above it is delivered from now on."""
        names = tuple(rooms)
        for name in names:
            self._rooms[name].sessions.add(session)
        self.unpin(names)
        return {name: self._rooms[name].applied for name in names}

    def leave(self, session: Session, rooms: Iterable[str]) -> None:
        for name in rooms:
            room = self._rooms.get(name)
            if room is not None:
                room.sessions.discard(session)
                room.idle_since = time.monotonic()

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

    def offer(self, posting: Posting) -> None:
        """Take a publication from the fast path: lost, doubled, reordered, whatever it went through."""
        room = self._rooms.get(posting.room)
        if room is None:
            return
        if room.opened is None and posting.offset <= room.applied:
            return
        if room.opened is None and posting.offset == room.applied + 1:
            self._apply(room, posting)
            self._deliver_held(posting.room, room)
            return
        if len(room.held) < _MAX_HELD:
            room.held[posting.offset] = posting
        if room.opened is None:
            self._wait_for_gap(posting.room, room)

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
        epoch = await self._log.epoch()
        if epoch != self.epoch:
            self._begin_epoch(epoch)
            return
        heads = await self._heads([name for name, room in self._rooms.items() if room.opened is None])
        if not self._behind(heads):
            return
        await asyncio.sleep(GAP_PATIENCE_S)
        await self._repair(self._behind(heads))

    def _begin_epoch(self, epoch: str) -> None:
        """The log was restored from a backup: nothing that was delivered counts, everybody starts anew."""
        _logger.warning("the log has another epoch")
        self.epoch = epoch
        self._rooms.clear()
        self.on_epoch_changed()

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
            found = await self._log.read(wanted, _REPAIR_PAGE)
            repaired = self.repaired
            for posting in found:
                room = self._rooms.get(posting.room)
                if room is not None and posting.offset == room.applied + 1:
                    self.repaired += 1
                    self._apply(room, posting)
                    self._deliver_held(posting.room, room)
            names = names if len(found) == _REPAIR_PAGE and self.repaired > repaired else []

    def _apply(self, room: _Room, posting: Posting) -> None:
        room.applied = posting.offset
        room.members = max(room.members, posting.members)
        if not posting.is_shown or not room.sessions:
            return
        packet = EventPacket(*posting_event(posting, self.epoch))
        for session in room.sessions:
            session.deliver(posting.room, posting.offset, packet)
        self.delivered += len(room.sessions)
        _logger.info("📨 [WS→Client] notify:%s → %d 个连接", posting.room, len(room.sessions))

    def _deliver_held(self, name: str, room: _Room) -> None:
        while (following := room.held.pop(room.applied + 1, None)) is not None:
            self._apply(room, following)
        if room.held:
            room.held = {offset: posting for offset, posting in room.held.items() if offset > room.applied}
        if room.held:
            self._wait_for_gap(name, room)

    def _wait_for_gap(self, name: str, room: _Room) -> None:
        if not room.waiting_for_gap:
            room.waiting_for_gap = True
            self._background.start(self._fill_gap(name, room), f"gap in {name}")

    async def _fill_gap(self, name: str, room: _Room) -> None:
        try:
            await asyncio.sleep(GAP_PATIENCE_S)
            if room.held and self._rooms.get(name) is room:
                await self._repair([name])
        except Unavailable:
            _logger.warning("a gap could not be read; the sweep will", extra={"room": name})
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
