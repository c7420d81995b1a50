"""The fast path in: what other servers, and people who may, tell through Redis."""

import orjson
from marshmallow import ValidationError

from core.domain import clock
from core.domain.ids import new_id
from core.schemas.notifications import OpenBody
from core.schemas.sockets import ephemeral_event
from realtime.background import Background
from realtime.engine import EventPacket
from realtime.hub import Hub
from realtime.manager import RedisManager
from realtime.presence import BEAT_S, Servers
from realtime.publication import Publication
from realtime.seal import SERVERS, Message
from realtime.sessions import Sessions


class Receiver:
    """Hands what comes to the hub. It decides nothing: the hub's order and the database's state do."""

    def __init__(self, hub: Hub, sessions: Sessions, manager: RedisManager) -> None:
        self._hub = hub
        self._manager = manager
        self._id: str = manager.host_id
        self.servers = Servers(hub, sessions, manager)
        manager.on_message = self._take
        manager.on_open_publish = self._take_open
        manager.on_followed = self._followed

    def start(self, background: Background) -> None:
        """Begin to hear the other servers, and to be heard. Redis need not be there."""
        self._manager.start()
        background.repeat(self.servers.beat, BEAT_S, "beat")

    async def close(self) -> None:
        """Tell the other servers, and fall silent."""
        self.servers.leave()
        await self._manager.close()

    def _followed(self, room: str) -> None:
        """What was published before the subscription held may be missing."""
        self._hub.repair.check((room,))

    def _take(self, message: Message) -> None:
        if message.room == SERVERS:
            self.servers.take(message)
        elif message.offset is not None and message.body is not None:
            self._hub.offer(
                Publication(message.origin, message.room, message.offset, message.members, message.body)
            )
        elif message.offset is not None:
            self._look(message.room, message.offset)
        elif message.origin == self._id:
            return
        elif message.body is not None:
            self._tell(message.room, message.body)
        else:
            self._hub.repair.check((message.room,))

    def _tell(self, room: str, body: bytes) -> None:
        event, payload = orjson.loads(body)
        packet = EventPacket(body)
        for session in self._hub.listeners(room):
            if event == "inbox":
                session.tell_inbox(payload)
            else:
                session.send(packet)

    def _look(self, room: str, offset: int) -> None:
        """A posting is there that is to be read; this server's own is known already."""
        if offset > self._hub.position((room,)).get(room, offset):
            self._hub.repair.check((room,))

    def _take_open(self, room: str, data: bytes) -> bool:
        """What somebody published by hand: shown to who is there now, and stored nowhere."""
        try:
            content = OpenBody().load(orjson.loads(data))
        except (orjson.JSONDecodeError, ValidationError, TypeError):
            return False
        packet = EventPacket.of(*ephemeral_event(room, new_id(), clock.now(), content))
        for session in self._hub.listeners(room):
            session.send(packet)
        return True
