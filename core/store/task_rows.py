"""Tasks as they come from the database."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, select

from core.domain.notifications import Actor
from core.domain.tasks import Task, TaskState
from core.store import tables
from core.store.dialects import rows_table, rows_values
from core.store.rows import AnyRow
from core.store.whole import rows_of

_task = tables.task.c
_user = tables.user.c
TASKS = select(tables.task, _user.name.label("assignee_name")).outerjoin(
    tables.user, _user.id == _task.assignee_id
)


def tasks_of(connection: Connection, statement: Select[Any]) -> list[Task]:
    return [task_from_row(row) for row in connection.execute(statement)]


def tasks_by_id(connection: Connection, ids: Sequence[int]) -> dict[int, Task]:
    """The tasks that there are, by id."""
    dialect = connection.dialect.name
    rows = rows_of(connection, _by_id(dialect), ids_values(dialect, ids)) if ids else ()
    return {row.id: task_from_row(row) for row in rows}


_ID = {"id": BigInteger}


def ids_values(dialect: str, ids: Sequence[int]) -> dict[str, Any]:
    return rows_values(dialect, "wanted", _ID, ((id_,) for id_ in ids))


def wanted_ids(dialect: str) -> Select[Any]:
    """The ids of `ids_values`, for statements that are built once."""
    return select(rows_table(dialect, "wanted", _ID).c.id)


@cache
def _by_id(dialect: str) -> Select[Any]:
    return TASKS.where(_task.id.in_(wanted_ids(dialect)))


def task_from_row(row: AnyRow) -> Task:
    return Task(
        id=row.id,
        project_id=row.project_id,
        title=row.title,
        key=row.key,
        link=row.link,
        state=TaskState(row.state),
        state_before_skip=state_of(row.state_before_skip),
        assignee=person_of(row.assignee_id, row.assignee_name),
        comment=row.comment,
        version=row.version,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def state_of(stored: str | None) -> TaskState | None:
    return None if stored is None else TaskState(stored)


def person_of(user_id: str | None, name: str | None) -> Actor | None:
    """Somebody of the tasks; whoever is not among our people any more is told by their id."""
    return None if user_id is None else Actor(user_id, name or user_id)
