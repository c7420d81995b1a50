"""The gateway: Socket.IO events of our namespace, from CONNECT to the last goodbye."""

import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError
from socketio.exceptions import ConnectionRefusedError as Refused

from core.domain import clock
from core.domain.errors import DomainError, RateLimited, Unauthenticated, Unavailable
from core.domain.inbox import Receipt
from core.domain.positions import NOTHING_CLAIMED, Claim
from core.domain.principals import Principal
from core.ports.inbox import Positions
from core.schemas.errors import error_body, invalid
from core.schemas.inbox import MarkBody, marked_body, summary_body
from core.schemas.sockets import AuthenticateBody, ConnectAuth, PingBody, PositionBody, load_event
from core.services.identity import IdentityService
from core.services.inbox import InboxService
from core.services.summary import SummaryService
from realtime.background import Background
from realtime.engine import SocketServer
from realtime.hub import Hub
from realtime.replay import Plan, Replay
from realtime.session import Session
from realtime.sessions import Sessions

_logger = logging.getLogger(__name__)

EventHandler = Callable[[Session, Any], Awaitable[dict[str, Any]]]

EXPIRY_CHECK_S = 1.0
_CHANNEL_KINDS = {"user": "用户", "role": "角色", "project": "项目", "global": "全局"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What clients are told about timing, so that tests can be quick."""

    heartbeat_s: float = 30
    retry_first_ms: int = 3_000
    retry_max_ms: int = 30_000
    retry_tries: int = 10

    def retry_body(self) -> dict[str, int]:
        return {"first": self.retry_first_ms, "max": self.retry_max_ms, "tries": self.retry_tries}

    def spread_ms(self) -> int:
        """A delay with up to 20 % on top, so that those who leave together do not come back together."""
        return round(self.retry_first_ms * random.uniform(1, 1.2))  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayServices:
    """What the gateway calls."""

    identity: IdentityService
    inbox: InboxService
    summary: SummaryService
    positions: Positions


class Gateway:
    """Connects sessions, catches them up, and answers their events. Every event is acknowledged."""

    def __init__(
        self,
        server: SocketServer,
        hub: Hub,
        sessions: Sessions,
        replay: Replay,
        services: GatewayServices,
        background: Background,
        pace: Pace,
    ) -> None:
        self._server = server
        self._hub = hub
        self._sessions = sessions
        self._replay = replay
        self._services = services
        self._background = background
        self._pace = pace
        self._admitted: dict[str, tuple[Principal, Claim]] = {}
        self.stopping = False
        self._register()

    def _register(self) -> None:
        server = self._server
        server.on("connect", self._connect)
        server.on("disconnect", self._disconnect)
        events: dict[str, EventHandler] = {
            "ping": self._ping,
            "ack": self._ack,
            "sync": self._sync,
            "authenticate": self._authenticate,
            "read": self._marker(Receipt.READ),
            "seen": self._marker(Receipt.SEEN),
            "archive": self._marker(Receipt.ARCHIVED),
        }
        for event, handler in events.items():
            server.on(event, self._answering(handler))
        server.on("*", self._unknown)
        server.on_connected = self._connected
        self._hub.on_epoch_changed = self._end_all
        self._background.repeat(self._end_expired, EXPIRY_CHECK_S, "token expiry")

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any) -> bool:
        """Check the token and nothing else. Refuses only what trying again cannot mend."""
        del environ
        if self.stopping:
            return False
        try:
            token, claim = load_event(ConnectAuth(), auth or {})
            principal = await self._services.identity.authenticate(token)
            _ = principal.person
        except ValidationError as error:
            missing = not isinstance(auth, dict) or not auth.get("token")
            raise _refusal("token_missing" if missing else "token_invalid") from error
        except (Unavailable, RateLimited):
            return False
        except DomainError as error:
            code = error.code if isinstance(error, Unauthenticated) else "token_invalid"
            raise _refusal(code) from error
        self._admitted[sid] = (principal, claim)
        return True

    def _connected(self, sid: str, eio_sid: str) -> None:
        principal, claim = self._admitted.pop(sid, (None, NOTHING_CLAIMED))
        outgoing = self._server.outgoing(eio_sid)
        if principal is None or outgoing is None:
            self._server.abort(eio_sid)
            return
        session = Session(self._server, sid, eio_sid, principal, outgoing)
        self._sessions.add(session)
        self._background.start(self._begin(session, claim), f"begin {sid}")

    async def _disconnect(self, sid: str, reason: str) -> None:
        self._admitted.pop(sid, None)
        session = self._sessions.remove(sid)
        if session is not None:
            session.ended = True
            self._hub.leave(session, session.rooms)
            _logger.info("🔔 [WS] 连接已关闭: %s", reason, extra={"user_id": session.user.id})

    async def _begin(self, session: Session, claim: Claim) -> None:
        """Syncing, replay, live, summary. What fails here closes the connection: the client comes again."""
        try:
            plan = await self._enter(session, claim)
            session.emit("session", self._session_body(session, plan))
            await self._replay.run(session, plan)
            session.emit("session", {"state": "live"})
            summary = await self._services.summary.summary(session.user, plan.base)
            recovered = all(plan.recovered.values())
            session.emit("summary", summary_body(summary, plan.base, recovered=recovered))
        except (DomainError, TimeoutError) as error:
            _logger.warning("❌ [WS] 会话未能开始: %s", error, extra={"user_id": session.user.id})
            session.cut("begin_failed")
        except BaseException:
            session.cut("begin_failed")
            raise

    async def _enter(self, session: Session, claim: Claim) -> Plan:
        rooms = session.user.rooms
        await self._hub.open(rooms)
        if self._sessions.get(session.sid) is not session:
            self._hub.unpin(rooms)
            raise Unavailable("The client has gone.", code="gone")
        session.rooms = rooms
        base = self._hub.join(session, rooms)
        session.hold(base)
        for room in rooms:
            await self._server.enter_room(session.sid, room)
            kind = _CHANNEL_KINDS[room.partition(":")[0]]
            _logger.info("✅ [WS] 已订阅%s频道: notify:%s", kind, room, extra={"user_id": session.user.id})
        return await self._replay.plan(session, base, claim)

    def _session_body(self, session: Session, plan: Plan) -> dict[str, Any]:
        return {
            "state": "syncing",
            "session_id": session.sid,
            "user_id": session.user.id,
            "epoch": self._hub.epoch,
            **plan.body(),
            "heartbeat_s": self._pace.heartbeat_s,
            "retry_ms": self._pace.retry_body(),
            "server_time": _now_ms(),
        }

    def _answering(self, handler: EventHandler) -> Callable[..., Awaitable[dict[str, Any]]]:
        """Wrap a handler so that every event is acknowledged, and no failure reaches the library."""

        async def answer(sid: str, *payload: Any) -> dict[str, Any]:
            session = self._sessions.get(sid)
            if session is None:
                return _failed(Unavailable("The session has not begun.", code="no_session"))
            try:
                return {"ok": True, **await handler(session, payload[0] if payload else None)}
            except ValidationError as error:
                return _failed(invalid(error))
            except DomainError as error:
                return _failed(error)
            except Exception:
                # The edge of event handling: the client is told, the log has the rest, the server goes on.
                _logger.exception("❌ [WS] 事件处理失败")
                return _failed(DomainError("Something went wrong here.", code="internal_error"))

        return answer

    async def _unknown(self, event: str, sid: str, *_: Any) -> dict[str, Any]:
        del event, sid
        return _failed(DomainError("There is no such event.", code="unknown_event"))

    async def _ping(self, session: Session, payload: Any) -> dict[str, Any]:
        body = load_event(PingBody(), payload)
        await self._refresh_inbox_version(session)
        pong = {
            "type": "pong",
            "timestamp": body["timestamp"],
            "server_time": _now_ms(),
            "epoch": self._hub.epoch,
            "position": self._hub.position(session.rooms) if session.is_live else {},
            "inbox_version": session.inbox_version,
        }
        _logger.debug("💓 [WS] 收到心跳", extra={"user_id": session.user.id})
        session.emit("pong", pong)
        return pong

    async def _refresh_inbox_version(self, session: Session) -> None:
        """A heartbeat is answered also while the database is away, with what was known last."""
        try:
            session.inbox_version = await self._services.inbox.version(session.user)
        except Unavailable:
            _logger.warning("❌ [WS] 数据库不可用，心跳使用旧版本号")

    async def _ack(self, session: Session, payload: Any) -> dict[str, Any]:
        claim = load_event(PositionBody(), payload)
        if claim.epoch == self._hub.epoch:
            delivered = self._hub.position(session.rooms)
            self._services.positions.acknowledge(
                session.user.id,
                {
                    room: min(claim.position[room], delivered[room])
                    for room in delivered
                    if room in claim.position
                },
            )
        return {}

    async def _sync(self, session: Session, payload: Any) -> dict[str, Any]:
        """Put the rooms of the position back to syncing; the replay follows this answer as events."""
        claim = load_event(PositionBody(), payload)
        if session.catching_up:
            raise DomainError("The session is being caught up already.", code="sync_in_progress")
        rooms = [room for room in session.rooms if room in claim.position]
        base = self._hub.position(rooms)
        session.hold(base)
        try:
            plan = await self._replay.plan(session, base, claim)
        except DomainError:
            session.release(base)
            raise
        # The task runs at the next await, when the answer is in the client's queue already.
        self._background.start(self._catch_up(session, plan), f"sync {session.sid}")
        return plan.body()

    async def _catch_up(self, session: Session, plan: Plan) -> None:
        try:
            await self._replay.run(session, plan)
        except (DomainError, TimeoutError) as error:
            _logger.warning("❌ [WS] 补发失败: %s", error, extra={"user_id": session.user.id})
            session.cut("sync_failed")

    async def _authenticate(self, session: Session, payload: Any) -> dict[str, Any]:
        token = load_event(AuthenticateBody(), payload)["token"]
        principal = await self._services.identity.authenticate(token)
        if principal.user is None or principal.user.id != session.user.id:
            raise Unauthenticated("The token is somebody else's.")
        session.principal = principal
        left = None if principal.expires_at is None else principal.expires_at - clock.now()
        return {"expires_in": None if left is None else int(left.total_seconds())}

    def _marker(self, receipt: Receipt) -> EventHandler:
        async def mark(session: Session, payload: Any) -> dict[str, Any]:
            target = load_event(MarkBody(), payload)
            state = await self._services.inbox.mark(
                session.user, target, receipt, given=True, origin=session.sid
            )
            return marked_body(state)

        return mark

    def _end_all(self, reason: str = "epoch_changed") -> None:
        """End every session; the clients come back after a spread delay."""
        for session in self._sessions:
            session.end(reason, retry=True, retry_ms=self._pace.spread_ms())

    def stop(self) -> None:
        """Let nobody in any more, and send everybody elsewhere."""
        self.stopping = True
        self._end_all("server_stopping")

    async def wait_gone(self) -> None:
        """Return when the last session is gone."""
        await self._sessions.wait_empty()

    async def _end_expired(self) -> None:
        now = clock.now()
        for session in self._sessions:
            if session.expires_at is not None and session.expires_at <= now:
                session.end("token_expired", retry=True, retry_ms=self._pace.spread_ms())


def _refusal(code: str) -> Refused:
    return Refused("unauthorized", {"code": code})


def _failed(error: DomainError) -> dict[str, Any]:
    return {"ok": False, "error": error_body(error)}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
