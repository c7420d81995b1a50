"""One session: a Socket.IO connection of one person, with its ordered door and what is held back for it."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.domain import clock
from core.domain.membership import Interval, entered_at
from core.domain.principals import Principal, User
from core.domain.runs import Runs, contains
from realtime.engine import EventPacket, OutgoingQueue, SocketServer

MAX_HELD_PACKETS = 200
MAX_HELD_BYTES = 256 << 10
END_GRACE_S = 1.0
_MAX_TOLD = 8

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Held:
    """Live publications of one room that wait until its replay is done; they begin above `base`.

    When too many wait, those of the room are dropped: `overflowed` says that the replay has to read on instead.
    """

    base: int
    packets: list[tuple[int, EventPacket]] = field(default_factory=list)
    overflowed: bool = False


class Session:
    """Everything that reaches the client goes through `send`, in order; only a fan-out writes past it where nothing waits.

    `rooms` is what the client was told, `joined` the rooms it is in at the hub. `entered` once it is in its rooms;
    `stale` when what is being read of its person may be old already.
    """

    __slots__ = (
        "_inbox",
        "_released",
        "_server",
        "_told",
        "catching_up",
        "connected_at",
        "eio_sid",
        "ended",
        "entered",
        "inbox_version",
        "joined",
        "outgoing",
        "principal",
        "rooms",
        "sid",
        "stale",
        "user",
    )

    def __init__(
        self, server: SocketServer, sid: str, eio_sid: str, principal: Principal, outgoing: OutgoingQueue
    ) -> None:
        self._server = server
        self.outgoing = outgoing
        self._inbox: Mapping[str, Any] | None = None
        self._told: tuple[Mapping[str, Any], ...] = ()
        self._released: asyncio.Event | None = None
        self.sid = sid
        self.eio_sid = eio_sid
        self.principal = principal
        self.user: User = principal.person
        self.rooms: tuple[str, ...] = ()
        self.joined: set[str] = set()
        self.catching_up: dict[str, Held] = {}
        self.connected_at = clock.now()
        self.entered = False
        self.stale = False
        self.ended = False
        self.inbox_version = 0

    @property
    def expires_at(self) -> datetime | None:
        return self.principal.expires_at

    @property
    def transport(self) -> str:
        """`polling` or `websocket`, at this moment."""
        return self._server.transport(self.eio_sid)

    @property
    def is_live(self) -> bool:
        return not self.catching_up

    def send(self, packet: EventPacket) -> None:
        """Put a packet into the client's queue; a client with too much unsent is cut, and resumes."""
        if self.ended:
            return
        if self.outgoing.is_full:
            self.cut("slow_consumer")
            return
        self.outgoing.put_nowait(packet)

    def emit(self, event: str, payload: Any) -> None:
        self.send(EventPacket.of(event, payload))

    def tell_inbox(self, body: Mapping[str, Any]) -> None:
        """Tell that receipts changed on another device. What comes late, behind what is newer, keeps the newer counts;
        what comes twice is not told again. Several changes may be of one version: that of the state after all of them.
        """
        if body in self._told:
            return
        self._told = (*self._told[1 - _MAX_TOLD :], body)
        newest = self._inbox
        if newest is not None and body["version"] < newest["version"]:
            body = {**newest, "changed": body["changed"], "through": body["through"]}
        self._inbox = body
        self.emit("inbox", body)

    def deliver(self, room: str, offset: int, packet: EventPacket) -> None:
        """Send a live publication, or hold it while its room is being caught up."""
        held = self.catching_up.get(room)
        if held is None:
            self.send(packet)
        elif not held.overflowed:
            self._hold_packet(held, offset, packet)

    def _hold_packet(self, held: Held, offset: int, packet: EventPacket) -> None:
        waiting = [packet for room in self.catching_up.values() for _, packet in room.packets]
        size_bytes = packet.size_bytes + sum(packet.size_bytes for packet in waiting)
        if len(waiting) >= MAX_HELD_PACKETS or size_bytes > MAX_HELD_BYTES:
            held.overflowed = True
            held.packets.clear()
        else:
            held.packets.append((offset, packet))

    def hold(self, bases: Mapping[str, int]) -> dict[str, Held]:
        """Hold back what comes live in these rooms above their bases, until the hold that is given is released."""
        holds = {room: Held(base) for room, base in bases.items()}
        self.catching_up.update(holds)
        return holds

    def standing(self, holds: Mapping[str, Held]) -> dict[str, Held]:
        """Those of the holds that were neither released nor forgotten: their rooms may have been left, and be held anew."""
        return {room: held for room, held in holds.items() if self.catching_up.get(room) is held}

    def begin_at(self, intervals: Iterable[Interval], holds: Mapping[str, Held]) -> dict[str, Held]:
        """Those of the holds that stand, their bases raised to where the present membership begins."""
        entered = tuple(intervals)
        standing = self.standing(holds)
        for room, held in standing.items():
            held.base = max(held.base, entered_at(entered, room) or 0)
        return standing

    def release(self, holds: Mapping[str, Held], due: Mapping[str, Runs] | None = None) -> None:
        """Send what was held, as far as it is due, and let the rooms go live, in one step without an await."""
        for room, held in self.standing(holds).items():
            del self.catching_up[room]
            for offset, packet in held.packets:
                if offset > held.base and (due is None or contains(due[room], offset)):
                    self.send(packet)
        self._tell_released()

    def forget(self, rooms: Iterable[str]) -> None:
        """Drop what is held of rooms that are not the session's any more."""
        for room in rooms:
            self.catching_up.pop(room, None)
        self._tell_released()

    async def wait_live(self) -> None:
        """Return when no room is being caught up, or the client has gone."""
        while self.catching_up and not self.ended:
            self._released = self._released or asyncio.Event()
            self._released.clear()
            await self._released.wait()

    def _tell_released(self) -> None:
        if self._released is not None:
            self._released.set()

    @property
    def unsent_bytes(self) -> int:
        return self.outgoing.size_bytes

    def is_behind(self, packets: int, size_bytes: int) -> bool:
        """Whether more than that waits for the client, in one of the two."""
        return len(self.outgoing) > packets or self.outgoing.size_bytes > size_bytes

    async def wait_sent(self) -> None:
        """Return when the client's queue is empty, or the client has gone."""
        if not self.ended:
            await self.outgoing.wait_empty()

    def close(self) -> None:
        """The connection is gone."""
        self.ended = True
        self.outgoing.let_go()
        self._tell_released()

    def cut(self, reason: str) -> None:
        """End the session at once, without telling the client, who finds out and resumes."""
        if not self.ended:
            self.ended = True
            _logger.info("❌ [WS] 连接被切断: %s", reason, extra={"user_id": self.user.id})
            self._server.abort(self.eio_sid)

    def end(self, reason: str, *, retry: bool, retry_ms: int) -> None:
        """Tell the client why the session ends and when to come back, then close it."""
        if self.ended:
            return
        self.emit("session", {"state": "ending", "reason": reason, "retry": retry, "retry_ms": retry_ms})
        self.ended = True
        self._tell_released()
        self._server.hang_up(self.eio_sid, END_GRACE_S)
