"""Changes to who is who. Each is a statement of fact for the log to make true; it may be refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from core.domain import clock
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
class AdoptUser:
    """Make an outside person, and their memberships, what claims of the moment `claims_at` say.

    Claims that are not newer than the newest seen change nothing. Projects that do not exist are created.
    Result: whether the claims were applied.
    """

    user_id: str
    issuer: str
    username: str
    name: str
    roles: frozenset[str]
    projects: Mapping[str, frozenset[str]]
    claims_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeUser:
    """Change a person; None leaves a field as it is. Their memberships follow their roles.

    A new password, disabling and `end_logins` end every login they have.
    Refused with `NotFound` (user_not_found). Result: True.
    """

    user_id: str
    name: str | None = None
    locale: str | None = None
    roles: frozenset[str] | None = None
    password_hash: str | None = None
    disabled: bool | None = None
    end_logins: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AddProject:
    """Create a project. Refused with `Conflict` (project_exists)."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMember:
    """Give a person these roles in a project, whatever they had there before; None: they leave it.

    Refused with `NotFound` (project_not_found, user_not_found, not_a_member). Result: True.
    """

    project_id: str
    user_id: str
    roles: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddKey:
    """Store a program's key by its hash. Result: the key's id.

    Refused with `NotFound` (user_not_found).
    """

    name: str
    key_hash: str
    scope: Scope
    user_id: str | None
    created_at: datetime = field(default_factory=clock.now)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeKey:
    """Let a key be good for nothing any more. Twice is once. Refused with `NotFound` (key_not_found)."""

    id: str


USED_AGAIN = timedelta(seconds=60)
"""For so long a refresh token is good for the same successor again: the answer with it may have been lost on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeToken:
    """Make a token, or a whole login, of a person invalid until `expires_at`, when it would be invalid anyway.

    Result: True. With `once` it is used up by that: using it again is refused with `Unauthenticated` (token_revoked), unless
    it is within `USED_AGAIN`.
    """

    id: str
    user_id: str
    expires_at: datetime
    once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Keep for good who did what to whom: a line of the audit trail. Never refused.

    `actor_id` is the person, None for a program or an operator at the command line; `details` holds no secrets.
    A target that ends in a colon is of the id that the change before this one in its unit makes.
    """

    at: datetime
    actor_id: str | None
    sender: str
    action: str
    target: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def about(self, made: object) -> "Audit":
        """The same line once it is known what the change before it made."""
        return replace(self, target=f"{self.target}{made}") if self.target.endswith(":") else self


IdentityChange = (
    AddUser | AdoptUser | ChangeUser | AddProject | SetMember | AddKey | RevokeKey | RevokeToken | Audit
)
