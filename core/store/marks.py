"""Receipts given and taken: the runs of offsets of one person in one room, rewritten where they are touched."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, FromClause, and_, delete, select
from sqlalchemy.sql.elements import ColumnElement

from core.domain import runs
from core.domain.inbox import Mark, Receipt
from core.domain.notifications import Kind
from core.domain.runs import Run, Runs
from core.store import tables
from core.store.dialects import RUNS, insert, rows_table, rows_values, run_rows
from core.store.done import Done

_posting = tables.posting.c


def mark(connection: Connection, change: Mark) -> Done:
    """Give or take receipts; the result is the inbox's new version.

    The version comes first: its row's lock lets one server at a time change a person's receipts, the first included.
    """
    statement = insert(connection, tables.inbox)
    raised = statement.on_conflict_do_update(
        index_elements=["user_id"], set_={"version": tables.inbox.c.version + 1}
    ).returning(tables.inbox.c.version)
    version = connection.execute(raised, {"user_id": change.user_id, "version": 1}).scalar_one()
    for room, marked in sorted(change.runs.items()):
        offsets = _widened(connection, room, marked) if change.given else marked
        for receipt in change.receipt.moved(given=change.given):
            _mark_room(connection, change, room, receipt, offsets)
    return Done(version)


def _widened(connection: Connection, room: str, offsets: Runs) -> Runs:
    """The runs with the updates, retractions and settlements that touch them: there is nothing to read in those, and what
    is read one by one becomes one run all the same, so that whoever counts what is unread has few gaps to look into.
    """
    dialect = connection.dialect.name
    run = rows_table(dialect, "run", RUNS)
    head = select(tables.room.c.head).where(tables.room.c.name == room).scalar_subquery()
    rows = connection.execute(
        select(
            run.c.first,
            run.c.last,
            _nearest(
                _posting.offset.between(run.c.first - _TOUCHING, run.c.first - 1), _posting.offset.desc(), run
            ),
            _nearest(_posting.offset.between(run.c.last + 1, run.c.last + _TOUCHING), _posting.offset, run),
            head,
        ),
        rows_values(dialect, "run", RUNS, run_rows({room: offsets})),
    )
    return runs.normalise(
        (
            min(first, max(1, first - _TOUCHING) if before is None else before + 1),
            max(last, min(head, last + _TOUCHING) if after is None else after - 1),
        )
        if head is not None and first <= head
        else (first, last)
        for first, last, before, after, head in rows
    )


def _nearest(where: ColumnElement[bool], order: ColumnElement[Any], run: FromClause) -> Any:
    """The offset of the first notification there."""
    return (
        select(_posting.offset)
        .where(_posting.room == run.c.room, _posting.kind == Kind.NOTIFICATION.value, where)
        .order_by(order)
        .limit(1)
        .correlate(run)
        .scalar_subquery()
    )


_TOUCHING = 100
"""How far to look for a notification on either side."""


def _mark_room(connection: Connection, change: Mark, room: str, receipt: Receipt, offsets: Runs) -> None:
    """Rewrite the runs that touch the offsets; a run's time is when it last grew."""
    for run in offsets:
        touches = _touches(change.user_id, room, receipt, run)
        touching = _runs(connection, touches)
        stored = tuple((row.first, row.last) for row in touching)
        wanted = runs.union(stored, (run,)) if change.given else runs.subtract(stored, (run,))
        if wanted == stored:
            continue
        connection.execute(delete(tables.receipt).where(touches))
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


def _touches(user_id: str, room: str, receipt: Receipt, run: Run) -> ColumnElement[bool]:
    """Whether a stored run overlaps this one or lies beside it. Not by their numbers: somebody who reads here and there
    has more of them than a statement takes.
    """
    table = tables.receipt.c
    return and_(
        table.user_id == user_id,
        table.room == room,
        table.receipt == receipt.value,
        table.first <= run[1] + 1,
        table.last >= run[0] - 1,
    )


def _runs(connection: Connection, touches: ColumnElement[bool]) -> Any:
    table = tables.receipt.c
    return connection.execute(
        select(table.first, table.last, table.at).where(touches).order_by(table.first).with_for_update()
    ).all()


def _time_of(times: Mapping[int, Any], first: int) -> Any:
    """The time of the stored run that the offset came from."""
    return times[max(start for start in times if start <= first)]
