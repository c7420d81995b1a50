"""Presence: who is connected on which server, told by each server to all others as it changes.

Every server says twice a second that it is there, and which of its people came, went or moved; the first time, and
whenever somebody missed a beat of it, all of them. A server that is silent for two seconds does not count any more.
Its own beat, coming back through Redis, tells a server that it can hear.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from core.ports.presence import Audience
from realtime.hub import Hub
from realtime.manager import RedisManager
from realtime.seal import SERVERS, Message
from realtime.sessions import Sessions

BEAT_S = 0.5
SILENCE_S = 2.0
EXPIRY_S = 20.0
_BEAT_BYTES = 32 << 10
"""Of people in one message; more go in several."""

Here = Mapping[str, tuple[int, tuple[str, ...]]]
"""Connections and rooms by person."""
_Change = tuple[str, int, tuple[str, ...]]


@dataclass(slots=True)
class _Server:
    """What another server has told. `beats` counts its messages: one that is missing makes the rest worthless."""

    beats: int = -1
    heard_at: float = 0.0
    whole: bool = False
    people: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    rooms: defaultdict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))

    def put(self, user_id: str, connections: int, rooms: tuple[str, ...]) -> None:
        _, before = self.people.pop(user_id, (0, ()))
        for room in before:
            self.rooms[room].pop(user_id, None)
            if not self.rooms[room]:
                del self.rooms[room]
        if connections:
            self.people[user_id] = (connections, rooms)
            for room in rooms:
                self.rooms[room][user_id] = connections

    def forget(self) -> None:
        self.people.clear()
        self.rooms.clear()


class Servers:
    """`core.ports.presence.Presence` over all servers."""

    def __init__(self, hub: Hub, sessions: Sessions, manager: RedisManager) -> None:
        self._hub = hub
        self._sessions = sessions
        self._manager = manager
        self._id: str = manager.host_id
        self._servers: dict[str, _Server] = {}
        self._told: Here = {}
        self._beats = 0
        self._tell_all = True
        self._has_left = False
        self._heard_at = 0.0
        self._hearing_since = 0.0

    @property
    def is_known(self) -> bool:
        """Whether what is known of the other servers is at most 2 s old, and complete."""
        now = time.monotonic()
        return (
            now - self._heard_at <= SILENCE_S
            # By then every server that is there has been heard.
            and now - self._hearing_since >= 2 * BEAT_S
            and all(server.whole for server in self._servers.values())
        )

    def connections(self, room: str) -> int:
        return self._hub.connections(room) + sum(
            sum(server.rooms[room].values()) for server in self._heard() if room in server.rooms
        )

    def audience(self, rooms: Iterable[str]) -> Audience:
        if not self.is_known:
            return Audience(None, None)
        names = tuple(rooms)
        here = self._hub.audience(names)
        elsewhere = [_reached(server, names) for server in self._heard()]
        return Audience(
            connections=(here.connections or 0) + sum(elsewhere),
            servers=(here.servers or 0) + sum(1 for connections in elsewhere if connections),
        )

    def _heard(self) -> list[_Server]:
        """Servers that were not silent when this one could last hear; for a while, what was known then is kept."""
        limit = max(self._heard_at - SILENCE_S, time.monotonic() - EXPIRY_S)
        return [server for server in self._servers.values() if server.heard_at >= limit]

    async def beat(self) -> None:
        """Tell the others what has changed here since the last beat."""
        if self._has_left:
            return
        self._drop_silent()
        here = self._people_here()
        everybody, self._tell_all = self._tell_all, False
        before: Here = {} if everybody else self._told
        changes: list[_Change] = [
            (user_id, *found) for user_id, found in here.items() if before.get(user_id) != found
        ]
        changes += [(user_id, 0, ()) for user_id in before.keys() - here.keys()]
        self._told = here
        for number, some in enumerate(_in_messages(changes)):
            self._tell({"all": everybody and number == 0, "people": some})

    def leave(self) -> None:
        """Tell the others that this server is going."""
        self._has_left = True
        self._tell({"all": True, "people": (), "gone": True})

    def _people_here(self) -> Here:
        connections: Counter[str] = Counter()
        rooms: dict[str, tuple[str, ...]] = {}
        for session in self._sessions:
            if session.entered and not session.ended:
                connections[session.user.id] += 1
                rooms[session.user.id] = session.rooms
        return {user_id: (number, rooms[user_id]) for user_id, number in connections.items()}

    def _tell(self, body: Mapping[str, Any]) -> None:
        self._beats += 1
        self._send({"beat": self._beats, **body})

    def _send(self, body: Mapping[str, Any]) -> None:
        self._manager.tell(Message(self._id, SERVERS, None, 0, orjson.dumps(("beat", body))))

    def take(self, message: Message) -> None:
        """What a server, perhaps this one, told of itself."""
        if message.origin == self._id:
            self._hear()
            return
        _, beat = orjson.loads(message.body or b"[null,{}]")
        if "asked" in beat:
            self._tell_all = self._tell_all or beat["asked"] == self._id
        elif beat.get("gone"):
            self._servers.pop(message.origin, None)
        elif "people" in beat:
            self._learn(message.origin, beat)

    def _hear(self) -> None:
        now = time.monotonic()
        if now - self._heard_at > SILENCE_S:
            self._hearing_since = now
        self._heard_at = now
        self._manager.listener.heard()

    def _learn(self, origin: str, beat: Mapping[str, Any]) -> None:
        server = self._servers.setdefault(origin, _Server())
        if beat["beat"] <= server.beats:
            return  # sent again by somebody: a server never says a thing twice
        server.heard_at = time.monotonic()
        if beat["all"]:
            server.forget()
            server.whole = True
        elif beat["beat"] != server.beats + 1:
            server.whole = False
        server.beats = beat["beat"]
        if not server.whole:
            self._send({"asked": origin})  # at every beat: this, too, may be lost
        else:
            for user_id, connections, rooms in beat["people"]:
                server.put(user_id, connections, tuple(rooms))

    def _drop_silent(self) -> None:
        heard = set(map(id, self._heard()))
        self._servers = {name: server for name, server in self._servers.items() if id(server) in heard}


def _in_messages(changes: Sequence[_Change]) -> Iterator[list[_Change]]:
    """The changes in messages that are not too long; at least one message, that the server is there."""
    some: list[_Change] = []
    size_bytes = 0
    for change in changes:
        size_bytes += len(orjson.dumps(change))
        if some and size_bytes > _BEAT_BYTES:
            yield some
            some, size_bytes = [], 0
        some.append(change)
    yield some


def _reached(server: _Server, rooms: tuple[str, ...]) -> int:
    """Connections of the server that are in some of the rooms, each once."""
    reached: dict[str, int] = {}
    for room in rooms:
        if room in server.rooms:
            reached |= server.rooms[room]
    return sum(reached.values())
