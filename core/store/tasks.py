"""Tasks on SQL: lists, audit trails, and how much work waits."""

from collections.abc import Iterable, Sequence
from functools import cache, partial
from itertools import product
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, String, and_, bindparam, func, literal, or_, select
from sqlalchemy.sql.elements import ColumnElement

from core.domain.notifications import Actor
from core.domain.pages import Page, page_of
from core.domain.principals import User
from core.domain.tasks import (
    OWN_WORK,
    REVIEW_WORK,
    Task,
    TaskEvent,
    TaskFilter,
    TaskState,
    WaitingWork,
    reviewed_projects,
)
from core.store import tables
from core.store.database import Database
from core.store.each import Each, Row
from core.store.rows import AnyRow

_task = tables.task.c
_event = tables.task_event.c
_user = tables.user.c
_TASKS = select(tables.task, _user.name.label("assignee_name")).outerjoin(
    tables.user, _user.id == _task.assignee_id
)


class SqlTasks:
    """`core.ports.tasks.Tasks` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def task(self, task_id: int) -> Task | None:
        found = await self._database.read(partial(tasks_by_id, ids=(task_id,)))
        return found.get(task_id)

    async def page(self, wanted: TaskFilter, viewer: User, cursor: str | None, limit: int) -> Page[Task]:
        statement = _TASKS.where(*_matching(wanted), *_visible_to(viewer)).order_by(_task.id)
        if cursor is not None:
            statement = statement.where(_task.id > literal(int(cursor), BigInteger))
        found = await self._database.read(partial(_tasks, statement=statement.limit(limit + 1)))
        return page_of(found, limit, lambda task: str(task.id))

    async def events(self, task_id: int, limit: int) -> Sequence[TaskEvent]:
        return await self._database.read(partial(events_of, task_id=task_id, limit=limit))

    async def waiting(self, user: User) -> WaitingWork:
        return await self._database.read(partial(_waiting, user=user), snapshot=True)


def _visible_to(viewer: User) -> tuple[ColumnElement[bool], ...]:
    """`core.domain.tasks.may_see`, as conditions."""
    reviewed = reviewed_projects(viewer)
    if reviewed is None:
        return ()
    own = and_(_task.assignee_id == viewer.id, _task.project_id.in_(tuple(viewer.projects)))
    return (or_(own, _task.project_id.in_(reviewed)) if reviewed else own,)


def _matching(wanted: TaskFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.project_id is not None:
        conditions.append(_task.project_id == wanted.project_id)
    if wanted.state is not None:
        conditions.append(_task.state == wanted.state.value)
    if wanted.assignee_id is not None:
        conditions.append(_task.assignee_id == wanted.assignee_id)
    if wanted.key is not None:
        conditions.append(_task.key == wanted.key)
    if wanted.q is not None:
        conditions.append(_task.title.icontains(wanted.q, autoescape=True))
    return conditions


def _tasks(connection: Connection, statement: Select[Any]) -> list[Task]:
    return [_task_from_row(row) for row in connection.execute(statement)]


def tasks_by_id(connection: Connection, ids: Sequence[int]) -> dict[int, Task]:
    """The tasks that there are, by id."""
    return {task.id: task for task in _tasks(connection, _TASKS.where(_task.id.in_(ids)))}


def tasks_of_request(connection: Connection, request_id: str) -> list[Task]:
    """The tasks that the request changed or made, if it was committed, as they are now."""
    asked = select(_event.task_id).where(_event.request_id == request_id)
    return _tasks(connection, _TASKS.where(_task.id.in_(asked)).order_by(_task.id))


def events_of(connection: Connection, task_id: int, limit: int) -> list[TaskEvent]:
    """The newest lines of a task's audit trail, newest first."""
    wanted = _events().where(_event.task_id == task_id).order_by(_event.id.desc()).limit(limit)
    return [_event_from_row(row) for row in connection.execute(wanted)]


def last_events(connection: Connection, ids: Sequence[int]) -> dict[int, TaskEvent]:
    """The newest line of each task's audit trail, by the task's id."""
    if not ids:
        return {}
    newest = select(func.max(_event.id)).where(_event.task_id.in_(ids)).group_by(_event.task_id)
    rows = connection.execute(_events().where(_event.id.in_(newest)))
    return {row.task_id: _event_from_row(row) for row in rows}


