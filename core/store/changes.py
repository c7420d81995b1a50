"""What a unit's changes do to the tables, by kind of change. Each may refuse by raising a `DomainError`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, exists, select, update

from core.domain import clock, ids, runs
from core.domain.errors import Conflict, NotFound, Unauthenticated
from core.domain.identity import AddKey, AddProject, AddUser, RevokeToken
from core.domain.inbox import Mark, Receipt
from core.domain.rooms import rooms_of, user_room
from core.domain.runs import Run, Runs
from core.ports.log import Change
from core.store import tables
from core.store.upsert import insert


@dataclass(frozen=True, slots=True)
class Joins:
    """Memberships to open once the heads are locked; the person's own room is theirs from the beginning."""

    user_id: str
    own_room: str
    rooms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What a change came to: its result for the caller, and memberships that follow from it."""

    result: object = True
    joins: Joins | None = None


def _add_user(connection: Connection, change: AddUser) -> Done:
    if change.only_if_empty and connection.execute(select(exists(select(tables.user.c.id)))).scalar_one():
        raise Conflict("The database already has users.", code="users_exist")
    roles = {project: sorted(roles) for project, roles in change.projects.items()}
    number = _insert_user(connection, change)
    user_id = str(number)
    connection.execute(update(tables.user).where(tables.user.c.number == number).values(id=user_id))
    for project_id, in_project in roles.items():
        connection.execute(
            insert(connection, tables.project_member),
            {"project_id": project_id, "user_id": user_id, "roles": in_project},
        )
    return Done(user_id, Joins(user_id, user_room(user_id), rooms_of(user_id, change.roles, change.projects)))


def _insert_user(connection: Connection, change: AddUser) -> int:
    row = {
        "id": ids.new_id(),
        "username": change.username,
        "name": change.name,
        "password_hash": change.password_hash,
        "roles": sorted(change.roles),
        "locale": change.locale,
        "created_at": clock.now(),
    }
    statement = insert(connection, tables.user).on_conflict_do_nothing(index_elements=["username"])
    number = connection.execute(statement.returning(tables.user.c.number), row).scalar_one_or_none()
    if number is None:
        raise Conflict("This username is taken.", code="username_taken")
    return int(number)


def _add_project(connection: Connection, change: AddProject) -> Done:
    statement = insert(connection, tables.project).on_conflict_do_nothing().returning(tables.project.c.id)
    row = {"id": change.id, "name": change.name, "created_at": clock.now()}
    if connection.execute(statement, row).scalar_one_or_none() is None:
        raise Conflict("There is a project with this id.", code="project_exists")
    return Done()


def _add_key(connection: Connection, change: AddKey) -> Done:
    user = tables.user.c
    if (
        change.user_id is not None
        and not connection.execute(
            select(exists(select(user.id).where(user.id == change.user_id)))
        ).scalar_one()
    ):
        raise NotFound("There is no such user.", code="user_not_found")
    key_id = ids.new_id()
    connection.execute(
        insert(connection, tables.api_key),
        {
            "id": key_id,
            "name": change.name,
            "key_hash": change.key_hash,
            "rooms": list(change.scope.rooms),
            "types": list(change.scope.types),
            "user_id": change.user_id,
            "created_at": clock.now(),
        },
    )
    return Done(key_id)


def _revoke_token(connection: Connection, change: RevokeToken) -> Done:
    table = tables.revoked_token
    connection.execute(delete(table).where(table.c.expires_at < clock.now()))
    statement = insert(connection, table).on_conflict_do_nothing().returning(table.c.id)
    row = {"id": change.id, "expires_at": change.expires_at}
    if connection.execute(statement, row).scalar_one_or_none() is None and change.once:
        raise Unauthenticated("This token was used or revoked before.", code="token_revoked")
    return Done()


def _mark(connection: Connection, change: Mark) -> Done:
    """Give or take receipts; the result is the inbox's new version.

    The version comes first: its row's lock lets one server at a time change a person's receipts, the first included.
    """
    statement = insert(connection, tables.inbox)
    raised = statement.on_conflict_do_update(
        index_elements=["user_id"], set_={"version": tables.inbox.c.version + 1}
    ).returning(tables.inbox.c.version)
    version = connection.execute(raised, {"user_id": change.user_id, "version": 1}).scalar_one()
    for room, offsets in sorted(change.runs.items()):
        for receipt in change.receipt.implied if change.given else _undone(change.receipt):
            _mark_room(connection, change, room, receipt, offsets)
    return Done(version)


def _undone(receipt: Receipt) -> tuple[Receipt, ...]:
    """Taking a receipt takes those that include it: what is not seen is not read either."""
    return tuple(other for other in Receipt if receipt in other.implied)


def _mark_room(connection: Connection, change: Mark, room: str, receipt: Receipt, offsets: Runs) -> None:
    """Rewrite the few runs that touch the offsets; a run's time is when it last grew."""
    for run in offsets:
        touching = _touching(connection, change.user_id, room, receipt, run)
        stored = tuple((row.first, row.last) for row in touching)
        wanted = runs.union(stored, (run,)) if change.given else runs.subtract(stored, (run,))
        if wanted == stored:
            continue
        table = tables.receipt.c
        mine = (table.user_id == change.user_id, table.room == room, table.receipt == receipt.value)
        connection.execute(
            delete(tables.receipt).where(*mine, table.first.in_([first for first, _ in stored]))
        )
        times = {row.first: row.at for row in touching}
        if wanted:
            connection.execute(
                insert(connection, tables.receipt),
                [
                    {
                        "user_id": change.user_id,
                        "room": room,
                        "receipt": receipt.value,
                        "first": first,
                        "last": last,
                        "at": change.at if change.given else _time_of(times, first),
                    }
                    for first, last in wanted
                ],
            )


def _touching(connection: Connection, user_id: str, room: str, receipt: Receipt, run: Run) -> Any:
    table = tables.receipt.c
    return connection.execute(
        select(table.first, table.last, table.at)
        .where(table.user_id == user_id, table.room == room, table.receipt == receipt.value)
        .where(table.first <= run[1] + 1, table.last >= run[0] - 1)
        .order_by(table.first)
        .with_for_update()
    ).all()


def _time_of(times: Mapping[int, Any], first: int) -> Any:
    """The time of the stored run that the offset came from."""
    return times[max(start for start in times if start <= first)]


EXECUTORS: Mapping[type, Callable[[Connection, Any], Done]] = {
    AddUser: _add_user,
    AddProject: _add_project,
    AddKey: _add_key,
    RevokeToken: _revoke_token,
    Mark: _mark,
}


def lock_order(change: Change) -> tuple[str, str]:
    """By what changes are sorted, so that two servers take the rows behind them in one order."""
    match change:
        case AddUser(username=name) | AddKey(name=name):
            return type(change).__name__, name
        case AddProject(id=name) | RevokeToken(id=name) | Mark(user_id=name):
            return type(change).__name__, name
