"""Which rows an inbox has: selects over the postings of one room, with conditions over all places of a row.

A single notification stands wherever it was sent. A thread stands once in each room, at its newest entry there, and its
row is the newest of those. A row needs the person while one of its open places is not read, and is archived when all
of its places are.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    FromClause,
    Integer,
    Select,
    String,
    Subquery,
    Table,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.sql.elements import ColumnElement

from core.domain.inbox import Receipt
from core.domain.notifications import Kind
from core.store import tables
from core.store.dialects import RUNS, among_named, listed, rows_table
from core.store.due import NOW, has_receipt, is_due, is_shown

_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c
_place = tables.posting.alias("place")
_of_place = tables.notification.alias("of_place")
_standing = tables.room_thread.alias("standing")
_USER_ID = bindparam("user_id", type_=String)
_WITHOUT_THREAD = {True: _posting.thread.is_(None), False: func.coalesce(_posting.thread, "") == ""}
"""In long runs by the index of just these; in short ones not, for PostgreSQL would rather read all that index than a run."""
SEPARATOR = ","
ESCAPE = "/"
MAX_SHAPES = 128


@dataclass(frozen=True, slots=True)
class Shape:
    """What makes another statement: of what is in `by`, only whether it is asked; whether rows are only counted, in any
    order; whether the runs are long.
    """

    todo: bool | None
    unread: bool | None
    archived: bool | None
    by: frozenset[str]
    before: bool
    counted: bool
    long: bool

    @property
    def is_walked(self) -> bool:
        """Whether the newest of a run come in the order of an index. Of one thread, all are read."""
        return self.long and "thread" not in self.by

    @property
    def is_open_only(self) -> bool:
        """Whether of threads only open ones can pass."""
        return bool(self.todo or self.unread)


@lru_cache(maxsize=MAX_SHAPES)
def rows_in_runs(dialect: str, shape: Shape) -> Select[Any]:
    """Of each run of offsets, the newest rows of each kind; built once, since that takes longer than to run it, and kept
    while it is asked for: there are a thousand shapes, of 230 KB each.
    """
    run = rows_table(dialect, "run", RUNS)
    return select(*(listed(dialect, kind, run) for kind in _Rows(dialect, shape).kinds(run))).select_from(run)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows that one person's inbox has over some of their rooms, and that pass a filter."""

    dialect: str
    shape: Shape

    def kinds(self, run: FromClause) -> tuple[Select[Any], ...]:
        """The id and type of what stands in the run: single notifications and threads, once asked for a thread all its
        notifications.
        """
        if "thread" in self.shape.by:
            entry = self._entries(run, tables.posting, _posting.thread == bindparam("thread", type_=String))
            unread = and_(self._sent(entry, lacks=Receipt.READ), self._stands(entry, _standing.c.open))
            return (self._newest(entry, run, *self._waits(entry), *self._filters(entry, self._sent, unread)),)
        few = self.shape.is_open_only or not self.shape.long
        threads = self._threads_anywhere(run) if few else self._threads(run)
        if self.shape.todo:
            return (threads,)
        single = self._entries(run, tables.posting, _WITHOUT_THREAD[self.shape.long])
        unread = self._sent(single, lacks=Receipt.READ)
        return self._newest(single, run, *self._filters(single, self._sent, unread)), threads

    def _threads(self, run: FromClause) -> Select[Any]:
        """Each where its row is. They are found by where they stand: of a million entries of a few threads, all but the
        newest are old.
        """
        entry = self._entries(run, tables.room_thread)
        newer_elsewhere = self._stands(entry, _standing.c.notification_id > entry.c.notification_id)
        unread = self._stands(entry, _standing.c.open, lacks=Receipt.READ)
        filters = self._filters(entry, self._stands, unread)
        return self._newest(entry, run, ~newer_elsewhere, *self._waits(entry), *filters)

    def _threads_anywhere(self, run: FromClause) -> Select[Any]:
        """Threads that stand in the run, wherever their row is: those of a short run, or those that are open, which are few
        beside those that once were.
        """
        newest = self._standing(tables.room_thread, func.max(_standing.c.notification_id)).scalar_subquery()
        is_open = _thread.open if self.shape.is_open_only else _thread.open.in_((true(), false()))
        here = (
            select(
                _thread.room, _thread.last_offset, _thread.thread, newest.label(_thread.notification_id.key)
            )
            .where(_thread.room == run.c.room, is_open)
            .where(_thread.last_offset.between(run.c.first, run.c.last))
        )
        standing = here.correlate(run).offset(0).subquery("standing_here")
        entry = self._shown(standing, standing.c.last_offset).offset(0).subquery("entry")
        unread = self._stands(entry, _standing.c.open, lacks=Receipt.READ)
        filters = self._filters(entry, self._stands, unread)
        has_row = entry.c.notification_id.is_not(None)
        return self._newest(entry, None, has_row, *self._waits(entry), *filters)

    def _entries(self, run: FromClause, table: Table, *conditions: ColumnElement[bool]) -> Subquery:
        """What is posted, or the threads that stand in the room of the run, if it is shown.

        A long run is walked in the order of an index, newest first, and its bounds are asked of each row: neither database
        knows how long a run is, and both would sort all of it. Of a short one they do. The offset of nothing keeps
        PostgreSQL from planning this together with what is asked of each row, which it expects to be true of almost none.
        """
        is_posted = table is tables.posting
        offset = table.c.offset if is_posted else table.c.last_offset
        found = self._shown(table, offset).where(table.c.room == run.c.room, *conditions)
        if is_posted:
            found = found.where(_posting.kind == Kind.NOTIFICATION.value)
        if self.shape.is_walked:
            found = found.order_by(table.c.notification_id.desc())
        else:
            found = found.where(offset.between(run.c.first, run.c.last))
        return found.correlate(run).offset(0).subquery("entry")

    def _shown(self, table: FromClause, offset: ColumnElement[int]) -> Select[Any]:
        notification_id = table.c.notification_id
        older = [notification_id < bindparam("before", type_=String)] if self.shape.before else []
        entry = (table.c.room, offset.label("offset"), table.c.thread, notification_id, _notification.type)
        content = (tables.notification, _notification.id == notification_id)
        # A subquery left of an outer join is read by SQLite row by row, as far as it is asked to.
        found = select(*entry).join_from(table, *content, isouter=isinstance(table, Subquery))
        return found.where(is_shown(now=NOW), *self._says(), *older)

    def _says(self) -> list[ColumnElement[bool]]:
        """What the filter asks of the notification itself."""
        conditions: list[ColumnElement[bool]] = []
        if "type" in self.shape.by:
            conditions.append(_notification.type == bindparam("type", type_=String))
        if "level" in self.shape.by:
            conditions.append(_notification.level == bindparam("level", type_=String))
        if "q" in self.shape.by:
            text = bindparam("q", type_=String)
            texts = (_notification.title, _notification.content)
            conditions.append(or_(*(one.icontains(text, escape=ESCAPE) for one in texts)))
        return conditions

    def _newest(
        self, entry: Subquery, run: FromClause | None, *conditions: ColumnElement[bool]
    ) -> Select[Any]:
        """So many entries as are asked for, as texts of id and type, for which the conditions hold one by one.

        Those of a long run are in order: to ask for it again would make PostgreSQL read them all.
        """
        newest = select(entry.c.notification_id + SEPARATOR + entry.c.type)
        if run is not None and self.shape.is_walked:
            conditions = (entry.c.offset.between(run.c.first, run.c.last), *conditions)
        elif not self.shape.counted:
            newest = newest.order_by(entry.c.notification_id.desc())
        one_by_one = (case((condition, true()), else_=false()) for condition in conditions)
        return newest.where(*one_by_one).limit(bindparam("limit", type_=Integer))

    def _waits(self, entry: Subquery) -> list[ColumnElement[bool]]:
        if self.shape.todo is None:
            return []
        is_open = self._stands(entry, _standing.c.open)
        return [is_open if self.shape.todo else ~is_open]

    def _filters(
        self, entry: Subquery, places: Any, unread: ColumnElement[bool]
    ) -> list[ColumnElement[bool]]:
        conditions = []
        if self.shape.unread is not None:
            conditions.append(unread if self.shape.unread else ~unread)
        if self.shape.archived is not None:
            unarchived = places(entry, lacks=Receipt.ARCHIVED)
            archived_here = has_receipt(_USER_ID, Receipt.ARCHIVED, entry)
            conditions += [archived_here, ~unarchived] if self.shape.archived else [unarchived]
        return conditions

    def _is_mine(self, room: ColumnElement[str]) -> ColumnElement[bool]:
        return among_named(self.dialect, room, "rooms")

    def _sent(self, entry: Subquery, *, lacks: Receipt) -> ColumnElement[bool]:
        """Whether the notification was sent to a place that lacks the receipt."""
        return exists(
            select(_place.c.offset)
            .where(_place.c.notification_id == entry.c.notification_id)
            .where(_place.c.kind == Kind.NOTIFICATION.value)
            .where(self._is_mine(_place.c.room), is_due(_USER_ID, _place))
            .where(~has_receipt(_USER_ID, lacks, _place))
            .correlate(entry)
        )

    def _stands(
        self, entry: Subquery, *conditions: ColumnElement[bool], lacks: Receipt | None = None
    ) -> ColumnElement[bool]:
        """Whether the thread stands at a place for which all of this holds, and that lacks the receipt."""
        lacking = [] if lacks is None else [~has_receipt(_USER_ID, lacks, _place)]
        return exists(self._standing(entry, _place.c.offset).where(*conditions, *lacking))

    def _standing(self, entry: FromClause, what: ColumnElement[Any]) -> Select[Any]:
        """Of each place where the entry's thread stands for the person to see, `what`."""
        at_newest = and_(_place.c.room == _standing.c.room, _place.c.offset == _standing.c.last_offset)
        return (
            select(what)
            .select_from(_standing)
            .join(_place, at_newest)
            .join(_of_place, _of_place.c.id == _place.c.notification_id)
            .where(_standing.c.thread == entry.c.thread, is_shown(_of_place, NOW))
            .where(self._is_mine(_standing.c.room), is_due(_USER_ID, _place))
            .correlate(entry)
        )
