"""One active room of a hub: how far it was delivered, to whom, and what waits for its turn."""

import asyncio
import logging
import time

from core.domain import runs
from core.domain.membership import FOREVER
from core.domain.runs import Runs
from realtime.engine import EventPacket
from realtime.publication import Publication, with_skip
from realtime.session import Session

MAX_HELD = 500
BURST_BYTES = 256 << 10
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
        self._burst_bytes = 0
        self.idle_since = time.monotonic()
        self._hidden_since: int | None = None

    def hold(self, publication: Publication) -> None:
        """Keep a publication for later; when too many wait, what is not kept is read from the log."""
        if len(self.held) < MAX_HELD or publication.offset == self.applied + 1:
            self.held[publication.offset] = publication

    def take_held(self) -> Publication | None:
        """The publication whose turn it is, if it waits here."""
        return self.held.pop(self.applied + 1, None)

    def forget_applied(self) -> None:
        """Drop what waits and was applied by another way."""
        if self.held:
            self.held = {offset: held for offset, held in self.held.items() if offset > self.applied}

    def apply(self, publication: Publication) -> int:
        """Deliver the next publication to whom it is due; to how many sessions.

        What is not to be shown is stepped over, and named with the next one that is.
        """
        offset, body = publication.offset, publication.body
        self.applied = offset
        recipients = self._recipients(offset)
        if body is None:
            self._hidden_since = self._hidden_since or offset
            return 0
        hidden_since, self._hidden_since = self._hidden_since, None
        if not recipients:
            return 0
        self._count(len(body))
        packet = EventPacket(body if hidden_since is None else with_skip(body, hidden_since, offset - 1))
        for session in recipients:
            session.deliver(self.name, offset, packet)
        _logger.info("📨 [WS→Client] notify:%s → %d 个连接", self.name, len(recipients))
        return len(recipients)

    @property
    def is_tired(self) -> bool:
        """Whether so much was delivered in this turn of the loop that clients must have time to take it.

        Nothing is written before the turn ends: whoever reads as fast as they can would be taken for slow.
        """
        return self.resting or self._burst_bytes >= BURST_BYTES

    def _count(self, size_bytes: int) -> None:
        if self._burst_bytes == 0:
            asyncio.get_running_loop().call_soon(self._end_turn)
        self._burst_bytes += size_bytes

    def _end_turn(self) -> None:
        self._burst_bytes = 0

    async def rest(self) -> None:
        """Return when the members have taken most of what was sent, or have had a quarter of a second for it."""
        tired_until = time.monotonic() + REST_S
        await asyncio.sleep(0)
        while time.monotonic() < tired_until and any(  # noqa: ASYNC110 - what kernels take has no event
            session.unsent_bytes > BURST_BYTES and not session.ended for session in self.sessions
        ):
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
        self.sessions.discard(session)
        session.joined.discard(self.name)
        self.limits.pop(session, None)
        self.idle_since = time.monotonic()
