"""People and projects: made, changed, adopted from outside. Memberships follow from what people are."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, exists, select, update

from core.domain import clock, ids
from core.domain.errors import Conflict, NotFound
from core.domain.identity import AddProject, AddUser, AdoptUser, Audit, ChangeUser, SetMember
from core.domain.principals import User
from core.domain.rooms import rooms_of, user_room
from core.store import tables
from core.store.dialects import insert
from core.store.done import Done, Moves
from core.store.identity import user_where

_user = tables.user.c
_member = tables.project_member.c


def add_user(connection: Connection, change: AddUser) -> Done:
    if change.only_if_empty and connection.execute(select(exists(select(_user.id)))).scalar_one():
        raise Conflict("The database already has users.", code="users_exist")
    number = _insert_user(connection, change)
    user_id = str(number)
    connection.execute(update(tables.user).where(_user.number == number).values(id=user_id))
    for project_id, roles in change.projects.items():
        _save_member(connection, project_id, user_id, roles)
    rooms = rooms_of(user_id, change.roles, change.projects)
    return Done(user_id, Moves(user_id=user_id, own_room=user_room(user_id), joined=rooms))


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
    number = connection.execute(statement.returning(_user.number), row).scalar_one_or_none()
    if number is None:
        raise Conflict("This username is taken.", code="username_taken")
    return int(number)


def change_user(connection: Connection, change: ChangeUser) -> Done:
    before = _locked_user(connection, change.user_id)
    if before is None:
        raise NotFound("There is no such user.", code="user_not_found")
    values: dict[str, Any] = {
        name: value
        for name in ("name", "locale", "password_hash")
        if (value := getattr(change, name)) is not None
    }
    if change.roles is not None:
        values["roles"] = sorted(change.roles)
    if change.disabled is not None and change.disabled != before.disabled:
        values["disabled_at"] = clock.now() if change.disabled else None
    if change.end_logins or change.disabled or change.password_hash is not None:
        values |= {"generation": _user.generation + 1, "logged_out_at": clock.now()}
    if values:
        connection.execute(update(tables.user).where(_user.id == change.user_id).values(values))
    after = before if change.roles is None else replace(before, roles=change.roles)
    touched = before.rooms if change.disabled else ()
    return Done(moves=_moves(before, after, touched))


def adopt_user(connection: Connection, change: AdoptUser) -> Done:
    row = {
        "id": change.user_id,
        "username": change.username,
        "name": change.name,
        "password_hash": "",
        "roles": [],
        "locale": "zh-CN",
        "created_at": clock.now(),
        "issuer": change.issuer,
    }
    statement = insert(connection, tables.user).on_conflict_do_nothing().returning(_user.id)
    is_new = connection.execute(statement, row).scalar_one_or_none() is not None
    before = _locked_user(connection, change.user_id)
    if before is None:
        raise Conflict("This username is taken.", code="username_taken")
    if before.claims_at is not None and before.claims_at >= change.claims_at:
        return Done(result=False)
    values = {"name": change.name, "roles": sorted(change.roles), "claims_at": change.claims_at}
    connection.execute(update(tables.user).where(_user.id == change.user_id).values(values))
    for project_id in sorted(change.projects):
        _insert_project(connection, project_id, project_id)
    for project_id in before.projects.keys() - change.projects.keys():
        _delete_member(connection, project_id, change.user_id)
    for project_id, roles in sorted(change.projects.items()):
        if before.projects.get(project_id) != roles:
            _save_member(connection, project_id, change.user_id, roles)
    after = replace(before, roles=change.roles, projects=change.projects)
    if is_new:
        return Done(moves=Moves(user_id=after.id, own_room=user_room(after.id), joined=after.rooms))
    return Done(moves=_moves(before, after))


def add_project(connection: Connection, change: AddProject) -> Done:
    if not _insert_project(connection, change.id, change.name):
        raise Conflict("There is a project with this id.", code="project_exists")
    return Done()


def set_member(connection: Connection, change: SetMember) -> Done:
    before = _locked_user(connection, change.user_id)
    project = tables.project.c
    if not connection.execute(
        select(exists(select(project.id).where(project.id == change.project_id)))
    ).scalar_one():
        raise NotFound("There is no such project.", code="project_not_found")
    if before is None:
        raise NotFound("There is no such user.", code="user_not_found")
    projects = dict(before.projects)
    if change.roles is None:
        if projects.pop(change.project_id, None) is None:
            raise NotFound("They are not a member of this project.", code="not_a_member")
        _delete_member(connection, change.project_id, change.user_id)
    else:
        projects[change.project_id] = change.roles
        _save_member(connection, change.project_id, change.user_id, change.roles)
    return Done(moves=_moves(before, replace(before, projects=projects)))


def write_audit(connection: Connection, change: Audit) -> Done:
    row = {
        "at": change.at,
        "actor_id": change.actor_id,
        "sender": change.sender,
        "action": change.action,
        "target": change.target,
        "details": dict(change.details),
    }
    connection.execute(insert(connection, tables.audit), row)
    return Done()


def _moves(before: User, after: User, touched: tuple[str, ...] = ()) -> Moves:
    was, now = frozenset(before.rooms), frozenset(after.rooms)
    return Moves(
        user_id=before.id,
        own_room=user_room(before.id),
        joined=tuple(sorted(now - was)),
        left=tuple(sorted(was - now)),
        touched=touched,
    )


def _locked_user(connection: Connection, user_id: str) -> User | None:
    """The person, locked until the commit: changes of one person happen one after the other."""
    return user_where(connection, _user.id == user_id, lock=True)


def _insert_project(connection: Connection, project_id: str, name: str) -> bool:
    statement = insert(connection, tables.project).on_conflict_do_nothing().returning(tables.project.c.id)
    row = {"id": project_id, "name": name, "created_at": clock.now()}
    return connection.execute(statement, row).scalar_one_or_none() is not None


def _save_member(connection: Connection, project_id: str, user_id: str, roles: frozenset[str]) -> None:
    statement = insert(connection, tables.project_member)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["project_id", "user_id"], set_={"roles": statement.excluded.roles}
        ),
        {"project_id": project_id, "user_id": user_id, "roles": sorted(roles)},
    )


def _delete_member(connection: Connection, project_id: str, user_id: str) -> None:
    connection.execute(
        delete(tables.project_member).where(_member.project_id == project_id, _member.user_id == user_id)
    )