def _events() -> Select[Any]:
    actor, given_to = tables.user.alias("actor"), tables.user.alias("given_to")
    return (
        select(tables.task_event, actor.c.name.label("actor_name"), given_to.c.name.label("assignee_name"))
        .outerjoin(actor, actor.c.id == _event.actor_id)
        .outerjoin(given_to, given_to.c.id == _event.assignee_id)
    )


def _waiting(connection: Connection, user: User) -> WaitingWork:
    own = _counted(connection, user, OWN_WORK, user.projects, own=True)
    reviewed = reviewed_projects(user)
    review = [] if reviewed == () else _counted(connection, user, REVIEW_WORK, reviewed, own=False)
    oldest = min((*own, *review), key=lambda row: row.since, default=None)
    return WaitingWork(
        own={state: sum(row.number for row in own if row.state == state) for state in OWN_WORK},
        review={
            project: {
                state: sum(row.number for row in review if (row.project_id, row.state) == (project, state))
                for state in REVIEW_WORK
            }
            for project in sorted({row.project_id for row in review})
        },
        oldest=None if oldest is None else _oldest(connection, user, oldest, own=oldest in own),
    )


def _counted(
    connection: Connection,
    user: User,
    states: Iterable[TaskState],
    projects: Iterable[str] | None,
    *,
    own: bool,
) -> list[AnyRow]:
    """How many tasks there are by project (None: every one) and state, and since when the oldest of them is there."""
    dialect = connection.dialect.name
    values = [state.value for state in states]
    parts = (
        _STATES.batches(dialect, ((state,) for state in values))
        if projects is None
        else _PLACES.batches(dialect, product(values, projects))
    )
    found: list[AnyRow] = []
    for number, rows in parts:
        statement = _counting(dialect, number, own=own, everywhere=projects is None)
        found += connection.execute(statement, {"user_id": user.id, **rows})
    return [row for row in found if row.number]


_STATES = Each(state=String)
_PLACES = Each(state=String, project=String)


@cache
def _counting(dialect: str, number: int, *, own: bool, everywhere: bool) -> Select[Any]:
    """Place by place, as they lie in the indices; built once, since that takes longer than to run it."""

    def counted(row: Row) -> Select[Any]:
        project = _task.project_id if everywhere else row["project"]
        said = [
            project.label("project_id"),
            row["state"].label("state"),
            func.count().label("number"),
            func.min(_task.changed_at, type_=tables.UtcDateTime()).label("since"),
        ]
        some = select(*said).where(_whose(own=own), _task.state == row["state"])
        return some.group_by(project) if everywhere else some.where(_task.project_id == project)

    return select((_STATES if everywhere else _PLACES).found(dialect, number, counted))


def _oldest(connection: Connection, user: User, found: AnyRow, *, own: bool) -> Task | None:
    values = {
        "user_id": user.id,
        "state": found.state,
        "project_id": found.project_id,
        "since": found.since,
    }
    return next((_task_from_row(row) for row in connection.execute(_oldest_there(own=own), values)), None)


@cache
def _oldest_there(*, own: bool) -> Select[Any]:
    return (
        _TASKS.where(_whose(own=own), _task.state == bindparam("state", type_=String))
        .where(_task.project_id == bindparam("project_id", type_=String))
        .where(_task.changed_at == bindparam("since", type_=tables.UtcDateTime()))
        .order_by(_task.id)
        .limit(1)
    )


def _whose(*, own: bool) -> ColumnElement[bool]:
    """The person's own tasks, or those of others: nobody reviews their own work."""
    user_id = bindparam("user_id", type_=String)
    return _task.assignee_id == user_id if own else _task.assignee_id != user_id


def _task_from_row(row: AnyRow) -> Task:
    return Task(
        id=row.id,
        project_id=row.project_id,
        title=row.title,
        key=row.key,
        link=row.link,
        state=TaskState(row.state),
        state_before_skip=_state(row.state_before_skip),
        assignee=_person(row.assignee_id, row.assignee_name),
        comment=row.comment,
        version=row.version,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def _event_from_row(row: AnyRow) -> TaskEvent:
    return TaskEvent(
        action=row.action,
        actor=_person(row.actor_id, row.actor_name),
        state_before=_state(row.state_before),
        state_after=TaskState(row.state_after),
        assignee=_person(row.assignee_id, row.assignee_name),
        comment=row.comment,
        at=row.created_at,
    )


def _state(stored: str | None) -> TaskState | None:
    return None if stored is None else TaskState(stored)


def _person(user_id: str | None, name: str | None) -> Actor | None:
    """Somebody of the tasks; whoever is not among our people any more is told by their id."""
    return None if user_id is None else Actor(user_id, name or user_id)
