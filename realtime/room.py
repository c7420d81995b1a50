"""One active room of a hub: how far it was delivered, to whom, and what waits for its turn."""

import asyncio
import logging
import time
from collections.abc import Sequence

from core.domain import runs
from core.domain.membership import FOREVER
from core.domain.runs import Runs
from realtime.engine import EventPacket
from realtime.fanout import JOINED_BYTES, Fanout, Packets
from realtime.outgoing import MAX_UNSENT_PACKETS
from realtime.publication import Publication, with_skip
from realtime.session import Session

MAX_HELD = 500
BURST_BYTES = 256 << 10
BURST_PACKETS = MAX_UNSENT_PACKETS // 4
MAX_JOINED = 64
REST_S = 0.25
_REST_STEP_S = 0.005

_logger = logging.getLogger(__name__)


class Room:
    """`opened` is None once the head was read; until then, publications are held.

    `members` is the membership counter up to which the hub knows who moved: a posting with a higher one waits until
    the hub has looked. `limits` names the sessions whose people are not members for ever: the offsets due to them.
    """

    __slots__ = (
        "_burst_bytes",
        "_burst_packets",
        "_fanout",
        "_hidden_since",
        "applied",
        "held",
        "idle_since",
        "limits",
        "members",
        "name",
        "opened",
        "pins",
        "resting",
        "scheduled",
        "sessions",
        "waiting_for_gap",
    )

    def __init__(self, name: str, opening: "asyncio.Future[None]") -> None:
        self.name = name
        self.applied = 0
        self.members = 0
        self.opened: asyncio.Future[None] | None = opening
        self.sessions: set[Session] = set()
        self.limits: dict[Session, Runs] = {}
        self.held: dict[int, Publication] = {}
        self.waiting_for_gap = False
        self.pins = 0
        self.resting = False
        self.scheduled = False
        self._burst_bytes = self._burst_packets = 0
        self._fanout: Fanout | None = None
        self.idle_since = time.monotonic()
        self._hidden_since: int | None = None

    def hold(self, publication: Publication) -> None:
        """Keep a publication for later; when too many wait, what is not kept is read from the log."""
        if len(self.held) < MAX_HELD or publication.offset == self.applied + 1:
            self.held[publication.offset] = publication

    @property
    def next_held(self) -> Publication | None:
        """The publication whose turn it is, if it waits here."""
        return self.held.get(self.applied + 1)

    def take_run(self) -> list[Publication]:
        """Take the publication whose turn it is, and those behind it that are due to the same sessions."""
        run = [self.held.pop(self.applied + 1)]
        size_bytes = len(run[0].body or b"")
        while not self.limits and len(run) < MAX_JOINED:
            following = self.held.get(run[-1].offset + 1)
            if following is None or following.members > self.members:
                break
            size_bytes += len(following.body or b"")
            if size_bytes > JOINED_BYTES:
                break
            run.append(self.held.pop(following.offset))
        return run

    def forget_applied(self) -> None:
        """Drop what waits and was applied by another way."""
        if self.held:
            self.held = {offset: held for offset, held in self.held.items() if offset > self.applied}

    def apply(self, run: Sequence[Publication]) -> int:
        """Deliver the next publications to whom they are due, in one write each; how many deliveries that were.

        What is not to be shown is stepped over, and named with the next one that is.
        """
        recipients = self._recipients(run[0].offset)
        packets = []
        for publication in run:
            self.applied = publication.offset
            if (body := self._shown(publication)) is not None and recipients:
                packets.append((publication.offset, EventPacket(body)))
        if packets:
            self._fan_out(recipients, packets)
        return len(recipients) * len(packets)

    def _shown(self, publication: Publication) -> bytes | None:
        """What clients get; None for what is stepped over."""
        offset, body = publication.offset, publication.body
        if body is None:
            self._hidden_since = self._hidden_since or offset
            return None
        hidden_since, self._hidden_since = self._hidden_since, None
        return body if hidden_since is None else with_skip(body, hidden_since, offset - 1)

    def _fan_out(self, recipients: set[Session], packets: Packets) -> None:
        self._count(packets)
        fanout = self._fanout or Fanout(self.name)
        fanout.send(recipients, packets)
        self._fanout = None if fanout.is_over else fanout  # most rooms are small, and need not keep one
        for _ in packets:
            _logger.info("📨 [WS→Client] notify:%s → %d 个连接", self.name, len(recipients))

    def hurry(self, session: Session) -> None:
        """Deliver to the session now what is on its way to the room: `applied` then holds for it too."""
        if self._fanout is not None:
            self._fanout.hurry(session)

    @property
    def is_tired(self) -> bool:
        """Whether so much is on its way, or was delivered in this turn of the loop, that clients must have time to take it:
        whoever reads as fast as they can would be taken for slow.
        """
        is_burst = self._burst_bytes >= BURST_BYTES or self._burst_packets >= BURST_PACKETS
        return self.resting or is_burst or self._is_full

    @property
    def is_behind(self) -> bool:
        """Whether much waits for a member: what comes on top should let them take it first, for a while."""
        return any(
            session.is_behind(BURST_PACKETS // 2, BURST_BYTES) and not session.ended
            for session in self.sessions
        )

    @property
    def _is_full(self) -> bool:
        return self._fanout is not None and self._fanout.is_full

    def _count(self, packets: Packets) -> None:
        if self._burst_packets == 0:
            asyncio.get_running_loop().call_soon(self._end_turn)
        self._burst_bytes += sum(packet.size_bytes for _, packet in packets)
        self._burst_packets += len(packets)

    def _end_turn(self) -> None:
        self._burst_bytes = self._burst_packets = 0

    async def rest(self) -> None:
        """Return when some of what is on its way has arrived, which took several turns of the loop; else when the members
        have taken most of what was sent, or have had a quarter of a second for it.
        """
        if self._fanout is not None and self._is_full:
            await self._fanout.wait_moved()
            return
        tired_until = time.monotonic() + REST_S
        await asyncio.sleep(0)
        while time.monotonic() < tired_until and self.is_behind:  # noqa: ASYNC110 - what kernels take has no event
            await asyncio.sleep(_REST_STEP_S)

    def _recipients(self, offset: int) -> set[Session]:
        if not self.limits:
            return self.sessions
        for session, due in list(self.limits.items()):
            if not due or due[-1][1] < offset:
                self.leave(session)
        kept_from = {session for session, due in self.limits.items() if not runs.contains(due, offset)}
        return self.sessions - kept_from

    def limit(self, session: Session, due: Runs) -> None:
        """Deliver to the session only what is due: its person was not, or will not be, a member all the time."""
        if session not in self.sessions:
            return
        ahead = runs.intersect(due, ((self.applied + 1, FOREVER),))
        if ahead == ((self.applied + 1, FOREVER),):
            self.limits.pop(session, None)
        else:
            self.limits[session] = ahead

    def join(self, session: Session) -> None:
        self.sessions.add(session)
        session.joined.add(self.name)

    def listeners(self) -> list[Session]:
        """Who may hear what is said in the room now, and is in no log."""
        now = self.applied + 1
        return [
            session
            for session in self.sessions
            if session.entered and runs.contains(self.limits.get(session, ((now, now),)), now)
        ]

    def leave(self, session: Session) -> None:
        self.hurry(session)
        self.sessions.discard(session)
        session.joined.discard(self.name)
        self.limits.pop(session, None)
        self.idle_since = time.monotonic()
