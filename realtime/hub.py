"""The hub: keeps each active room of this server in order, whatever the fast path loses, doubles or reorders.

For each room with members here it knows `applied`. Offset applied+1 is delivered; a smaller one is dropped; a
larger one is held, and if what is missing has not come within 50 ms, it is read from the log.

Each posting carries its room's membership counter. One that is higher than what the hub knows waits until the hub
has read who moved: what is not due is never delivered, whatever is lost on the way.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from core.domain.errors import Unavailable
from core.domain.runs import Runs
from core.ports.identity import Identity
from core.ports.log import Log
from core.ports.presence import Audience
from realtime.background import Background
from realtime.publication import Publication
from realtime.repair import Repair
from realtime.room import MAX_JOINED, Room
from realtime.session import Session

LINGER_S = 10.0


class Hub:
    """`open` rooms, then `join` them at a base; every posting above the base is delivered once, in order."""

    def __init__(self, log: Log, identity: Identity, background: Background) -> None:
        self._log = log
        self._background = background
        self.rooms: dict[str, Room] = {}
        self.repair = Repair(self, log, identity, background)
        self.epoch = ""
        self.on_epoch_changed: list[Callable[[], None]] = []
        self.on_people_moved: Callable[[set[str]], None] = lambda _: None
        self.delivered = 0

    async def start(self) -> None:
        """Learn the epoch and begin to sweep. Raises `Unavailable`."""
        self.epoch = await self._log.epoch()
        self.repair.start()

    async def open(self, rooms: Iterable[str]) -> None:
        """Make rooms active and keep them so until `join` or `unpin`. Raises `Unavailable`."""
        names = tuple(rooms)
        fresh = {
            name: Room(name, asyncio.get_running_loop().create_future())
            for name in names
            if name not in self.rooms
        }
        self.rooms |= fresh
        for name in names:
            self.rooms[name].pins += 1
        try:
            await self._opened(names, fresh)
        except BaseException:
            # Also when cancelled: whoever asked for them does not know that they are pinned.
            self.unpin(names)
            raise

    async def _opened(self, names: Sequence[str], fresh: Mapping[str, Room]) -> None:
        rooms = [self.rooms[name] for name in names]
        if fresh:
            await self._open_fresh(fresh)
        for room in rooms:
            if room.opened is not None:
                await asyncio.shield(room.opened)
        if rooms != [self.rooms.get(name) for name in names]:
            raise Unavailable("The log began another epoch meanwhile.", code="epoch_changed")

    async def _open_fresh(self, fresh: Mapping[str, Room]) -> None:
        try:
            heads = await self._log.heads(fresh)
        except BaseException as error:
            for name, room in fresh.items():
                if self.rooms.get(name) is room:
                    del self.rooms[name]
                if room.opened is not None and not room.opened.done():
                    room.opened.set_exception(error)
                    room.opened.exception()
            raise
        for name, room in fresh.items():
            room.applied, room.members = heads[name].head, heads[name].members
            opening, room.opened = room.opened, None
            if opening is not None:
                opening.set_result(None)
            self.deliver_held(room)

    def unpin(self, rooms: Iterable[str]) -> None:
        """Give up rooms that were opened and are not joined after all."""
        for name in rooms:
            if (room := self.rooms.get(name)) is not None:
                room.pins = max(0, room.pins - 1)

    def join(self, session: Session, rooms: Iterable[str]) -> dict[str, int]:
        """Put the session into opened rooms; the base of each: what comes above it is delivered from now on."""
        names = tuple(rooms)
        for name in names:
            self.rooms[name].join(session)
        self.unpin(names)
        return {name: self.rooms[name].applied for name in names}

    def leave(self, session: Session, rooms: Iterable[str]) -> None:
        for name in rooms:
            room = self.rooms.get(name)
            if room is not None:
                room.leave(session)

    def limit(self, session: Session, due: Mapping[str, Runs]) -> None:
        """Say which offsets of rooms it joined are due to the session, where that is not all from here on."""
        for name, offsets in due.items():
            if (room := self.rooms.get(name)) is not None:
                room.limit(session, offsets)

    @property
    def active_rooms(self) -> int:
        return len(self.rooms)

    def is_active(self, room: str) -> bool:
        return room in self.rooms

    def position(self, rooms: Iterable[str]) -> dict[str, int]:
        """How far each active room was delivered."""
        return {name: self.rooms[name].applied for name in rooms if name in self.rooms}

    def position_of(self, session: Session, rooms: Iterable[str]) -> dict[str, int]:
        """How far each active room was delivered to a session in it: what is on its way is delivered to it first."""
        found = [self.rooms[name] for name in rooms if name in self.rooms]
        for room in found:
            room.hurry(session)
        return {room.name: room.applied for room in found}

    def connections(self, room: str) -> int:
        found = self.rooms.get(room)
        return len(found.sessions) if found else 0

    def audience(self, rooms: Iterable[str]) -> Audience:
        """`core.ports.presence.Presence` for one server."""
        found = [self.rooms[name].sessions for name in rooms if name in self.rooms]
        connections = len(found[0]) if len(found) == 1 else len(set().union(*found))
        return Audience(connections=connections, servers=1 if connections else 0)

    def offer(self, publication: Publication) -> None:
        """Take a publication from the fast path: lost, doubled, reordered, whatever it went through.

        It is delivered at the end of this turn of the loop, together with what else has come by then.
        """
        if publication.epoch != self.epoch:
            self.repair.sweep_early()
            return
        room = self.rooms.get(publication.room)
        if room is None or (room.opened is None and publication.offset <= room.applied):
            return
        room.hold(publication)
        if room.opened is None:
            self._deliver_soon(room)

    def listeners(self, room: str) -> list[Session]:
        """The sessions that may hear now what is said in the room, and is in no log."""
        found = self.rooms.get(room)
        return found.listeners() if found else []

    def _deliver_soon(self, room: Room) -> None:
        """Deliver what waits once this turn of the loop is over: what comes in it is written together."""
        if len(room.held) >= MAX_JOINED:
            self.deliver_held(room)
        elif not room.scheduled:
            room.scheduled = True
            asyncio.get_running_loop().call_soon(self._deliver_scheduled, room)

    def _deliver_scheduled(self, room: Room) -> None:
        room.scheduled = False
        if self.rooms.get(room.name) is room:
            self.deliver_held(room)

    def deliver_held(self, room: Room) -> bool:
        """Deliver what waits and has its turn; whether there was anything.

        A posting written after somebody moved waits until it is known who.
        """
        progress = False
        while (following := room.next_held) is not None:
            if room.is_tired:
                self._rest(room)
                return progress
            if following.members > room.members:
                self.repair.look_who_moved(room.name)
                return progress
            self.delivered += room.apply(room.take_run())
            progress = True
        room.forget_applied()
        if room.held:
            self.repair.wait_for_gap(room)
        return progress

    def _rest(self, room: Room) -> None:
        if not room.resting:
            room.resting = True
            self._background.start(self._go_on(room), f"rest of {room.name}")

    async def _go_on(self, room: Room) -> None:
        try:
            await room.rest()
        finally:
            room.resting = False
        if self.rooms.get(room.name) is room:
            self.deliver_held(room)

    def begin_epoch(self, epoch: str) -> None:
        """The log was restored from a backup: nothing that was delivered counts, everybody starts anew."""
        self.epoch = epoch
        self.rooms.clear()
        self._log.forget()
        for told in self.on_epoch_changed:
            told()

    def close_idle(self) -> None:
        """Forget rooms that nobody was in for a while."""
        now = time.monotonic()
        idle = [
            name
            for name, room in self.rooms.items()
            if not room.sessions and room.pins <= 0 and now - room.idle_since > LINGER_S
        ]
        for name in idle:
            del self.rooms[name]
