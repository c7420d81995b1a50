"""Admission: which rooms a session is in, from its first moment to its last.

Who may hear what is read from the database after the session was registered at the hub. So whatever changes before
the read is in it, and whatever changes after it raises a counter that the hub sees: nothing falls between.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

from core.domain.errors import Unavailable
from core.domain.membership import Interval, Standing, due_runs
from core.domain.positions import Claim
from core.domain.principals import User
from core.domain.runs import Runs
from core.ports.identity import Identity
from realtime.background import Background
from realtime.engine import SocketServer
from realtime.hub import Hub
from realtime.replay import Plan, Replay
from realtime.session import Held, Session
from realtime.sessions import Sessions

GONE = "gone"
"""The code when there is nobody any more who could enter."""

_TRIES = 10
_RETRY_S = 0.5
_CHANNEL_KINDS = {"user": "用户", "role": "角色", "project": "项目", "global": "全局"}

_logger = logging.getLogger(__name__)


class Admission:
    """Lets sessions into their rooms, and keeps them where their people are members."""

    def __init__(
        self,
        server: SocketServer,
        hub: Hub,
        sessions: Sessions,
        replay: Replay,
        identity: Identity,
        background: Background,
    ) -> None:
        self._server = server
        self._hub = hub
        self._sessions = sessions
        self._replay = replay
        self._identity = identity
        self._background = background
        self._looking: dict[str, bool] = {}

    async def enter(self, session: Session, claim: Claim) -> Plan:
        """Put a new session into its person's rooms, held back; how it is to be caught up.

        Raises `Unavailable`, also when the client has gone or its credential ended meanwhile.
        """
        for _ in range(_TRIES):
            rooms = session.user.rooms
            await self._hub.open(rooms)
            if not self._is_there(session):
                self._hub.unpin(rooms)
                raise Unavailable("The client has gone.", code=GONE)
            session.rooms = rooms
            holds = session.hold(self._hub.join(session, rooms))
            session.user, intervals = await self._standing(session)
            if session.user.rooms == rooms:
                held, due = self._bound(session, holds, intervals)
                await self._enter_rooms(session, rooms)
                plan = await self._replay.plan(held, due, claim)
                if not session.stale:
                    session.entered = True
                    return plan
            session.rooms = ()
            await self._leave(session, rooms)
        raise Unavailable("The person's rooms changed again and again.", code="rooms_changing")

    async def resync(self, session: Session, claim: Claim) -> Plan:
        """Hold the rooms of the claim back again; how they are to be caught up. Raises `Unavailable`."""
        claimed = (room for room in session.rooms if room in (claim.position or ()))
        holds = session.hold(self._hub.position_of(session, claimed))
        try:
            intervals = await self._identity.intervals(session.user.id, tuple(holds))
            due = {room: due_runs(intervals, room) for room in holds}
            return await self._replay.plan(session.begin_at(intervals, holds), due, claim)
        except BaseException:
            # Whatever it was, the rooms must not stay held: the client hears on, and asks again.
            session.release(holds)
            raise

    async def catch_up(self, session: Session, plan: Plan) -> None:
        """Send what the plan owes; a session that cannot be caught up is cut, and resumes."""
        try:
            await self._replay.run(session, plan)
        except (Unavailable, TimeoutError) as error:
            _logger.warning("❌ [WS] 补发失败: %s", error, extra={"user_id": session.user.id})
            session.cut("sync_failed")
        except BaseException:
            # Half caught up, its rooms would be held for ever.
            session.cut("sync_failed")
            raise

    def look_at(self, user_ids: Iterable[str]) -> None:
        """Look at these people's sessions here: something about what they may hear has changed."""
        for user_id in user_ids:
            if not self._sessions.of_user(user_id):
                continue
            if user_id not in self._looking:
                self._background.start(self._look(user_id), f"look at {user_id}")
            self._looking[user_id] = True

    async def _look(self, user_id: str) -> None:
        """Until it is done: the counter that called for it is read and will not call again."""
        try:
            while self._looking[user_id]:
                self._looking[user_id] = False
                try:
                    await self._review(user_id)
                except Unavailable:
                    _logger.warning("a person could not be read; trying again", extra={"user_id": user_id})
                    self._looking[user_id] = True
                    await asyncio.sleep(_RETRY_S)
        except BaseException:
            # Nobody knows what they may hear: they come back, and everything is checked then.
            for session in self._sessions.of_user(user_id):
                session.cut("unknown_standing")
            raise
        finally:
            del self._looking[user_id]

    async def _review(self, user_id: str) -> None:
        sessions = self._sessions.of_user(user_id)
        for session in sessions:
            session.stale = True
        entered = [session for session in sessions if session.entered and not session.ended]
        if not entered:
            return
        credentials = [found for session in entered if (found := session.principal.credential_id)]
        standing = await self._identity.standing(user_id, credentials)
        staying: list[tuple[Session, User]] = []
        for session in entered:
            user = _present_user(session, standing)
            if user is None:
                session.end("revoked", retry=False, retry_ms=0)
            else:
                staying.append((session, user))
        for session, user in staying:
            session.user = user
            await self._leave(session, _left(session))
        for session, _ in staying:
            await self._move(session)

    async def _move(self, session: Session) -> None:
        """Let the session follow its person, who has left what is to be left, into rooms behind what is due there."""
        present, left = session.user.rooms, _left(session)
        joined = [room for room in present if room not in session.joined]
        if not joined:
            session.rooms = present
            if left:
                session.emit("rooms", {"epoch": self._hub.epoch, "joined": {}, "left": left})
            return
        await self._hub.open(joined)
        if not self._is_there(session):
            self._hub.unpin(joined)
            return
        holds = session.hold(self._hub.join(session, joined))
        try:
            held, due = self._bound(session, holds, await self._intervals(session, joined))
            plan = await self._replay.plan(held, due, None)
        except BaseException:
            # In the rooms, but held and told of nothing: the next look would take it for settled.
            await self._leave(session, joined)
            raise
        session.rooms = present
        await self._enter_rooms(session, joined)
        session.emit(
            "rooms",
            {
                "epoch": self._hub.epoch,
                "joined": plan.start,
                "left": left,
                "recovered": dict(plan.recovered),
            },
        )
        self._background.start(self.catch_up(session, plan), f"join {session.sid}")

    async def _standing(self, session: Session) -> tuple[User, Sequence[Interval]]:
        """The session's person and what is due to them: read again if a change was heard of meanwhile."""
        while True:
            credential = session.principal.credential_id
            session.stale = False
            standing = await self._identity.standing(session.user.id, (credential,) if credential else ())
            user = _present_user(session, standing)
            if user is None:
                session.end("revoked", retry=False, retry_ms=0)
                raise Unavailable("The credential ended meanwhile.", code="token_revoked")
            if not session.stale:
                return user, standing.intervals

    async def _intervals(self, session: Session, rooms: Sequence[str]) -> Sequence[Interval]:
        """What is due to the session's person in the rooms: read again if the hub heard of a change meanwhile."""
        while True:
            session.stale = False
            intervals = await self._identity.intervals(session.user.id, rooms)
            if not session.stale:
                return intervals

    def _bound(
        self, session: Session, holds: Mapping[str, Held], intervals: Sequence[Interval]
    ) -> tuple[Mapping[str, Held], Mapping[str, Runs]]:
        """Keep from the session what is not due in rooms it has just joined; their holds, and what is due.

        To be called without an await behind the read: from here on the hub itself follows every change.
        """
        due = {room: due_runs(intervals, room) for room in holds}
        self._hub.limit(session, due)
        return session.begin_at(intervals, holds), due

    def _is_there(self, session: Session) -> bool:
        return self._sessions.get(session.sid) is session and not session.ended

    async def _leave(self, session: Session, rooms: Sequence[str]) -> None:
        self._hub.leave(session, rooms)
        session.forget(rooms)
        for room in rooms:
            if self._is_there(session):
                await self._server.leave_room(session.sid, room)

    async def _enter_rooms(self, session: Session, rooms: Sequence[str]) -> None:
        for room in rooms:
            if not self._is_there(session):
                return
            await self._server.enter_room(session.sid, room)
            kind = _CHANNEL_KINDS[room.partition(":")[0]]
            _logger.info("✅ [WS] 已订阅%s频道: notify:%s", kind, room, extra={"user_id": session.user.id})


def _present_user(session: Session, standing: Standing) -> User | None:
    """The session's person as they are now, None when the session has lost its right to be."""
    user = standing.user
    if (
        user is None
        or session.principal.credential_id in standing.ended
        or session.principal.is_ended_by(user)
    ):
        return None
    return user


def _left(session: Session) -> list[str]:
    """The rooms that the client was told of, and that its person is not in any more."""
    present = session.user.rooms
    return [room for room in session.rooms if room not in present]
