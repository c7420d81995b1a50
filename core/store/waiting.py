"""How much work waits for people: each one's own, and what is to be reviewed, which many share."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, Select, String, bindparam, func, select

from core.domain.principals import User
from core.domain.tasks import OWN_WORK, REVIEW_WORK, Task, TaskState, WaitingWork, reviewed_projects
from core.store import tables
from core.store.dialects import among_named, rows_table, rows_values, texts_value
from core.store.task_rows import tasks_by_id
from core.store.whole import rows_of

_task = tables.task.c


@dataclass(frozen=True, slots=True)
class _Some:
    """Tasks of one project in one state: how many, and since when the oldest of them is there."""

    project_id: str
    state: TaskState
    number: int
    since: datetime


@dataclass(frozen=True, slots=True)
class _Work:
    """What waits for one person."""

    user_id: str
    own: Sequence[_Some]
    review: Sequence[_Some]

    @property
    def oldest(self) -> "_Place | None":
        found = min((*self.own, *self.review), key=lambda some: some.since, default=None)
        if found is None:
            return None
        return found in self.own, self.user_id, found.state.value, found.project_id

    def told(self, oldest: Task | None) -> WaitingWork:
        return WaitingWork(
            own={state: sum(some.number for some in self.own if some.state is state) for state in OWN_WORK},
            review={
                project: {
                    state: sum(
                        some.number
                        for some in self.review
                        if some.project_id == project and some.state is state
                    )
                    for state in REVIEW_WORK
                }
                for project in sorted({some.project_id for some in self.review})
            },
            oldest=oldest,
        )


_Place = tuple[bool, str, str, str]
"""Whether it is their own, whose, the state and the project."""


def waiting_of_many(connection: Connection, users: Sequence[User]) -> list[WaitingWork]:
    assigned = _assigned(connection, users)
    in_review = _in_review(connection, users)
    works = [
        _Work(
            user.id,
            [
                some
                for some in assigned.get(user.id, ())
                if some.state in OWN_WORK and some.project_id in user.projects
            ],
            _of_others(connection, user, in_review, assigned.get(user.id, ())),
        )
        for user in users
    ]
    oldest = _oldest(connection, {place for work in works if (place := work.oldest) is not None})
    return [work.told(oldest.get(work.oldest)) for work in works]


def _assigned(connection: Connection, users: Sequence[User]) -> dict[str, list[_Some]]:
    """What is assigned to each and is waiting for anybody."""
    dialect = connection.dialect.name
    values = {"ids": texts_value(dialect, {user.id for user in users})}
    found: dict[str, list[_Some]] = {}
    for user_id, project_id, state, number, since in rows_of(connection, _assigned_to(dialect), values):
        found.setdefault(user_id, []).append(_Some(project_id, TaskState(state), number, since))
    return found


def _in_review(connection: Connection, users: Sequence[User]) -> list[_Some]:
    """What is to be reviewed wherever any of them reviews, whoever it is of."""
    reviewed = [reviewed_projects(user) for user in users]
    if not any(projects is None or projects for projects in reviewed):
        return []
    everywhere = None in reviewed
    projects = {project for some in reviewed for project in some or ()}
    dialect = connection.dialect.name
    values = {} if everywhere else {"projects": texts_value(dialect, projects)}
    rows = rows_of(connection, _to_review(dialect, everywhere=everywhere), values)
    return [_Some(project_id, TaskState(state), *rest) for project_id, state, *rest in rows]


def _of_others(
    connection: Connection, user: User, in_review: Iterable[_Some], assigned: Iterable[_Some]
) -> list[_Some]:
    """What is to be reviewed by one of them: nobody reviews their own work."""
    projects = reviewed_projects(user)
    own = {(some.project_id, some.state): some for some in assigned}
    found = []
    for some in in_review:
        if projects is not None and some.project_id not in projects:
            continue
        mine = own.get((some.project_id, some.state))
        if mine is None:
            found.append(some)
        elif mine.number < some.number:
            since = some.since
            if mine.since == since:
                since = _since_of_others(connection, user.id, some)
            found.append(replace(some, number=some.number - mine.number, since=since))
    return found


def _since_of_others(connection: Connection, user_id: str, some: _Some) -> datetime:
    values = {"user_id": user_id, "state": some.state.value, "project_id": some.project_id}
    since: datetime = connection.execute(_OF_OTHERS_THERE, values).scalar_one()
    return since


def _oldest(connection: Connection, places: Collection[_Place]) -> dict[_Place | None, Task]:
    """The task at each place that has waited longest."""
    ids: dict[_Place, int] = {}
    dialect = connection.dialect.name
    for own in (True, False):
        some = [place for place in places if place[0] is own]
        if some:
            rows = ((at, *place[1:]) for at, place in enumerate(some))
            found = connection.execute(
                _oldest_there(dialect, own=own), rows_values(dialect, "place", _PLACE, rows)
            )
            ids |= {some[at]: task_id for at, task_id in found}
    tasks = tasks_by_id(connection, tuple(ids.values())) if ids else {}
    return {place: tasks[task_id] for place, task_id in ids.items() if task_id in tasks}


_SAID = (_task.project_id, _task.state)
_NUMBER = func.count()
_SINCE = func.min(_task.changed_at, type_=tables.UtcDateTime())


@cache
def _assigned_to(dialect: str) -> Select[Any]:
    """Built once, like what follows, since that takes longer than to run it."""
    waits = _task.state.in_([state.value for state in (*OWN_WORK, *REVIEW_WORK)])
    return (
        select(_task.assignee_id, *_SAID, _NUMBER, _SINCE)
        .where(among_named(dialect, _task.assignee_id, "ids"), waits)
        .group_by(_task.assignee_id, *_SAID)
    )


@cache
def _to_review(dialect: str, *, everywhere: bool) -> Select[Any]:
    waits = _task.state.in_([state.value for state in REVIEW_WORK])
    there = () if everywhere else (among_named(dialect, _task.project_id, "projects"),)
    return (
        select(*_SAID, _NUMBER, _SINCE).where(waits, _task.assignee_id.is_not(None), *there).group_by(*_SAID)
    )


_OF_OTHERS_THERE = select(_SINCE).where(
    _task.assignee_id != bindparam("user_id", type_=String),
    _task.state == bindparam("state", type_=String),
    _task.project_id == bindparam("project_id", type_=String),
)

_PLACE = {"at": Integer, "user_id": String, "state": String, "project_id": String}


@cache
def _oldest_there(dialect: str, *, own: bool) -> Select[Any]:
    place = rows_table(dialect, "place", _PLACE)
    whose = _task.assignee_id == place.c.user_id if own else _task.assignee_id != place.c.user_id
    oldest = (
        select(_task.id)
        .where(whose, _task.state == place.c.state, _task.project_id == place.c.project_id)
        .order_by(_task.changed_at, _task.id)
        .limit(1)
        .correlate(place)
    )
    return select(place.c.at, oldest.scalar_subquery())
