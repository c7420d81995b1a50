"""The directory: people, projects, keys and the audit trail, as admins look through them."""

from typing import Protocol

from core.domain.audit import AuditEntry
from core.domain.pages import Page
from core.domain.people import Member, Person, Project
from core.domain.principals import KeyRecord


class Directory(Protocol):
    """Reads of what is known of everybody. Changes go through the log. Everything here raises `Unavailable`.

    A `cursor` is the `next_cursor` of the page before; None begins at the beginning. `limit` is at least 1.
    """

    async def people(self, text: str | None, cursor: str | None, limit: int) -> Page[Person]:
        """People by the time they came, those whose username or name has `text` in it; disabled ones included.

        The cursor is a number in digits.
        """

    async def person(self, user_id: str) -> Person | None:
        """One of them by id."""

    async def projects(self, cursor: str | None, limit: int) -> Page[Project]:
        """Projects by id."""

    async def project(self, project_id: str) -> Project | None:
        """One of them by id."""

    async def members(self, project_id: str, cursor: str | None, limit: int) -> Page[Member]:
        """The people in a project, by id."""

    async def keys(self, cursor: str | None, limit: int) -> Page[KeyRecord]:
        """Keys, newest first, revoked and expired ones included."""

    async def key_record(self, key_id: str) -> KeyRecord | None:
        """One of them by id."""

    async def audit(
        self, actor_id: str | None, target: str | None, cursor: str | None, limit: int
    ) -> Page[AuditEntry]:
        """The audit trail, newest first; of one actor, or about one target. The cursor is a number in digits."""
