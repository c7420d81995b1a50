"""The fast path: hands what was committed to the sessions of this server."""

import logging
from collections.abc import Iterable

from core.domain.inbox import InboxChange
from core.domain.notifications import Posting
from core.schemas.inbox import change_body
from realtime.admission import Admission
from realtime.engine import EventPacket
from realtime.hub import Hub
from realtime.sessions import Sessions

_logger = logging.getLogger(__name__)


class LocalPublisher:
    """`core.ports.publisher.Publisher` for one process. Other servers learn of it from the log, by their sweep."""

    def __init__(self, hub: Hub, sessions: Sessions, admission: Admission) -> None:
        self._hub = hub
        self._sessions = sessions
        self._admission = admission

    def publish(self, postings: Iterable[Posting], epoch: str) -> None:
        for posting in postings:
            self._hub.offer(posting, epoch)
            _logger.info(
                "📤 发布消息到 notify:%s, 接收者: %d", posting.room, self._hub.connections(posting.room)
            )

    def inbox_changed(self, user_id: str, change: InboxChange, origin: str | None) -> None:
        others = [session for session in self._sessions.of_user(user_id) if session.sid != origin]
        if others:
            packet = EventPacket("inbox", change_body(change))
            for session in others:
                session.send(packet)

    def people_changed(self, user_ids: Iterable[str]) -> None:
        self._admission.look_at(user_ids)
