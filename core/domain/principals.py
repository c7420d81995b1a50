"""Principals: who is calling, and what they may do. Built from the database, never from what a client says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from core.domain.errors import Forbidden
from core.domain.notifications import Actor
from core.domain.rooms import rooms_of

ADMIN = "admin"
DEFAULT_ROLES = ("annotator", "reviewer", ADMIN)

_LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person: ours, or of an outside `issuer`. `projects` maps project id to the roles in that project.

    `generation` counts the times all their logins were ended. Outside people have tokens we do not sign: those of
    `logged_out_at` and before are void, and `claims_at` is the moment of the newest claims seen.
    """

    id: str
    username: str
    name: str
    roles: frozenset[str]
    projects: Mapping[str, frozenset[str]]
    locale: str
    disabled: bool = False
    password_hash: str = ""
    generation: int = 0
    created_at: datetime = _LONG_AGO
    issuer: str | None = None
    claims_at: datetime | None = None
    logged_out_at: datetime | None = None

    @property
    def rooms(self) -> tuple[str, ...]:
        return rooms_of(self.id, self.roles, self.projects)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose credentials some are: the person, disabled or not, None when there is nobody; and which of them are over."""

    user: User | None
    ended: frozenset[str]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a program may publish: room and type patterns, exact or ending in `*`."""

    rooms: tuple[str, ...]
    types: tuple[str, ...]

    def allows(self, rooms: Iterable[str], type_: str) -> bool:
        return _matches(type_, self.types) and self.allows_rooms(rooms)

    def allows_rooms(self, rooms: Iterable[str]) -> bool:
        return all(_matches(room, self.rooms) for room in rooms)


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(text.startswith(p[:-1]) if p.endswith("*") else text == p for p in patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A program's key as it is stored: the hash, never the key. Bound to a user, it may also listen."""

    id: str
    name: str
    key_hash: str
    scope: Scope
    user_id: str | None
    expires_at: datetime | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What is known of a key, revoked and expired ones included, but nothing that would open anything."""

    id: str
    name: str
    scope: Scope
    user_id: str | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The authenticated caller.

    `user` is the person, None for a program of its own; `sender` owns idempotency keys and sent notifications;
    `login_id` names the login that a token belongs to, `key_id` the key; `expires_at` is when the credential ends
    by itself.
    """

    sender: str
    user: User | None
    scope: Scope | None = None
    login_id: str | None = None
    key_id: str | None = None
    expires_at: datetime | None = None

    @property
    def is_admin(self) -> bool:
        return self.scope is None and self.user is not None and ADMIN in self.user.roles

    @property
    def actor(self) -> Actor | None:
        return Actor(self.user.id, self.user.name) if self.user else None

    @property
    def person(self) -> User:
        """The person behind the call; a key of no one has none and is refused."""
        if self.user is None:
            raise Forbidden("This API key belongs to no user; it can publish, not read.")
        return self.user

    @property
    def credential_id(self) -> str | None:
        """What can be revoked to end whatever lives by this credential."""
        return self.login_id or self.key_id

    def is_ended_by(self, present: User) -> bool:
        """Whether all logins of the person were ended since this one was let in. Keys are no logins."""
        return (
            self.login_id is not None and self.user is not None and self.user.generation != present.generation
        )

    def check_is_admin(self) -> None:
        """Raises `Forbidden` for everybody but admins and the operator at the command line."""
        if not self.is_admin and self is not OPERATOR:
            raise Forbidden("Only admins may do this.")

    def check_is_person(self) -> None:
        """Raises `Forbidden` for a key that belongs to nobody: it has no rooms to listen in."""
        _ = self.person

    def check_may_publish(self, rooms: Iterable[str], type_: str) -> None:
        if self.is_admin:
            return
        if self.scope is None or not self.scope.allows(rooms, type_):
            raise Forbidden("You may not publish this type to these rooms.")

    def owns(self, sender: str) -> bool:
        """Whether what `sender` sent is theirs to change: the sender, or an admin."""
        return self.is_admin or self.sender == sender


OPERATOR = Principal(sender="operator", user=None)
"""Whoever has the command line: may administer everything, and is nobody in particular."""
