"""The fast path out: hands what was committed to the sessions of this server, and tells the other servers."""

import logging
from collections.abc import Iterable

import orjson

from core.domain.inbox import InboxChange
from core.domain.notifications import Posting
from core.domain.rooms import user_room
from core.ports.presence import Presence
from core.schemas.inbox import change_body
from realtime.admission import Admission
from realtime.hub import Hub
from realtime.manager import RedisManager
from realtime.publication import Publication
from realtime.seal import Message
from realtime.sessions import Sessions

_logger = logging.getLogger(__name__)


class FastPath:
    """`core.ports.publisher.Publisher`. Without a manager, other servers learn of everything by their sweep."""

    def __init__(
        self,
        hub: Hub,
        sessions: Sessions,
        admission: Admission,
        presence: Presence,
        manager: RedisManager | None = None,
    ) -> None:
        self._hub = hub
        self._sessions = sessions
        self._admission = admission
        self._presence = presence
        self._manager = manager

    def publish(self, postings: Iterable[Posting], epoch: str) -> None:
        for posting in postings:
            room = posting.room
            if self._manager is not None or self._hub.is_active(room):
                publication = Publication.of(posting, epoch)
                self._hub.offer(publication)
                self._tell(epoch, room, publication.body, posting.offset, posting.members)
            _logger.info("📤 发布消息到 notify:%s, 接收者: %d", room, self._presence.connections(room))

    def inbox_changed(self, user_id: str, change: InboxChange, origin: str | None) -> None:
        body = change_body(change)
        for session in self._sessions.of_user(user_id):
            if session.sid != origin and session.entered:
                session.tell_inbox(body)
        self._tell_here(user_room(user_id), orjson.dumps(("inbox", body)))

    def people_changed(self, user_ids: Iterable[str]) -> None:
        people = tuple(user_ids)
        self._admission.look_at(people)
        for user_id in people:
            # Their counters have been raised: whoever looks at the room's head sees who moved.
            self._tell_here(user_room(user_id), None)

    def _tell_here(self, room: str, body: bytes | None) -> None:
        if self._manager is not None:
            self._tell(self._manager.host_id, room, body)

    def _tell(
        self, origin: str, room: str, body: bytes | None, offset: int | None = None, members: int = 0
    ) -> None:
        if self._manager is not None:
            self._manager.tell(Message(origin, room, offset, members, body))
