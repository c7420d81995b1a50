"""Identity: who the known people and programs are."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from core.domain.membership import Interval, RoomChanges, Standing
from core.domain.principals import ApiKey, Holder, User


class Identity(Protocol):
    """Reads of identity. Changes go through the log. Everything here raises `Unavailable`.

    What many ask for at once is read together; each answer is of a moment after it was asked for.
    """

    async def user(self, user_id: str) -> User | None:
        """A person by id, with their roles and projects of this moment; disabled ones included."""

    async def user_by_name(self, username: str) -> User | None:
        """A person by username, password hash included; disabled ones included."""

    async def key(self, key_hash: str) -> ApiKey | None:
        """A program's key, revoked and expired ones included."""

    async def holder(self, user_id: str, credentials: Iterable[str]) -> Holder:
        """The person, and which of these token, login and key ids are revoked; in one snapshot."""

    async def intervals(self, user_id: str, rooms: Iterable[str]) -> tuple[Interval, ...]:
        """The person's membership of these rooms, closed intervals included."""

    async def standing(self, user_id: str, credentials: Iterable[str]) -> Standing:
        """What the person may hear, over their present rooms, and which of these token, login and key ids are
        over; in one snapshot. Nobody, and all of them over, for a person who is gone or disabled.
        """

    async def changes_since(self, known: Mapping[str, int]) -> dict[str, RoomChanges]:
        """Who moved in rooms since their membership counters were as `known`; rooms without a change are absent."""
