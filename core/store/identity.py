"""Identity on SQL."""

from collections.abc import Iterable, Sequence
from functools import partial

from sqlalchemy import Connection, exists, or_, select
from sqlalchemy.sql.elements import ColumnElement

from core.domain import clock
from core.domain.membership import Interval
from core.domain.principals import ApiKey, Scope, User
from core.store import tables
from core.store.database import Database
from core.store.dialects import among


class SqlIdentity:
    """`core.ports.identity.Identity` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def user(self, user_id: str) -> User | None:
        return await self._database.read(partial(_user, where=tables.user.c.id == user_id))

    async def user_by_name(self, username: str) -> User | None:
        return await self._database.read(partial(_user, where=tables.user.c.username == username))

    async def key(self, key_hash: str) -> ApiKey | None:
        return await self._database.read(partial(_key, key_hash=key_hash))

    async def is_revoked(self, ids: Iterable[str]) -> bool:
        return await self._database.read(partial(_is_revoked, ids=tuple(ids)))

    async def intervals(self, user_id: str, rooms: Iterable[str]) -> tuple[Interval, ...]:
        return await self._database.read(partial(intervals, user_id=user_id, rooms=tuple(rooms)))


def _user(connection: Connection, where: ColumnElement[bool]) -> User | None:
    row = connection.execute(select(tables.user).where(where)).one_or_none()
    if row is None:
        return None
    member = tables.project_member.c
    projects = connection.execute(select(member.project_id, member.roles).where(member.user_id == row.id))
    return User(
        id=row.id,
        username=row.username,
        name=row.name,
        roles=frozenset(row.roles),
        projects={project.project_id: frozenset(project.roles) for project in projects},
        locale=row.locale,
        disabled=row.disabled_at is not None,
        password_hash=row.password_hash,
    )


def _key(connection: Connection, key_hash: str) -> ApiKey | None:
    key = tables.api_key.c
    row = connection.execute(
        select(tables.api_key)
        .where(key.key_hash == key_hash, key.revoked_at.is_(None))
        .where(or_(key.expires_at.is_(None), key.expires_at > clock.now()))
    ).one_or_none()
    if row is None:
        return None
    scope = Scope(rooms=tuple(row.rooms), types=tuple(row.types))
    return ApiKey(id=row.id, name=row.name, key_hash=row.key_hash, scope=scope, user_id=row.user_id)


def _is_revoked(connection: Connection, ids: Sequence[str]) -> bool:
    token = tables.revoked_token.c
    return bool(connection.execute(select(exists(select(token.id).where(token.id.in_(ids))))).scalar_one())


def intervals(connection: Connection, user_id: str, rooms: Sequence[str]) -> tuple[Interval, ...]:
    """The person's membership of these rooms, closed intervals included."""
    membership = tables.membership.c
    rows = connection.execute(
        select(membership.room, membership.since, membership.until)
        .where(membership.user_id == user_id, among(connection, membership.room, rooms))
        .order_by(membership.room, membership.since)
    )
    return tuple(Interval(row.room, row.since, row.until) for row in rows)
