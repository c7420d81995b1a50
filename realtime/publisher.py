"""The fast path: hands what was committed to the sessions of this server."""

import logging
from collections.abc import Iterable

from core.domain.inbox import InboxChange
from core.domain.notifications import Posting
from core.schemas.inbox import change_body
from realtime.engine import EventPacket
from realtime.hub import Hub
from realtime.sessions import Sessions

_logger = logging.getLogger(__name__)


class LocalPublisher:
    """`core.ports.publisher.Publisher` for one process. Other servers learn of it from the log, by their sweep."""

    def __init__(self, hub: Hub, sessions: Sessions) -> None:
        self._hub = hub
        self._sessions = sessions

    def publish(self, postings: Iterable[Posting]) -> None:
        for posting in postings:
            self._hub.offer(posting)
            _logger.info(
                "📤 发布消息到 notify:%s, 接收者: %d", posting.room, self._hub.connections(posting.room)
            )

    def inbox_changed(self, user_id: str, change: InboxChange, origin: str | None) -> None:
        others = [session for session in self._sessions.of_user(user_id) if session.sid != origin]
        if others:
            packet = EventPacket("inbox", change_body(change))
            for session in others:
                session.send(packet)

    def login_ended(self, login_id: str) -> None:
        for session in self._sessions.of_login(login_id):
            session.end("revoked", retry=False, retry_ms=0)
