"""The newest rows of an inbox, and how many there are."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import chain, groupby
from typing import Any

from sqlalchemy import Connection, Select, select

from core.domain import clock, runs
from core.domain.inbox import InboxFilter, Receipt
from core.domain.runs import Runs
from core.store import tables
from core.store.dialects import RUNS, among_named, read_list, rows_values, run_rows, texts_value
from core.store.places import ESCAPE, SEPARATOR, Shape, rows_in_runs
from core.store.reading import Reading
from core.store.whole import rows_of


def newest_rows(
    connection: Connection,
    user_id: str,
    reading: Reading,
    wanted: InboxFilter,
    limit: int,
    before: str | None = None,
) -> dict[str, str]:
    """The types of the newest rows that pass the filter and whose notification is older than `before`, by notification,
    newest first: at least so many, if there are. The reading tells of the receipts that `receipts_for` names.
    """
    found = _found(connection, user_id, reading, wanted, limit, before=before)
    return dict(sorted(found, reverse=True))


def count_rows(
    connection: Connection, user_id: str, reading: Reading, wanted: InboxFilter, limit: int
) -> int:
    """How many rows pass the filter, counted up to a limit."""
    found = _found(connection, user_id, reading, wanted, limit, counted=True)
    return min(len(dict(found)), limit)


def _found(
    connection: Connection,
    user_id: str,
    reading: Reading,
    wanted: InboxFilter,
    limit: int,
    *,
    before: str | None = None,
    counted: bool = False,
) -> Iterator[tuple[str, str]]:
    """The notification and its type, of rows at every place that they are found by."""
    dialect = connection.dialect.name
    values: dict[str, Any] = {
        "user_id": user_id,
        "rooms": texts_value(dialect, reading.due),
        "now": clock.now(),
        "limit": limit,
        "before": before,
        "thread": wanted.thread,
        "type": wanted.type,
        "level": wanted.level,
        "q": None if wanted.q is None else _escaped(wanted.q),
    }
    where = run_rows(_where_to_look(connection, reading, wanted))
    for long, some in groupby(sorted(where, key=_is_long), _is_long):
        shape = Shape(
            todo=wanted.todo,
            unread=wanted.unread,
            archived=wanted.archived,
            by=frozenset(name for name in _ASKED if getattr(wanted, name) is not None),
            before=before is not None,
            counted=counted,
            long=long,
        )
        asked = values | rows_values(dialect, "run", RUNS, some)
        for lists in rows_of(connection, rows_in_runs(dialect, shape), asked):
            for row in chain.from_iterable(map(read_list, lists)):
                notification_id, _, type_ = row.partition(SEPARATOR)
                yield notification_id, type_


_LONG = 1_000
"""Offsets of a run that is rather walked from its end than sorted."""


def _is_long(run: tuple[str, int, int]) -> bool:
    _, first, last = run
    return last - first >= _LONG


def receipts_for(wanted: InboxFilter) -> tuple[Receipt, ...]:
    """What has to be known of the person's reading to list these rows."""
    if wanted.unread:
        return (Receipt.READ,)
    return () if wanted.archived is None else (Receipt.ARCHIVED,)


def _where_to_look(connection: Connection, reading: Reading, wanted: InboxFilter) -> Mapping[str, Runs]:
    """The runs outside of which no such row has a place that it would be found by.

    What is unread lacks the receipt somewhere, and a thread is unread only where it is open; what is archived has the
    receipt everywhere. What is not archived lacks it somewhere, but its row may be elsewhere, and so may be
    what is open of it: long runs, which are walked by rows, have to be walked whole, and so has what is to do.
    """
    if wanted.unread:
        return _gaps(connection, reading, Receipt.READ)
    if wanted.archived:
        known = reading.gaps[Receipt.ARCHIVED].known
        return {room: runs.subtract(due, known.get(room, ())) for room, due in reading.due.items()}
    if wanted.archived is False and wanted.thread is None and not wanted.todo:
        gaps = _gaps(connection, reading, Receipt.ARCHIVED)
        if not any(map(_is_long, run_rows(gaps))):
            return gaps
    return reading.due


def _gaps(connection: Connection, reading: Reading, receipt: Receipt) -> dict[str, Runs]:
    """Where postings may lack the receipt, up to the heads."""
    gaps = reading.gaps[receipt]
    heads = _heads(connection, reading.due)
    return {
        room: runs.intersect((*gaps.known.get(room, ()), *gaps.below.get(room, ())), ((1, head),))
        for room, head in heads.items()
    }


def _heads(connection: Connection, rooms: Iterable[str]) -> dict[str, int]:
    values = {"rooms": texts_value(connection.dialect.name, rooms)}
    return dict(map(tuple, rows_of(connection, _heads_of(connection.dialect.name), values)))


@cache
def _heads_of(dialect: str) -> Select[Any]:
    room = tables.room.c
    return select(room.name, room.head).where(among_named(dialect, room.name, "rooms"))


_ASKED = ("thread", "type", "level", "q")


def _escaped(text: str) -> str:
    for special in (ESCAPE, "%", "_"):
        text = text.replace(special, ESCAPE + special)
    return text
