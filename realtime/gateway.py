"""The gateway: the life of a session, from CONNECT to the last goodbye."""

import logging
from typing import Any

from marshmallow import ValidationError
from socketio.exceptions import ConnectionRefusedError as Refused

from core.domain import clock
from core.domain.errors import DomainError, RateLimited, Unauthenticated, Unavailable
from core.domain.positions import UNREADABLE_CLAIM, Claim
from core.domain.principals import Principal
from core.schemas.inbox import summary_body
from core.schemas.sockets import ConnectAuth, load_event
from core.services.identity import IdentityService
from core.services.summary import SummaryService
from realtime.admission import GONE, Admission
from realtime.background import Background
from realtime.engine import SocketServer
from realtime.hub import Hub
from realtime.pace import Pace, now_ms
from realtime.replay import Plan
from realtime.session import Session
from realtime.sessions import Sessions

_logger = logging.getLogger(__name__)

EXPIRY_CHECK_S = 1.0
_ADMITTED = "notify.admitted"
_AUTH = ConnectAuth()


class Gateway:
    """Lets clients in, catches them up, tells them what they missed, and ends them when their time has come."""

    def __init__(
        self,
        server: SocketServer,
        hub: Hub,
        sessions: Sessions,
        admission: Admission,
        identity: IdentityService,
        summaries: SummaryService,
        background: Background,
        pace: Pace,
    ) -> None:
        self._server = server
        self._hub = hub
        self._sessions = sessions
        self._admission = admission
        self._identity = identity
        self._summaries = summaries
        self._background = background
        self._pace = pace
        self.stopping = False

    def start(self) -> None:
        """Open the door."""
        self._server.on("connect", self._connect)
        self._server.on("disconnect", self._disconnect)
        self._server.on_connected = self._connected
        self._hub.on_epoch_changed.append(self._end_all)
        self._hub.on_people_moved = self._people_moved
        self._background.repeat(self._end_expired, EXPIRY_CHECK_S, "token expiry")

    async def _connect(self, _sid: str, environ: dict[str, Any], auth: Any) -> bool:
        """Check the token and nothing else. Refuses only what trying again cannot mend."""
        if self.stopping:
            return False
        token, claim = _read_auth(auth)
        try:
            principal = await self._identity.authenticate(token)
            principal.check_is_person()
        except (Unavailable, RateLimited):
            return False
        except DomainError as error:
            code = error.code if isinstance(error, Unauthenticated) else "token_invalid"
            raise _refusal(code) from error
        environ[_ADMITTED] = (principal, claim)
        return True

    def _connected(self, sid: str, eio_sid: str) -> None:
        admitted: tuple[Principal, Claim] | None = self._server.environ[eio_sid].pop(_ADMITTED, None)
        outgoing = self._server.outgoing(eio_sid)
        if admitted is None or outgoing is None or self.stopping:
            self._server.abort(eio_sid)
            return
        principal, claim = admitted
        session = Session(self._server, sid, eio_sid, principal, outgoing)
        self._sessions.add(session)
        if self._sessions.has_too_many(session.user.id):
            _logger.info("❌ [WS] 同一用户连接过多", extra={"user_id": session.user.id})
            session.end("too_many_sessions", retry=True, retry_ms=self._pace.spread_long_ms())
            return
        self._background.start(self._begin(session, claim), f"begin {sid}")

    async def _disconnect(self, sid: str, reason: str) -> None:
        session = self._sessions.remove(sid)
        if session is not None:
            session.close()
            self._hub.leave(session, tuple(session.joined))
            _logger.info("🔔 [WS] 连接已关闭: %s", reason, extra={"user_id": session.user.id})

    async def _begin(self, session: Session, claim: Claim) -> None:
        """Syncing, replay, live, summary. What fails here closes the connection: the client comes again."""
        try:
            plan = await self._admission.enter(session, claim)
            session.emit("session", self._session_body(session, plan))
            await self._admission.catch_up(session, plan)
            if session.ended:
                return
            session.emit("session", {"state": "live"})
            elsewhere = await self._summaries.elsewhere(session.user)
            summary = await self._summaries.summary(session.user, plan.base, elsewhere)
            recovered = all(plan.recovered.values())
            session.emit("summary", summary_body(summary, plan.base, recovered=recovered))
        except (DomainError, TimeoutError) as error:
            gone = isinstance(error, DomainError) and error.code == GONE
            level = logging.DEBUG if gone else logging.WARNING
            _logger.log(level, "❌ [WS] 会话未能开始: %s", error, extra={"user_id": session.user.id})
            session.cut("begin_failed")
        except BaseException:
            # Half begun, its rooms would be held for ever.
            session.cut("begin_failed")
            raise

    def _session_body(self, session: Session, plan: Plan) -> dict[str, Any]:
        return {
            "state": "syncing",
            "session_id": session.sid,
            "user_id": session.user.id,
            "epoch": self._hub.epoch,
            **plan.body(),
            "heartbeat_s": self._pace.heartbeat_s,
            "retry_ms": self._pace.retry_body(),
            "server_time": now_ms(),
        }

    def _people_moved(self, people: set[str]) -> None:
        """They were changed by another process: no request is to be answered by what is remembered of them."""
        self._identity.forget()
        self._admission.look_at(people)

    def _end_all(self, reason: str = "epoch_changed") -> None:
        """End every session; the clients come back after a spread delay."""
        for session in self._sessions:
            session.end(reason, retry=True, retry_ms=self._pace.spread_ms())

    def stop(self) -> int:
        """Let nobody in any more, and send everybody elsewhere; how many sessions those are."""
        self.stopping = True
        self._server.go_away()
        sessions = len(self._sessions)
        self._end_all("server_stopping")
        return sessions

    async def wait_gone(self) -> None:
        """Return when the last session is gone."""
        await self._sessions.wait_empty()

    async def _end_expired(self) -> None:
        now = clock.now()
        for session in self._sessions:
            if session.expires_at is not None and session.expires_at <= now:
                session.end("token_expired", retry=True, retry_ms=self._pace.spread_ms())


def _read_auth(auth: Any) -> tuple[str, Claim]:
    """The token and the claim. A claim that cannot be read is one that cannot be recovered, never an error."""
    try:
        token, claim = load_event(_AUTH, auth)
    except ValidationError as error:
        if not isinstance(auth, dict) or not auth.get("token"):
            raise _refusal("token_missing") from error
        if "token" in error.messages_dict:
            raise _refusal("token_invalid") from error
        return auth["token"], UNREADABLE_CLAIM
    return token, claim


def _refusal(code: str) -> Refused:
    return Refused("unauthorized", {"code": code})
