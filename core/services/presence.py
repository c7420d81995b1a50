"""Presence: who is connected, for those who may know."""

from collections.abc import Sequence

from core.domain.errors import Forbidden
from core.domain.principals import Principal
from core.ports.presence import Presence


class PresenceService:
    """A person may ask about their own rooms, an admin about all, a program about those it may publish to."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence

    async def connections(self, principal: Principal, rooms: Sequence[str]) -> dict[str, int]:
        """Connections by room. Raises `Forbidden` for a room that is none of the caller's business."""
        own = principal.user.rooms if principal.user else ()
        for room in rooms:
            in_scope = principal.scope is not None and principal.scope.allows_rooms((room,))
            if not (principal.is_admin or room in own or in_scope):
                raise Forbidden("You may not see who is in this room.")
        return {room: self._presence.connections(room) for room in rooms}
