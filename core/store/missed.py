"""What a person missed: the notifications that became due above one position and up to another, were not seen, and are
news still: of a thread only the newest, and none of what others have settled meanwhile.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    func,
    select,
)

from core.domain import clock, runs
from core.domain.inbox import LATEST, MISSED_CAP, Missed, Receipt
from core.domain.notifications import Kind
from core.domain.positions import Position
from core.domain.runs import Runs
from core.store import tables
from core.store.dialects import joined
from core.store.due import NOW, has_receipt, is_shown, unions
from core.store.each import Each, Row
from core.store.items import items
from core.store.reading import Gaps
from core.store.whole import rows_of

_posting = tables.posting.c
_notification = tables.notification.c
_thread = tables.room_thread.c


def missed(
    connection: Connection,
    user_id: str,
    due: Mapping[str, Runs],
    unseen: Gaps,
    after: Position,
    through: Position,
) -> Missed:
    windows = {}
    for room, offsets in due.items():
        gaps = runs.union(unseen.known.get(room, ()), unseen.below.get(room, ()))
        between = ((after.get(room, 0) + 1, through.get(room, 0)),)
        if window := runs.intersect(runs.intersect(offsets, gaps), between):
            windows[room] = window
    found = _newest(connection, user_id, windows, ask_each=bool(unseen.below))
    newest = _newest_ids(found)
    counted = set(newest[:MISSED_CAP])
    by_type: Counter[str] = Counter()
    by_room: Counter[str] = Counter()
    urgent = 0
    left = set(counted)
    for some in found:
        by_room[some.room] += len(counted.intersection(some.ids))
        new = left.intersection(some.ids)
        left -= new
        by_type[some.type] += len(new)
        urgent += len(new) if some.urgent else 0
    return Missed(
        total=len(counted),
        capped=len(newest) > MISSED_CAP,
        by_type=+by_type,
        by_room=by_room,
        urgent=urgent,
        latest=items(connection, user_id, due, newest[:LATEST]),
    )


@dataclass(frozen=True, slots=True)
class _Some:
    """Notifications of one run of a room that are alike. Thousands of rows are ids for the most part, and come as one
    text.
    """

    room: str
    first: int
    type: str
    urgent: bool
    lowest: int
    ids: tuple[str, ...]


def _newest(
    connection: Connection, user_id: str, windows: Mapping[str, Runs], *, ask_each: bool
) -> list[_Some]:
    """The newest notifications of the windows: all there are, or more than are counted. With `ask_each`, some of the
    windows may have been seen already.

    Every room gives its share at first, and more only while what the others gave does not outweigh it.
    """
    found: list[_Some] = []
    limit = reach = min(MISSED_CAP + 1, 5 * MISSED_CAP // (4 * len(windows) or 1) + 1)
    while windows:
        asked = {room: _newest_runs(window, reach) for room, window in windows.items()}
        part = _newest_of_each(connection, user_id, asked, limit, ask_each=ask_each)
        found += part
        rest, complete_above = _rest(windows, asked, part, limit)
        if _has_more(_newest_ids(found), complete_above):
            break
        windows, reach = rest, reach * _FURTHER
    return found


def _newest_ids(found: Iterable[_Some]) -> list[str]:
    """Each id once, newest first. They come in runs that are nearly sorted, which sorting makes use of."""
    return sorted(dict.fromkeys(chain.from_iterable(some.ids for some in found)), reverse=True)


def _has_more(newest: Sequence[str], complete_above: str) -> bool:
    """Whether more than are counted lie where nothing is missing."""
    return len(newest) > MISSED_CAP and newest[MISSED_CAP] >= complete_above


_FURTHER = 4
"""How many times as far every further statement reaches into runs that are short: they may hold nothing."""
_NONE_ABOVE = "~"
"""Sorts after every id."""


def _newest_runs(window: Runs, offsets: int) -> Runs:
    """The last runs that together have so many offsets."""
    reached = 0
    for at in reversed(range(len(window))):
        reached += runs.count(window[at : at + 1])
        if reached >= offsets:
            return window[at:]
    return window


def _rest(
    windows: Mapping[str, Runs], asked: Mapping[str, Runs], part: Sequence[_Some], limit: int
) -> tuple[dict[str, Runs], str]:
    """What of the windows is still to be asked, and the id above which nothing is left there."""
    given: dict[str, dict[int, list[_Some]]] = {}
    for some in part:
        given.setdefault(some.room, {}).setdefault(some.first, []).append(some)
    rest, complete_above = {}, ""
    for room, window in windows.items():
        by_run = given.get(room, {})
        older = window[: -len(asked[room])]
        cut = [alike for alike in by_run.values() if sum(len(some.ids) for some in alike) == limit]
        left = [(alike[0].first, min(some.lowest for some in alike) - 1) for alike in cut]
        bounds = [min(min(some.ids) for some in alike) for alike in cut]
        if older:
            bounds.append(
                min((min(some.ids) for alike in by_run.values() for some in alike), default=_NONE_ABOVE)
            )
        if still := runs.union(older, left):
            rest[room] = still
            complete_above = max(complete_above, *bounds)
    return rest, complete_above


def _newest_of_each(
    connection: Connection, user_id: str, windows: Mapping[str, Runs], limit: int, *, ask_each: bool
) -> list[_Some]:
    found = []
    dialect = connection.dialect.name
    values: dict[str, Any] = {"now": clock.now(), "limit": limit}
    if ask_each:
        values["user_id"] = user_id
    every_run = ((room, *run) for room, window in windows.items() for run in window)
    for number, runs_ in _WINDOWS.batches(dialect, every_run):
        rows = rows_of(connection, _grouped(dialect, number, ask_each=ask_each), values | runs_)
        found += [
            _Some(row.room, row.first, row.type, row.urgent, row.lowest, tuple(row.ids.split(_COMMA)))
            for row in rows
        ]
    return found


_COMMA = ","
_WINDOWS = Each(room=String, first=BigInteger, last=BigInteger)


@lru_cache(maxsize=16)
def _grouped(dialect: str, number: int, *, ask_each: bool) -> Select[Any]:
    """Built once, since that takes longer than to run it; on SQLite there is one for each number, of up to 7 MB."""

    def newest(window: Row) -> Select[Any]:
        limit = bindparam("limit", type_=Integer)
        kinds = (window.part(kind.limit(limit)) for kind in _kinds_of_news(window, ask_each=ask_each))
        (every,) = unions(tuple(kinds))
        first = window["first"].label("first")
        return select(every, first).order_by(every.c.offset.desc()).limit(limit)

    found = _WINDOWS.found(dialect, number, newest)
    alike = (found.c.room, found.c.first, found.c.type, found.c.urgent)
    lowest = func.min(found.c.offset).label("lowest")
    ids = joined(dialect, found.c.notification_id, _COMMA).label("ids")
    return select(*alike, lowest, ids).group_by(*alike)


def _kinds_of_news(window: Row, *, ask_each: bool) -> tuple[Select[Any], ...]:
    """What has no thread, and the newest entries of threads that are open or were settled by that entry: whoever settles
    by a notification has news to tell. Each newest first, in the order of an index. With `ask_each`, without what was seen.

    Threads are found by where they stand: of a million entries of a few of them, all but the newest are old. That is also
    where it is asked whether they were seen: of a table that it takes for empty, PostgreSQL may find the thread last.
    """
    user_id = bindparam("user_id", type_=String)
    entry = (
        select(
            _posting.room, _posting.offset, _posting.notification_id, _notification.type, _notification.urgent
        )
        .join(tables.notification, _notification.id == _posting.notification_id)
        .where(_posting.room == window["room"], _posting.offset.between(window["first"], window["last"]))
        .where(_posting.kind == Kind.NOTIFICATION.value, is_shown(now=NOW))
    )
    # All of the first are NULL, which PostgreSQL does not take for one value when it looks for an index.
    single = entry.where(_posting.thread.is_(None)).order_by(_posting.thread.desc(), _posting.offset.desc())
    standing = (
        select(*entry.selected_columns)
        .select_from(tables.room_thread)
        .join(tables.posting, and_(_posting.room == _thread.room, _posting.offset == _thread.last_offset))
        .join(tables.notification, _notification.id == _posting.notification_id)
        .where(_thread.room == window["room"])
        .where(_thread.last_offset.between(window["first"], window["last"]))
        .where(_posting.kind == Kind.NOTIFICATION.value, is_shown(now=NOW))
        .order_by(_thread.last_offset.desc())
    )
    if ask_each:
        single = single.where(~has_receipt(user_id, Receipt.SEEN))
        standing = standing.where(
            ~has_receipt(user_id, Receipt.SEEN, tables.room_thread, _thread.last_offset)
        )
    return single, standing.where(_thread.open), standing.where(~_thread.open, _notification.settles)
