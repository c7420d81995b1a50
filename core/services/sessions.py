"""Live sessions of this server: listed and ended by admins."""

from collections.abc import Sequence
from datetime import timedelta

from core.domain import clock
from core.domain.errors import NotFound
from core.domain.identity import RevokeToken
from core.domain.pages import Page, page_of
from core.domain.principals import Principal
from core.ports.sessions import LiveSession, LiveSessions
from core.services.administration import Administration, Step
from core.services.tokens import REFRESH_LIFETIME_S


class SessionService:
    """For admins; everybody else is refused with `Forbidden`."""

    def __init__(self, live: LiveSessions, administration: Administration) -> None:
        self._live = live
        self._administration = administration

    async def page(
        self, principal: Principal, *, user: str | None, cursor: str | None, limit: int
    ) -> Page[LiveSession]:
        """What is connected to this server, of one person or all, by id."""
        principal.check_is_admin()
        found: Sequence[LiveSession] = sorted(self._live.list(user), key=lambda session: session.id)
        behind = [session for session in found if cursor is None or session.id > cursor]
        return page_of(behind, limit, lambda session: session.id)

    async def end(self, principal: Principal, session_id: str) -> None:
        """End a connection, and everywhere the login or outside token behind it. A key stays good: revoke it.

        Raises `NotFound` (session_not_found).
        """
        principal.check_is_admin()
        session = self._live.get(session_id)
        if session is None:
            raise NotFound("There is no such session on this server.", code="session_not_found")
        details = {"user": session.user_id, "login": session.login_id, "key": session.key_id}
        step = Step(_revocation(session), "session.ended", f"session:{session.id}", details)
        await self._administration.carry_out(principal, step, concerns=(session.user_id,))
        self._live.end(session_id)


def _revocation(session: LiveSession) -> RevokeToken | None:
    if session.login_id is None:
        return None
    # Until nothing of the login can be good any more: our refresh tokens, or an outside token that lives longer.
    until = clock.now() + timedelta(seconds=REFRESH_LIFETIME_S)
    expires_at = until if session.expires_at is None else max(until, session.expires_at)
    return RevokeToken(id=session.login_id, user_id=session.user_id, expires_at=expires_at)
