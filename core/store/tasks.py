"""Tasks on SQL."""

from collections.abc import Iterable, Mapping
from functools import partial

from sqlalchemy import Connection, and_, false, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from core.domain.tasks import OWN_WORK, REVIEW_WORK
from core.store import tables
from core.store.database import Database


class SqlTasks:
    """`core.ports.inbox.Tasks` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(
        self, user_id: str, *, own: bool, review_projects: Iterable[str] | None
    ) -> Mapping[str, int]:
        projects = None if review_projects is None else tuple(review_projects)
        work = partial(_waiting, user_id=user_id, own=own, review_projects=projects)
        return await self._database.read(work)


def _waiting(
    connection: Connection, user_id: str, *, own: bool, review_projects: tuple[str, ...] | None
) -> dict[str, int]:
    task = tables.task.c
    mine = and_(task.assignee_id == user_id, task.state.in_([state.value for state in OWN_WORK]))
    in_review: ColumnElement[bool] = task.state.in_([state.value for state in REVIEW_WORK])
    if review_projects is not None:
        in_review = and_(in_review, task.project_id.in_(review_projects))
    rows = connection.execute(
        select(task.state, func.count().label("number"))
        .where(or_(mine if own else false(), in_review))
        .group_by(task.state)
    )
    return {row.state: row.number for row in rows}
