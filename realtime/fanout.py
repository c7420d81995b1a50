"""The fan-out of one run of publications: to a few sessions at once, to thousands over several turns of the loop.

In between, heartbeats, requests and other rooms have their turn. The room delivers nothing else meanwhile, so its order
holds for everybody. Who is to be told a position, or to be caught up, or leaves, is served before.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence

from realtime.engine import EventPacket
from realtime.session import Session

TURN_S = 0.005
CHUNK = 64
"""After how many sessions the clock is asked."""

Packets = Sequence[tuple[int, EventPacket]]
"""With their offsets, in order."""


class Fanout:
    """One run on its way. `finished` is set when all have it."""

    __slots__ = ("_frames", "_packets", "_room", "_waiting", "finished")

    def __init__(self, room: str, recipients: Iterable[Session], packets: Packets) -> None:
        self._room = room
        self._waiting = set(recipients)
        self._packets = packets
        self._frames = b"".join([packet.wire for _, packet in packets])
        self.finished = asyncio.Event()

    def go_on(self) -> None:
        """Deliver for one turn of the loop, and come back in the next unless that was all.

        What goes wrong with one session is not the others' fault: they have theirs all the same.
        """
        try:
            self._deliver_until(time.monotonic() + TURN_S)
        finally:
            if self._waiting:
                asyncio.get_running_loop().call_soon(self.go_on)
            else:
                self.finished.set()

    def hurry(self, session: Session) -> None:
        """Deliver to the session now, if it is still to come."""
        if session in self._waiting:
            self._waiting.discard(session)
            self._deliver_singly(session)

    def _deliver_until(self, ends: float) -> None:
        waiting, frames = self._waiting, self._frames
        while waiting:
            for _ in range(min(CHUNK, len(waiting))):
                session = waiting.pop()
                if not session.deliver_at_once(frames):
                    self._deliver_singly(session)
            if time.monotonic() >= ends:
                return

    def _deliver_singly(self, session: Session) -> None:
        for offset, packet in self._packets:
            session.deliver(self._room, offset, packet)
