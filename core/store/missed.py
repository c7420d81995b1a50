"""What a person missed: the notifications that became due above one position and up to another, were not seen, and are
news still: of a thread only the newest, and none of what others have settled meanwhile.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, Select, String, bindparam, func, or_, select

from core.domain import clock, runs
from core.domain.inbox import LATEST, MISSED_CAP, Missed, Receipt
from core.domain.positions import Position
from core.domain.runs import Runs
from core.store import tables
from core.store.due import MAX_BRANCHES, NOW, due_by_room, has_receipt, unions
from core.store.items import items
from core.store.places import entries
from core.store.unread import gaps_between

_posting = tables.posting.c
_thread = tables.room_thread.c


def missed(
    connection: Connection, user_id: str, rooms: Sequence[str], after: Position, through: Position
) -> Missed:
    due = due_by_room(connection, user_id, rooms)
    windows = {
        room: window
        for room, offsets in due.items()
        if (window := runs.intersect(offsets, ((after.get(room, 0) + 1, through.get(room, 0)),)))
    }
    unseen, unknown = gaps_between(connection, user_id, windows, (Receipt.SEEN,))[Receipt.SEEN]
    if unknown:
        unseen = {room: runs.union(unseen.get(room, ()), unknown.get(room, ())) for room in windows}
    found = _newest(connection, user_id, unseen, ask_each=bool(unknown))
    said = {nid: (some.type, some.urgent) for some in found for nid in some.ids}
    counted = set(sorted(said, reverse=True)[:MISSED_CAP])
    by_room: Counter[str] = Counter()
    for some in found:
        by_room[some.room] += len(counted.intersection(some.ids))
    return Missed(
        total=len(counted),
        capped=len(said) > MISSED_CAP,
        by_type=Counter(said[nid][0] for nid in counted),
        by_room=by_room,
        urgent=sum(said[nid][1] for nid in counted),
        latest=items(connection, user_id, due, sorted(counted, reverse=True)[:LATEST]),
    )


@dataclass(frozen=True, slots=True)
class _Some:
    """Notifications of one room that are alike. Thousands of rows are ids for the most part, and come as one text."""

    room: str
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
    limit = min(MISSED_CAP + 1, 5 * MISSED_CAP // (4 * len(windows) or 1) + 1)
    while windows:
        part = _newest_of_each(connection, user_id, windows, limit, ask_each=ask_each)
        found += part
        rest = {}
        complete_above = ""
        for room, window in windows.items():
            here = [some for some in part if some.room == room]
            if sum(len(some.ids) for some in here) == limit:
                rest[room] = runs.intersect(window, ((1, min(some.lowest for some in here) - 1),))
                complete_above = max(complete_above, min(min(some.ids) for some in here))
        ids = {nid for some in found for nid in some.ids if nid >= complete_above}
        if len(ids) > MISSED_CAP:
            break
        windows = {room: window for room, window in rest.items() if window}
    return found


def _newest_of_each(
    connection: Connection, user_id: str, windows: Mapping[str, Runs], limit: int, *, ask_each: bool
) -> list[_Some]:
    found = []
    for start in range(0, len(windows), MAX_BRANCHES):
        part = list(windows.items())[start : start + MAX_BRANCHES]
        values: dict[str, Any] = {"now": clock.now(), "limit": limit}
        if ask_each:
            values["user_id"] = user_id
        for at, (room, window) in enumerate(part):
            values[f"room_{at}"] = room
            for run, (first, last) in enumerate(window):
                values |= {f"first_{at}_{run}": first, f"last_{at}_{run}": last}
        rows = connection.execute(
            _grouped(tuple(len(window) for _, window in part), ask_each=ask_each), values
        )
        found += [
            _Some(row.room, row.type, row.urgent, row.lowest, tuple(row.ids.split(","))) for row in rows
        ]
    return found


@lru_cache(maxsize=500)
def _grouped(lengths: tuple[int, ...], *, ask_each: bool) -> Select[Any]:
    """For windows of so many runs each; built once, since that takes longer than to run it."""
    # The newest of its thread, and not done by others: whoever settles by a notification has news to tell.
    still_news = (
        select(_thread.room)
        .where(_thread.room == _posting.room, _thread.thread == _posting.thread)
        .where(_thread.last_offset == _posting.offset, or_(_thread.open, tables.notification.c.settles))
        .correlate(tables.posting, tables.notification)
        .exists()
    )
    newest = []
    for at, length in enumerate(lengths):
        runs_ = (
            _posting.offset.between(
                bindparam(f"first_{at}_{run}", type_=BigInteger),
                bindparam(f"last_{at}_{run}", type_=BigInteger),
            )
            for run in range(length)
        )
        one = entries(bindparam(f"room_{at}", type_=String), or_(*runs_), NOW)
        one = one.where(or_(_posting.thread.is_(None), still_news))
        if ask_each:
            one = one.where(~has_receipt(bindparam("user_id", type_=String), Receipt.SEEN))
        newest.append(one.order_by(_posting.offset.desc()).limit(bindparam("limit", type_=Integer)))
    (found,) = unions(newest)
    alike = (found.c.room, found.c.type, found.c.urgent)
    lowest = func.min(found.c.offset).label("lowest")
    ids = func.aggregate_strings(found.c.notification_id, ",").label("ids")
    return select(*alike, lowest, ids).group_by(*alike)
