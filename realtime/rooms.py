"""The rooms of the Socket.IO manager with an index: what it costs when a client goes depends on its own rooms.

The library looks for it in every room of the namespace: 8,000 clients that closed at once took 20 s.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from bidict import ValueDuplicationError


class RoomIndex:
    """A mixin for client managers, in front of the library's class: `class Manager(RoomIndex, AsyncManager)`.

    `rooms[namespace][room][sid]` stays what the library says it is, the Engine.IO sid, so that its other methods work.
    Whoever is still being asked who they are is in nobody's audience.
    """

    rooms: dict[str, dict[str | None, dict[str, str]]]
    callbacks: dict[str, Any]
    pending_connect: dict[str, list[str]]
    pending_disconnect: dict[str, list[str]]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._rooms_of: dict[tuple[str, str], dict[str | None, None]] = {}
        self._sid_of: dict[tuple[str, str], str] = {}

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        return self._sid_of.get((namespace, eio_sid))

    def get_participants(self, namespace: str, room: str | list[str] | None) -> Iterator[tuple[str, str]]:
        """Each sid of the room, or of any of the rooms, once, with its Engine.IO sid."""
        names: Iterable[str | None] = room if isinstance(room, list | tuple) else (room,)
        found: dict[str, str] = {}
        for name in names:
            found |= self.rooms.get(namespace, {}).get(name, {})
        for sid in self.pending_connect.get(namespace, ()):
            found.pop(sid, None)
        yield from found.items()

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        return [room for room in self._rooms_of.get((namespace, sid), ()) if room is not None]

    def basic_enter_room(
        self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None
    ) -> None:
        """Raises `ValueError` for a sid that is not there, or for a room that is another client's own."""
        everybody = self.rooms.get(namespace, {}).get(None, {})
        if eio_sid is None:
            if sid not in everybody:
                raise ValueError("sid is not connected to requested namespace")
            eio_sid = everybody[sid]
        if room != sid and room in everybody:
            raise ValueError("cannot enter a sid room")
        if room is None and self._sid_of.setdefault((namespace, eio_sid), sid) != sid:
            raise ValueDuplicationError(eio_sid)  # as the library's own table says it: a second CONNECT
        self.rooms.setdefault(namespace, {}).setdefault(room, {})[sid] = eio_sid
        self._rooms_of.setdefault((namespace, sid), {})[room] = None

    def basic_leave_room(self, sid: str, namespace: str, room: str | None) -> None:
        mine = self._rooms_of.get((namespace, sid))
        if mine is None or room not in mine:
            return
        del mine[room]
        if not mine:
            del self._rooms_of[namespace, sid]
        members = self.rooms[namespace][room]
        eio_sid = members.pop(sid)
        if room is None:
            del self._sid_of[namespace, eio_sid]
        if not members:
            del self.rooms[namespace][room]
            if not self.rooms[namespace]:
                del self.rooms[namespace]

    def basic_close_room(self, room: str, namespace: str) -> None:
        """Raises `ValueError` for a room that is a client's own."""
        if room in self.rooms.get(namespace, {}).get(None, {}):
            raise ValueError("cannot close a sid room")
        for sid in tuple(self.rooms.get(namespace, {}).get(room, ())):
            self.basic_leave_room(sid, namespace, room)

    def basic_disconnect(self, sid: str, namespace: str, **_: Any) -> None:
        for room in tuple(self._rooms_of.get((namespace, sid), ())):
            self.basic_leave_room(sid, namespace, room)
        self.callbacks.pop(sid, None)
        for waiting in (self.pending_connect, self.pending_disconnect):
            sids = waiting.get(namespace, [])
            while sid in sids:
                sids.remove(sid)
            if not sids:
                waiting.pop(namespace, None)
