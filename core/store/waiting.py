"""How much work waits for people: each one's own, and what is to be reviewed, which many share."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from itertools import product
from typing import Any

from sqlalchemy import Connection, FromClause, Integer, Select, String, bindparam, func, literal, select
from sqlalchemy.sql.elements import ColumnElement

from core.domain.principals import User
from core.domain.tasks import OWN_WORK, REVIEW_WORK, Task, TaskState, WaitingWork, reviewed_projects
from core.store import tables
from core.store.dialects import among_named, rows_table, rows_values, texts_value
from core.store.task_rows import TASKS, task_from_row
from core.store.whole import rows_of

_task = tables.task.c


@dataclass(frozen=True, slots=True)
class _Some:
    """Tasks of one project in one state: how many, since when the oldest of them is there, and that one, if it was read
    with their number.
    """

    project_id: str
    state: TaskState
    number: int
    since: datetime
    oldest: Task | None = None


@dataclass(frozen=True, slots=True)
class _Work:
    """What waits for one person."""

    user_id: str
    own: Sequence[_Some]
    review: Sequence[_Some]

    @property
    def first(self) -> _Some | None:
        """Where the task is that has waited longest."""
        return min((*self.own, *self.review), key=lambda some: some.since, default=None)

    @property
    def unread(self) -> "_Place | None":
        """Where that is, if the task itself is still to be read."""
        first = self.first
        if first is None or first.oldest is not None:
            return None
        return self.user_id, first.state.value, first.project_id

    def told(self, oldest: Mapping["_Place | None", Task]) -> WaitingWork:
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
            oldest=self.first.oldest or oldest.get(self.unread) if self.first else None,
        )


_Place = tuple[str, str, str]
"""Whose, the state and the project."""


def is_one_statement(user: User) -> bool:
    """Whether what waits for the person is read in one statement, which needs no snapshot of more."""
    return reviewed_projects(user) == ()


def waiting_of_many(connection: Connection, users: Sequence[User]) -> list[WaitingWork]:
    in_review = _in_review(connection, users)
    review = [[some for some in in_review if _reviews(user, some)] for user in users]
    own = [[*product([user.id], OWN_WORK, user.projects)] for user in users]
    asked = {place for places in own for place in places}
    for user, others in zip(users, review, strict=True):
        asked.update((user.id, some.state, some.project_id) for some in others)
    assigned = _assigned(connection, asked)
    works = [
        _Work(
            user.id,
            [assigned[place] for place in places if place in assigned],
            _of_others(connection, user.id, others, assigned),
        )
        for user, places, others in zip(users, own, review, strict=True)
    ]
    oldest = _oldest_of_others(connection, {place for work in works if (place := work.unread) is not None})
    return [work.told(oldest) for work in works]


def _assigned(
    connection: Connection, places: Collection[tuple[str, TaskState, str]]
) -> dict[tuple[str, TaskState, str], _Some]:
    """What there is of each person, in this state, in this project."""
    dialect = connection.dialect.name
    every = list(places)
    values = rows_values(dialect, "place", _PLACE, ((at, *place) for at, place in enumerate(every)))
    rows = rows_of(connection, _assigned_at(dialect), values) if every else ()
    found = {}
    for row in rows:
        _, state, project_id = every[row.at]
        oldest = task_from_row(row)
        found[every[row.at]] = _Some(project_id, state, row.number, oldest.changed_at, oldest)
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


def _reviews(user: User, some: _Some) -> bool:
    projects = reviewed_projects(user)
    return projects is None or some.project_id in projects


def _of_others(
    connection: Connection,
    user_id: str,
    in_review: Iterable[_Some],
    assigned: Mapping[tuple[str, TaskState, str], _Some],
) -> list[_Some]:
    """What of this is not the person's own work, which they do not review."""
    found = []
    for some in in_review:
        mine = assigned.get((user_id, some.state, some.project_id))
        if mine is None:
            found.append(some)
        elif mine.number < some.number:
            since = some.since
            if mine.since == since:
                since = _since_of_others(connection, user_id, some)
            found.append(replace(some, number=some.number - mine.number, since=since))
    return found


def _since_of_others(connection: Connection, user_id: str, some: _Some) -> datetime:
    values = {"user_id": user_id, "state": some.state.value, "project_id": some.project_id}
    since: datetime = connection.execute(_OF_OTHERS_THERE, values).scalar_one()
    return since


def _oldest_of_others(connection: Connection, places: Collection[_Place]) -> dict[_Place | None, Task]:
    """A task at each place, not the person's own, that has waited longest."""
    if not places:
        return {}
    dialect = connection.dialect.name
    every = list(places)
    values = rows_values(dialect, "place", _PLACE, ((at, *place) for at, place in enumerate(every)))
    return {every[row.at]: task_from_row(row) for row in rows_of(connection, _others_at(dialect), values)}


_SAID = (_task.project_id, _task.state)
_NUMBER = func.count()
_SINCE = func.min(_task.changed_at, type_=tables.UtcDateTime())


@cache
def _assigned_at(dialect: str) -> Select[Any]:
    """Place by place, as they lie in the index; built once, like what follows, since that takes longer than to run it."""
    place = rows_table(dialect, "place", _PLACE)
    there = (_task.assignee_id == place.c.user_id, *_is_at(place))
    number = select(_NUMBER).where(*there).correlate(place).scalar_subquery()
    return _oldest_at(place, there).add_columns(number.label("number"))


@cache
def _to_review(dialect: str, *, everywhere: bool) -> Select[Any]:
    waits = _task.state.in_([literal(state.value) for state in REVIEW_WORK])
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
def _others_at(dialect: str) -> Select[Any]:
    place = rows_table(dialect, "place", _PLACE)
    return _oldest_at(place, (_task.assignee_id != place.c.user_id, *_is_at(place)))


def _oldest_at(place: FromClause, there: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """The task that has waited longest at each place where there is one."""
    oldest = select(_task.id).where(*there).order_by(_task.changed_at).limit(1).correlate(place)
    tasks = TASKS.subquery()
    at_place = place.join(tasks, tasks.c.id == oldest.scalar_subquery())
    return select(place.c.at, tasks).select_from(at_place)


def _is_at(place: FromClause) -> tuple[ColumnElement[bool], ...]:
    return _task.state == place.c.state, _task.project_id == place.c.project_id
