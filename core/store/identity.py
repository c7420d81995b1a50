"""Identity on SQL."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from sqlalchemy import Connection, select
from sqlalchemy.sql.elements import ColumnElement

from core.domain.membership import Interval, RoomChanges, Standing
from core.domain.principals import ApiKey, Scope, User
from core.store import tables
from core.store.database import Database
from core.store.dialects import among
from core.store.membership import changes_since, intervals
from core.store.rows import AnyRow

Projects = dict[str, frozenset[str]]


class SqlIdentity:
    """`core.ports.identity.Identity` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def user(self, user_id: str) -> User | None:
        return await self._database.read(partial(user_where, where=tables.user.c.id == user_id))

    async def user_by_name(self, username: str) -> User | None:
        return await self._database.read(partial(user_where, where=tables.user.c.username == username))

    async def key(self, key_hash: str) -> ApiKey | None:
        return await self._database.read(partial(_key, key_hash=key_hash))

    async def is_revoked(self, ids: Iterable[str]) -> bool:
        return bool(await self._database.read(partial(_revoked, ids=tuple(ids))))

    async def intervals(self, user_id: str, rooms: Iterable[str]) -> tuple[Interval, ...]:
        return await self._database.read(partial(intervals, user_id=user_id, rooms=tuple(rooms)))

    async def standing(self, user_id: str, credentials: Iterable[str]) -> Standing:
        work = partial(_standing, user_id=user_id, credentials=tuple(credentials))
        return await self._database.read(work, snapshot=True)

    async def changes_since(self, known: Mapping[str, int]) -> dict[str, RoomChanges]:
        return await self._database.read(partial(changes_since, known=known)) if known else {}


def user_where(connection: Connection, where: ColumnElement[bool], *, lock: bool = False) -> User | None:
    """A person with their roles and projects; with `lock`, nobody else changes them until the transaction ends."""
    found = select(tables.user).where(where)
    row = connection.execute(found.with_for_update() if lock else found).one_or_none()
    if row is None:
        return None
    member = tables.project_member.c
    projects = connection.execute(select(member.project_id, member.roles).where(member.user_id == row.id))
    return user_from_row(row, {project.project_id: frozenset(project.roles) for project in projects})


def users_by_id(connection: Connection, ids: Iterable[str]) -> dict[str, User]:
    """The people that there are, with their roles and projects, in two statements however many they are."""
    wanted = sorted(set(ids))
    rows = connection.execute(select(tables.user).where(among(connection, tables.user.c.id, wanted))).all()
    member = tables.project_member
    projects: dict[str, Projects] = {row.id: {} for row in rows}
    for row in connection.execute(select(member).where(among(connection, member.c.user_id, wanted))):
        projects.setdefault(row.user_id, {})[row.project_id] = frozenset(row.roles)
    return {row.id: user_from_row(row, projects[row.id]) for row in rows}


def user_from_row(row: AnyRow, projects: Projects) -> User:
    """A person from the columns of `tables.user`, with their projects."""
    return User(
        id=row.id,
        username=row.username,
        name=row.name,
        roles=frozenset(row.roles),
        projects=projects,
        locale=row.locale,
        disabled=row.disabled_at is not None,
        password_hash=row.password_hash,
        generation=row.generation,
        created_at=row.created_at,
        issuer=row.issuer,
        claims_at=row.claims_at,
        logged_out_at=row.logged_out_at,
    )


def _key(connection: Connection, key_hash: str) -> ApiKey | None:
    key = tables.api_key.c
    row = connection.execute(select(tables.api_key).where(key.key_hash == key_hash)).one_or_none()
    if row is None:
        return None
    scope = Scope(rooms=tuple(row.rooms), types=tuple(row.types))
    return ApiKey(
        id=row.id,
        name=row.name,
        key_hash=row.key_hash,
        scope=scope,
        user_id=row.user_id,
        expires_at=row.expires_at,
        revoked=row.revoked_at is not None,
    )


def _revoked(connection: Connection, ids: Sequence[str]) -> frozenset[str]:
    """Which of these tokens, logins and keys are over by somebody's doing."""
    token, key = tables.revoked_token.c, tables.api_key.c
    tokens = connection.execute(select(token.id).where(token.id.in_(ids))).scalars()
    keys = connection.execute(select(key.id).where(key.id.in_(ids), key.revoked_at.is_not(None))).scalars()
    return frozenset((*tokens, *keys))


def _standing(connection: Connection, user_id: str, credentials: Sequence[str]) -> Standing:
    user = user_where(connection, tables.user.c.id == user_id)
    if user is None or user.disabled:
        return Standing(None, (), frozenset(credentials))
    return Standing(user, intervals(connection, user_id, user.rooms), _revoked(connection, credentials))
