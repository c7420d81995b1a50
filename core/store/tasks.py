"""Tasks on SQL: lists, audit trails, and how much work waits."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, and_, func, literal, or_, select
from sqlalchemy.sql.elements import ColumnElement

from core.domain.pages import Page, page_of
from core.domain.principals import User
from core.domain.tasks import (
    Task,
    TaskEvent,
    TaskFilter,
    TaskState,
    WaitingWork,
    reviewed_projects,
)
from core.store import tables
from core.store.database import Database
from core.store.rows import AnyRow
from core.store.task_rows import TASKS, ids_values, person_of, state_of, tasks_by_id, tasks_of, wanted_ids
from core.store.waiting import is_one_statement, waiting_of_many
from core.store.whole import rows_of

_task = tables.task.c
_event = tables.task_event.c
_user = tables.user.c


class SqlTasks:
    """`core.ports.tasks.Tasks` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def task(self, task_id: int) -> Task | None:
        found = await self._database.read(partial(tasks_by_id, ids=(task_id,)))
        return found.get(task_id)

    async def page(self, wanted: TaskFilter, viewer: User, cursor: str | None, limit: int) -> Page[Task]:
        statement = TASKS.where(*_matching(wanted), *_visible_to(viewer)).order_by(_task.id)
        if cursor is not None:
            statement = statement.where(_task.id > literal(int(cursor), BigInteger))
        found = await self._database.browse(partial(tasks_of, statement=statement.limit(limit + 1)))
        return page_of(found, limit, lambda task: str(task.id))

    async def events(self, task_id: int, limit: int) -> Sequence[TaskEvent]:
        return await self._database.read(partial(events_of, task_id=task_id, limit=limit))

    async def waiting(self, user: User) -> WaitingWork:
        return await self._database.load(waiting_of_many, user, snapshot=not is_one_statement(user))


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


def tasks_of_request(connection: Connection, request_id: str) -> list[Task]:
    """The tasks that the request changed or made, if it was committed, as they are now."""
    asked = select(_event.task_id).where(_event.request_id == request_id)
    return tasks_of(connection, TASKS.where(_task.id.in_(asked)).order_by(_task.id))


def events_of(connection: Connection, task_id: int, limit: int) -> list[TaskEvent]:
    """The newest lines of a task's audit trail, newest first."""
    wanted = _events().where(_event.task_id == task_id).order_by(_event.id.desc()).limit(limit)
    return [_event_from_row(row) for row in connection.execute(wanted)]


def last_events(connection: Connection, ids: Sequence[int]) -> dict[int, TaskEvent]:
    """The newest line of each task's audit trail, by the task's id."""
    if not ids:
        return {}
    dialect = connection.dialect.name
    rows = rows_of(connection, _last_events(dialect), ids_values(dialect, ids))
    return {row.task_id: _event_from_row(row) for row in rows}


@cache
def _last_events(dialect: str) -> Select[Any]:
    of_task = _event.task_id.in_(wanted_ids(dialect))
    return _events().where(_event.id.in_(select(func.max(_event.id)).where(of_task).group_by(_event.task_id)))


@cache
def _events() -> Select[Any]:
    actor, given_to = tables.user.alias("actor"), tables.user.alias("given_to")
    return (
        select(tables.task_event, actor.c.name.label("actor_name"), given_to.c.name.label("assignee_name"))
        .outerjoin(actor, actor.c.id == _event.actor_id)
        .outerjoin(given_to, given_to.c.id == _event.assignee_id)
    )


def _event_from_row(row: AnyRow) -> TaskEvent:
    return TaskEvent(
        action=row.action,
        actor=person_of(row.actor_id, row.actor_name),
        state_before=state_of(row.state_before),
        state_after=TaskState(row.state_after),
        assignee=person_of(row.assignee_id, row.assignee_name),
        comment=row.comment,
        at=row.created_at,
    )
