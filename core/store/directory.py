"""The directory on SQL."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, literal, or_, select
from sqlalchemy.sql.elements import ColumnElement

from core.domain.audit import AuditEntry
from core.domain.pages import Page, page_of
from core.domain.people import Member, Person, Project
from core.domain.principals import KeyRecord, Scope
from core.store import tables
from core.store.database import Database
from core.store.dialects import among
from core.store.identity import Projects, user_from_row
from core.store.rows import AnyRow

_user = tables.user.c
_project = tables.project.c
_member = tables.project_member.c
_key = tables.api_key.c
_audit = tables.audit.c


class SqlDirectory:
    """`core.ports.directory.Directory` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def people(self, text: str | None, cursor: str | None, limit: int) -> Page[Person]:
        wanted = select(tables.user).order_by(_user.number)
        if text is not None:
            wanted = wanted.where(
                or_(
                    _user.username.icontains(text, autoescape=True),
                    _user.name.icontains(text, autoescape=True),
                )
            )
        if cursor is not None:
            wanted = wanted.where(_user.number > _number(cursor))
        numbered = await self._database.browse(partial(_people, wanted=wanted.limit(limit + 1)))
        page = page_of(numbered, limit, lambda entry: str(entry[0]))
        return Page([person for _, person in page.items], page.next_cursor)

    async def person(self, user_id: str) -> Person | None:
        found = await self._database.read(
            partial(_people, wanted=select(tables.user).where(_user.id == user_id))
        )
        return found[0][1] if found else None

    async def projects(self, cursor: str | None, limit: int) -> Page[Project]:
        wanted = select(tables.project).order_by(_project.id)
        rows = await self._rows(_after(wanted, _project.id, cursor), limit)
        return page_of([_project_from_row(row) for row in rows], limit, lambda project: project.id)

    async def project(self, project_id: str) -> Project | None:
        rows = await self._rows(select(tables.project).where(_project.id == project_id), 1)
        return _project_from_row(rows[0]) if rows else None

    async def members(self, project_id: str, cursor: str | None, limit: int) -> Page[Member]:
        wanted = (
            select(_user.id, _user.username, _user.name, _member.roles)
            .join(tables.user, _user.id == _member.user_id)
            .where(_member.project_id == project_id)
            .order_by(_member.user_id)
        )
        rows = await self._rows(_after(wanted, _member.user_id, cursor), limit)
        members = [Member(row.id, row.username, row.name, frozenset(row.roles)) for row in rows]
        return page_of(members, limit, lambda member: member.user_id)

    async def keys(self, cursor: str | None, limit: int) -> Page[KeyRecord]:
        wanted = select(tables.api_key).order_by(_key.id.desc())
        if cursor is not None:
            wanted = wanted.where(_key.id < cursor)
        rows = await self._rows(wanted, limit)
        return page_of([_key_from_row(row) for row in rows], limit, lambda key: key.id)

    async def key_record(self, key_id: str) -> KeyRecord | None:
        rows = await self._rows(select(tables.api_key).where(_key.id == key_id), 1)
        return _key_from_row(rows[0]) if rows else None

    async def audit(
        self, actor_id: str | None, target: str | None, cursor: str | None, limit: int
    ) -> Page[AuditEntry]:
        wanted = select(tables.audit).order_by(_audit.id.desc())
        if actor_id is not None:
            wanted = wanted.where(_audit.actor_id == actor_id)
        if target is not None:
            wanted = wanted.where(_audit.target == target)
        if cursor is not None:
            wanted = wanted.where(_audit.id < _number(cursor))
        rows = await self._rows(wanted, limit)
        return page_of([_entry_from_row(row) for row in rows], limit, lambda entry: str(entry.id))

    async def _rows(self, wanted: Select[Any], limit: int) -> Sequence[AnyRow]:
        """The rows of the page, and one more if there is one."""
        statement = wanted.limit(limit + 1)
        return await self._database.browse(lambda connection: connection.execute(statement).all())


def _number(cursor: str) -> ColumnElement[int]:
    """As wide as a cursor can be, whatever the column: a number beyond it ends the list and is no error."""
    return literal(int(cursor), BigInteger)


def _after(wanted: Select[Any], column: ColumnElement[str], cursor: str | None) -> Select[Any]:
    return wanted if cursor is None else wanted.where(column > cursor)


def _people(connection: Connection, wanted: Select[Any]) -> list[tuple[int, Person]]:
    rows = connection.execute(wanted).all()
    projects = _projects_of(connection, [row.id for row in rows])
    return [(row.number, Person(user_from_row(row, projects[row.id]), row.created_at)) for row in rows]


def _projects_of(connection: Connection, user_ids: Iterable[str]) -> dict[str, Projects]:
    projects: dict[str, Projects] = {user_id: {} for user_id in user_ids}
    statement = select(tables.project_member).where(among(connection, _member.user_id, projects))
    for row in connection.execute(statement):
        projects[row.user_id][row.project_id] = frozenset(row.roles)
    return projects


def _project_from_row(row: AnyRow) -> Project:
    return Project(row.id, row.name, row.created_at)


def _key_from_row(row: AnyRow) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        name=row.name,
        scope=Scope(rooms=tuple(row.rooms), types=tuple(row.types)),
        user_id=row.user_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def _entry_from_row(row: AnyRow) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=row.at,
        actor_id=row.actor_id,
        sender=row.sender,
        action=row.action,
        target=row.target,
        details=row.details,
    )
