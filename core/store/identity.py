"""Identity on SQL."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from sqlalchemy import CompoundSelect, Connection, Select, select, union_all
from sqlalchemy.sql.elements import ColumnElement

from core.domain.membership import Interval, RoomChanges, Standing
from core.domain.principals import ApiKey, Holder, Scope, User
from core.store import tables
from core.store.database import Database
from core.store.dialects import among_named, texts_value
from core.store.membership import changes_since, intervals, intervals_of_many
from core.store.rows import AnyRow
from core.store.whole import rows_of

Projects = dict[str, frozenset[str]]
Asked = tuple[str, tuple[str, ...]]
"""A person's id and those of credentials."""


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

    async def holder(self, user_id: str, credentials: Iterable[str]) -> Holder:
        return await self._database.load(_holders, (user_id, tuple(credentials)), snapshot=True, ahead=True)

    async def intervals(self, user_id: str, rooms: Iterable[str]) -> tuple[Interval, ...]:
        return await self._database.read(partial(intervals, user_id=user_id, rooms=tuple(rooms)))

    async def standing(self, user_id: str, credentials: Iterable[str]) -> Standing:
        return await self._database.load(_standings, (user_id, tuple(credentials)), snapshot=True)

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
    dialect = connection.dialect.name
    values = {"ids": texts_value(dialect, sorted(set(ids)))}
    rows = rows_of(connection, _users(dialect), values)
    projects: dict[str, Projects] = {row.id: {} for row in rows}
    for user_id, project_id, roles in rows_of(connection, _projects(dialect), values):
        projects.setdefault(user_id, {})[project_id] = frozenset(roles)
    return {row.id: user_from_row(row, projects[row.id]) for row in rows}


@cache
def _users(dialect: str) -> Select[Any]:
    """Built once, like what follows: every connect begins with them."""
    return select(tables.user).where(among_named(dialect, tables.user.c.id, "ids"))


@cache
def _projects(dialect: str) -> Select[Any]:
    member = tables.project_member.c
    return select(member.user_id, member.project_id, member.roles).where(
        among_named(dialect, member.user_id, "ids")
    )


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


def _holders(connection: Connection, asked: Sequence[Asked]) -> list[Holder]:
    people = users_by_id(connection, (user_id for user_id, _ in asked))
    ended = _revoked(connection, asked)
    return [Holder(people.get(user_id), ended.intersection(ids)) for user_id, ids in asked]


def _standings(connection: Connection, asked: Sequence[Asked]) -> list[Standing]:
    people = users_by_id(connection, (user_id for user_id, _ in asked))
    present = {user_id: user for user_id, user in people.items() if not user.disabled}
    due = intervals_of_many(connection, {user_id: user.rooms for user_id, user in present.items()})
    ended = _revoked(connection, asked)
    return [
        Standing(present[user_id], due[user_id], ended.intersection(ids))
        if user_id in present
        else Standing(None, (), frozenset(ids))
        for user_id, ids in asked
    ]


def _revoked(connection: Connection, asked: Sequence[Asked]) -> frozenset[str]:
    """Which of these tokens, logins and keys are over by somebody's doing."""
    dialect = connection.dialect.name
    values = {"ids": texts_value(dialect, {id_ for _, ids in asked for id_ in ids})}
    return frozenset(id_ for (id_,) in rows_of(connection, _over(dialect), values))


@cache
def _over(dialect: str) -> CompoundSelect[Any]:
    token, key = tables.revoked_token.c, tables.api_key.c
    return union_all(
        select(token.id).where(among_named(dialect, token.id, "ids")),
        select(key.id).where(among_named(dialect, key.id, "ids"), key.revoked_at.is_not(None)),
    )
