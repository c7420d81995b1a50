"""People and projects as admins see them, and what they may be called."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from core.domain.principals import User

MAX_NAME = 200
MIN_PASSWORD = 8
MAX_PASSWORD = 1_000
MAX_LOCALE = 16
LOCALE_PATTERN = r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*"


@dataclass(frozen=True, slots=True)
class Person:
    """A person, and since when they are known here."""

    user: User
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonChanges:
    """What is to become of a person; None leaves a field as it is."""

    name: str | None = None
    locale: str | None = None
    roles: frozenset[str] | None = None
    disabled: bool | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def told(self) -> Mapping[str, Any]:
        """What the audit trail tells of it: that there is a new password, never which."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        told = {name: value for name, value in given.items() if value is not None}
        if self.roles is not None:
            told["roles"] = sorted(self.roles)
        if self.password is not None:
            told["password"] = "changed"  # noqa: S105 - just what it is not
        return told


@dataclass(frozen=True, slots=True)
class Project:
    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a project, with their roles there."""

    user_id: str
    username: str
    name: str
    roles: frozenset[str]
