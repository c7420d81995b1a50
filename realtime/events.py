"""What clients say once they are connected: heartbeat, acknowledge, sync, receipts, fresh tokens.

Every event is acknowledged: `{"ok": true, …}`, or `{"ok": false, "error": …}` with a stable code.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError

from core.domain import clock
from core.domain.errors import DomainError, Unauthenticated, Unavailable
from core.domain.inbox import Receipt
from core.ports.inbox import Positions
from core.schemas.errors import error_body, invalid
from core.schemas.inbox import MarkBody, marked_body
from core.schemas.sockets import AuthenticateBody, PingBody, PositionBody, load_event
from core.services.identity import IdentityService
from core.services.inbox import InboxService
from realtime.admission import Admission
from realtime.background import Background
from realtime.engine import SocketServer
from realtime.hub import Hub
from realtime.pace import now_ms
from realtime.session import Session
from realtime.sessions import Sessions

_SYNC_PATIENCE_S = 5.0
"""How long a sync waits for the catching up that goes on; the client's other events wait behind it."""

_PING, _POSITION, _AUTHENTICATE, _MARK = PingBody(), PositionBody(), AuthenticateBody(), MarkBody()

_logger = logging.getLogger(__name__)

EventHandler = Callable[[Session, Any], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventServices:
    """What the handlers call."""

    identity: IdentityService
    inbox: InboxService
    positions: Positions


class Events:
    """The handlers of client events, each for a session that is there."""

    def __init__(
        self,
        hub: Hub,
        sessions: Sessions,
        admission: Admission,
        services: EventServices,
        background: Background,
    ) -> None:
        self._hub = hub
        self._sessions = sessions
        self._admission = admission
        self._services = services
        self._background = background

    def register(self, server: SocketServer) -> None:
        """Let the server hand every client event to its handler."""
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
        server.on("*", _unknown)

    def _answering(self, handler: EventHandler) -> Callable[..., Awaitable[dict[str, Any]]]:
        """Wrap a handler so that every event is acknowledged, and no failure reaches the library."""

        async def answer(sid: str, *payload: Any) -> dict[str, Any]:
            session = self._sessions.get(sid)
            if session is None or session.ended:
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

    async def _ping(self, session: Session, payload: Any) -> dict[str, Any]:
        body = load_event(_PING, payload)
        await self._refresh_inbox_version(session)
        pong = {
            "type": "pong",
            "timestamp": body["timestamp"],
            "server_time": now_ms(),
            "epoch": self._hub.epoch,
            "position": self._hub.position_of(session, session.rooms) if session.is_live else {},
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
        claim = load_event(_POSITION, payload)
        if claim.epoch == self._hub.epoch:
            delivered = self._hub.position_of(session, session.rooms)
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
        claim = load_event(_POSITION, payload)
        try:
            async with asyncio.timeout(_SYNC_PATIENCE_S if session.entered else 0):
                await session.wait_live()
        except TimeoutError as error:
            raise DomainError("The session is being caught up already.", code="sync_in_progress") from error
        plan = await self._admission.resync(session, claim)
        # The task runs at the next await, when the answer is in the client's queue already.
        self._background.start(self._admission.catch_up(session, plan), f"sync {session.sid}")
        return plan.body()

    async def _authenticate(self, session: Session, payload: Any) -> dict[str, Any]:
        token = load_event(_AUTHENTICATE, payload)["token"]
        principal = await self._services.identity.authenticate(token)
        if principal.user is None or principal.user.id != session.user.id:
            raise Unauthenticated("The token is somebody else's.")
        session.principal = principal
        # It may be a second old, and what ended it meanwhile was looked for on the credential of before.
        self._admission.look_at((session.user.id,))
        left = None if principal.expires_at is None else principal.expires_at - clock.now()
        return {"expires_in": None if left is None else int(left.total_seconds())}

    def _marker(self, receipt: Receipt) -> EventHandler:
        async def mark(session: Session, payload: Any) -> dict[str, Any]:
            target = load_event(_MARK, payload)
            state = await self._services.inbox.mark(
                session.user, target, receipt, given=True, origin=session.sid
            )
            return marked_body(state)

        return mark


async def _unknown(event: str, sid: str, *_: Any) -> dict[str, Any]:
    del event, sid
    return _failed(DomainError("There is no such event.", code="unknown_event"))


def _failed(error: DomainError) -> dict[str, Any]:
    return {"ok": False, "error": error_body(error)}
