"""All sessions of this server, found by connection and person."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence

from core.ports.sessions import LiveSession
from realtime.session import Session

MAX_PER_USER = 100


class Sessions:
    """The one registry; a session is in it from its first event until its connection is gone.

    One person may have `max_per_user` of them here.
    """

    def __init__(self, max_per_user: int = MAX_PER_USER) -> None:
        self._max_per_user = max_per_user
        self._by_sid: dict[str, Session] = {}
        self._by_user: defaultdict[str, set[Session]] = defaultdict(set)
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._by_sid)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_sid.values()))

    def add(self, session: Session) -> None:
        self._by_sid[session.sid] = session
        self._empty.clear()
        self._by_user[session.user.id].add(session)

    def remove(self, sid: str) -> Session | None:
        session = self._by_sid.pop(sid, None)
        if session is not None:
            mine = self._by_user[session.user.id]
            mine.discard(session)
            if not mine:
                del self._by_user[session.user.id]
        if not self._by_sid:
            self._empty.set()
        return session

    def has_too_many(self, user_id: str) -> bool:
        """Whether the person has more sessions here than one may have."""
        mine, most = self._by_user.get(user_id, ()), self._max_per_user
        return len(mine) > most and sum(not session.ended for session in mine) > most

    async def wait_empty(self) -> None:
        """Return when there is no session."""
        await self._empty.wait()

    def get(self, sid: str) -> Session | None:
        return self._by_sid.get(sid)

    def of_user(self, user_id: str) -> list[Session]:
        return list(self._by_user.get(user_id, ()))


class SessionList:
    """`core.ports.sessions.LiveSessions` over the registry."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def list(self, user_id: str | None) -> Sequence[LiveSession]:
        found = self._sessions if user_id is None else self._sessions.of_user(user_id)
        return [_shown(session) for session in found if not session.ended]

    def get(self, id_: str) -> LiveSession | None:
        session = self._sessions.get(id_)
        return None if session is None or session.ended else _shown(session)

    def end(self, id_: str) -> None:
        session = self._sessions.get(id_)
        if session is not None:
            session.end("revoked", retry=False, retry_ms=0)


def _shown(session: Session) -> LiveSession:
    return LiveSession(
        id=session.sid,
        user_id=session.user.id,
        username=session.user.username,
        login_id=session.principal.login_id,
        key_id=session.principal.key_id,
        connected_at=session.connected_at,
        expires_at=session.expires_at,
        transport=session.transport,
    )
