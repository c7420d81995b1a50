"""The fan-out of a room: to a few sessions at once, to thousands over several turns of the loop, in between of which
heartbeats, requests and other rooms have theirs.

It goes round like a lift: what is published meanwhile gets on. Who still waits gets it together with what came before, in
one write, and who was served already has another turn. So a publication takes one round, however many are on their way.
After a round on which something got on it rests for as long, up to `MAX_REST_S`: what comes in that time goes together,
and everybody else has as much of the loop. Who is to be told a position, or to be caught up, or leaves, is served before.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Iterable, Sequence

from realtime.engine import EventPacket
from realtime.session import Session

TURN_S = 0.003
MAX_REST_S = 0.005
CHUNK = 64
"""After how many sessions the clock is asked."""
MAX_LEGS = 8
JOINED_BYTES = 32 << 10
"""How much is written to a client at once."""

Packets = Sequence[tuple[int, EventPacket]]
"""With their offsets, in order."""


class _Leg:
    """Sessions that wait for the same packets; each waits in one leg only."""

    __slots__ = ("frames", "packets", "waiting")

    def __init__(self, waiting: set[Session], packets: Packets) -> None:
        self.waiting = waiting
        self.packets = tuple(packets)
        self.frames = b"".join([packet.wire for _, packet in packets])

    def taken_by(self, sessions: set[Session], packets: Packets) -> "tuple[_Leg, ...]":
        """The legs that this one becomes when further packets are for some of those who wait in it."""
        both = self.waiting & sessions
        if not both:
            return (self,)
        joined = _Leg(both, (*self.packets, *packets))
        if len(both) == len(self.waiting):
            return (joined,)
        self.waiting -= both
        return self, joined


class Fanout:
    """What is on its way to the sessions of one room."""

    __slots__ = ("_began_at", "_is_going", "_is_shared", "_legs", "_moved", "_rested_at", "_room")

    def __init__(self, room: str) -> None:
        self._room = room
        self._legs: deque[_Leg] = deque()
        self._is_going = False
        self._is_shared = False
        self._began_at = 0.0
        self._rested_at = 0.0
        self._moved: asyncio.Event | None = None

    @property
    def is_over(self) -> bool:
        return not self._legs

    @property
    def is_full(self) -> bool:
        """Whether so much is on its way that something has to arrive first."""
        return len(self._legs) >= MAX_LEGS or any(len(leg.frames) >= JOINED_BYTES for leg in self._legs)

    async def wait_moved(self) -> None:
        """Return when some of it has arrived."""
        self._moved = self._moved or asyncio.Event()
        self._moved.clear()
        if self._legs:
            await self._moved.wait()

    def send(self, recipients: Iterable[Session], packets: Packets) -> None:
        """Deliver the packets, behind what is on its way: at once as far as one turn of the loop reaches, or when it has
        rested.
        """
        left = set(recipients)
        legs: deque[_Leg] = deque()
        for leg in self._legs:
            legs += leg.taken_by(left, packets)
            left -= legs[-1].waiting
        if left:
            legs.append(_Leg(left, packets))
        self._legs = legs
        self._is_shared = self._is_going
        if not self._is_going:
            self._begin()

    def hurry(self, session: Session) -> None:
        """Deliver to the session now, if it is still to come."""
        for leg in self._legs:
            if session in leg.waiting:
                leg.waiting.discard(session)
                self._deliver_singly(session, leg.packets)
                return

    def _begin(self) -> None:
        now = time.monotonic()
        self._began_at = max(now, self._rested_at)
        if self._began_at == now:
            self._go_on()
        else:
            self._is_going = True
            asyncio.get_running_loop().call_later(self._began_at - now, self._go_on)

    def _go_on(self) -> None:
        """Deliver for one turn of the loop, and come back in the next unless that was all.

        What goes wrong with one session is not the others' fault: they have theirs all the same.
        """
        ends = time.monotonic() + TURN_S
        try:
            while self._legs:
                self._deliver_until(ends, self._legs[0])
                if self._legs[0].waiting:
                    break
                self._legs.popleft()
                self._tell_moved()
        finally:
            self._is_going = bool(self._legs)
            if self._is_going:
                asyncio.get_running_loop().call_soon(self._go_on)
            else:
                now = time.monotonic()
                self._rested_at = now + (min(now - self._began_at, MAX_REST_S) if self._is_shared else 0)

    def _tell_moved(self) -> None:
        if self._moved is not None:
            self._moved.set()

    def _deliver_until(self, ends: float, leg: _Leg) -> None:
        """Written out flat, for it runs once for every delivery. Where nothing waits before them, frames go straight to the
        socket, past the transport, which would take as long as all of this.

        First it is looked who can take them, then they are written, and only then the others get theirs: that may close
        connections, whose numbers the system gives to somebody else.
        """
        waiting, frames, size_bytes = leg.waiting, leg.frames, len(leg.frames)
        while waiting:
            free, others = [], []
            for _ in range(min(CHUNK, len(waiting))):
                session = waiting.pop()
                queue = session.outgoing
                transport = queue.transport
                if (
                    transport is None
                    or session.ended
                    or session.catching_up
                    or queue.packets
                    or transport.get_write_buffer_size()
                    or transport.is_closing()
                ):
                    others.append(session)
                else:
                    free.append(session)
            for session in free:
                try:
                    written_bytes = os.write(session.outgoing.fd, frames)
                except OSError:  # full, or gone: the transport knows what to do
                    others.append(session)
                else:
                    if written_bytes < size_bytes:
                        session.outgoing.write_rest(frames[written_bytes:])
            try:
                while others:
                    self._deliver_singly(others.pop(), leg.packets)
            finally:
                waiting.update(others)
            if time.monotonic() >= ends:
                return

    def _deliver_singly(self, session: Session, packets: Packets) -> None:
        for offset, packet in packets:
            session.deliver(self._room, offset, packet)
