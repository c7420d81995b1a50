"""Changes to who is who. Each is a statement of fact for the log to make true; it may be refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from core.domain.principals import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class AddUser:
    """Create a local person, and open their memberships. Result: the new user's id.

    Refused with `Conflict` (username_taken) and, with `only_if_empty`, `Conflict` (users_exist).
    """

    username: str
    name: str
    password_hash: str
    roles: frozenset[str]
    locale: str
    projects: Mapping[str, frozenset[str]] = field(default_factory=dict)
    only_if_empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AddProject:
    """Create a project. Refused with `Conflict` (project_exists)."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddKey:
    """Store a program's key by its hash. Result: the key's id. Refused with `NotFound` for an unknown user."""

    name: str
    key_hash: str
    scope: Scope
    user_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeToken:
    """Make a token, or a whole login, invalid until `expires_at`, when it would be invalid anyway.

    Result: True. With `once`, revoking it a second time is refused with `Unauthenticated` (token_revoked).
    """

    id: str
    expires_at: datetime
    once: bool = False


IdentityChange = AddUser | AddProject | AddKey | RevokeToken
