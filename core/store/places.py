"""Which rows an inbox has: selects over the postings of one room, with conditions over all places of a row.

A single notification stands wherever it was sent. A thread stands once in each room, at its newest entry there, and its
row is the newest of those. A row needs the person while one of its open places is not read, and is archived when all
of its places are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, or_, select
from sqlalchemy.sql.elements import ColumnElement

from core.domain.inbox import InboxFilter, Receipt
from core.domain.notifications import Kind
from core.domain.runs import Runs
from core.store import tables
from core.store.dialects import among
from core.store.due import has_receipt, is_due, is_shown, lies_in

_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c
_place = tables.posting.alias("place")
_of_place = tables.notification.alias("of_place")
_standing = tables.room_thread.alias("standing")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one person's inbox over some of their rooms."""

    connection: Connection
    user_id: str
    rooms: Sequence[str]

    def wanted(self, room: str, due: Runs, wanted: InboxFilter) -> tuple[Select[Any], ...]:
        """The rows that stand in the room and pass the filter, once asked for a thread all its notifications."""
        found = entries(room, lies_in(_posting.offset, due)).where(*_says(wanted))
        if wanted.thread is not None:
            history = found.where(_posting.thread == wanted.thread)
            history = history.where(*self._waits(wanted))
            return (history.where(*self._filters(wanted, self._sent, self._unread_entry())),)
        living = self._living(found).where(*self._waits(wanted))
        threads = living.where(*self._filters(wanted, self._stands, self._unread_thread()))
        if wanted.todo:
            return (threads,)
        unread = self._sent(self._lacks(Receipt.READ))
        singles = found.where(_posting.thread.is_(None), *self._filters(wanted, self._sent, unread))
        return singles, threads

    def _living(self, found: Select[Any]) -> Select[Any]:
        newest_here = and_(
            _thread.room == _posting.room,
            _thread.thread == _posting.thread,
            _thread.last_offset == _posting.offset,
        )
        newer_elsewhere = self._stands(_place.c.notification_id > _posting.notification_id)
        return found.join(tables.room_thread, newest_here).where(
            _posting.thread.is_not(None), ~newer_elsewhere
        )

    def _waits(self, wanted: InboxFilter) -> list[ColumnElement[bool]]:
        if wanted.todo is None:
            return []
        is_open = self._stands(_standing.c.open)
        return [is_open if wanted.todo else ~is_open]

    def _filters(self, wanted: InboxFilter, places: Any, unread: ColumnElement[bool]) -> list[Any]:
        conditions = []
        if wanted.unread is not None:
            conditions.append(unread if wanted.unread else ~unread)
        if wanted.archived is not None:
            unarchived = places(self._lacks(Receipt.ARCHIVED))
            conditions += [*self._archived_here(), ~unarchived] if wanted.archived else [unarchived]
        return conditions

    def _unread_thread(self) -> ColumnElement[bool]:
        return self._stands(_standing.c.open, self._lacks(Receipt.READ))

    def _unread_entry(self) -> ColumnElement[bool]:
        """Of a thread's history: nothing of it needs the person once the thread is settled."""
        return and_(self._sent(self._lacks(Receipt.READ)), self._stands(_standing.c.open))

    def _archived_here(self) -> list[ColumnElement[bool]]:
        """What is archived everywhere is so here: quickly asked, and where nothing is archived nothing is looked at."""
        receipt = tables.receipt.c
        anything = select(receipt.first).where(
            receipt.user_id == self.user_id, receipt.receipt == Receipt.ARCHIVED.value
        )
        here = anything.where(among(self.connection, receipt.room, self.rooms)).limit(1)
        return [exists(here.correlate(None)), has_receipt(self.user_id, Receipt.ARCHIVED)]

    def _lacks(self, receipt: Receipt) -> ColumnElement[bool]:
        return ~has_receipt(self.user_id, receipt, _place)

    def _sent(self, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        """Whether the notification was sent to a place for which all of this holds."""
        return exists(
            select(_place.c.offset)
            .where(_place.c.notification_id == _posting.notification_id)
            .where(_place.c.kind == Kind.NOTIFICATION.value)
            .where(among(self.connection, _place.c.room, self.rooms), is_due(self.user_id, _place))
            .where(*conditions)
            .correlate(tables.posting)
        )

    def _stands(self, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        """Whether the thread stands at a place for which all of this holds."""
        at_newest = and_(_place.c.room == _standing.c.room, _place.c.offset == _standing.c.last_offset)
        return exists(
            select(_place.c.offset)
            .select_from(_standing)
            .join(_place, at_newest)
            .join(_of_place, _of_place.c.id == _place.c.notification_id)
            .where(_standing.c.thread == _posting.thread, is_shown(_of_place))
            .where(among(self.connection, _standing.c.room, self.rooms), is_due(self.user_id, _place))
            .where(*conditions)
            .correlate(tables.posting)
        )


def entries(room: Any, due: ColumnElement[bool], now: Any = None) -> Select[Any]:
    """The notifications of one room that are due and shown."""
    return (
        select(
            _posting.room, _posting.offset, _posting.notification_id, _notification.type, _notification.urgent
        )
        .join(tables.notification, _notification.id == _posting.notification_id)
        .where(_posting.room == room, due)
        .where(_posting.kind == Kind.NOTIFICATION.value, is_shown(now=now))
    )


def _says(wanted: InboxFilter) -> list[ColumnElement[bool]]:
    """What the filter asks of the notification itself."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.type is not None:
        conditions.append(_notification.type == wanted.type)
    if wanted.level is not None:
        conditions.append(_notification.level == wanted.level.value)
    if wanted.q is not None:
        conditions.append(
            or_(
                _notification.title.icontains(wanted.q, autoescape=True),
                _notification.content.icontains(wanted.q, autoescape=True),
            )
        )
    return conditions
