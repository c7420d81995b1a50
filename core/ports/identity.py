"""Identity: who the known people and programs are."""

from collections.abc import Iterable
from typing import Protocol

from core.domain.membership import Interval
from core.domain.principals import ApiKey, User


class Identity(Protocol):
    """Reads of identity. Changes go through the log. Everything here raises `Unavailable`."""

    async def user(self, user_id: str) -> User | None:
        """A person by id, with their roles and projects of this moment; disabled ones included."""

    async def user_by_name(self, username: str) -> User | None:
        """A person by username, password hash included; disabled ones included."""

    async def key(self, key_hash: str) -> ApiKey | None:
        """A program's key that is neither revoked nor expired."""

    async def is_revoked(self, ids: Iterable[str]) -> bool:
        """Whether any of these token or login ids is revoked."""

    async def intervals(self, user_id: str, rooms: Iterable[str]) -> tuple[Interval, ...]:
        """The person's membership of these rooms, closed intervals included."""
