"""What a person missed: the notifications that became due above one position and up to another."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

from sqlalchemy import Connection

from core.domain import runs
from core.domain.inbox import LATEST, MISSED_CAP, Missed
from core.domain.positions import Position
from core.domain.runs import Runs
from core.store import tables
from core.store.due import due_by_room, merged, newest_first
from core.store.items import items
from core.store.places import entries
from core.store.rows import AnyRow

_posting = tables.posting.c


def missed(
    connection: Connection, user_id: str, rooms: Sequence[str], after: Position, through: Position
) -> Missed:
    due = due_by_room(connection, user_id, rooms)
    windows = {
        room: runs.intersect(offsets, ((after.get(room, 0) + 1, through.get(room, 0)),))
        for room, offsets in due.items()
    }
    found = _newest(connection, {room: window for room, window in windows.items() if window})
    first = {row.notification_id: row for row in found}
    counted = dict(islice(first.items(), MISSED_CAP))
    return Missed(
        total=len(counted),
        capped=len(first) > MISSED_CAP,
        by_type=Counter(row.type for row in counted.values()),
        by_room=Counter(row.room for row in found if row.notification_id in counted),
        urgent=sum(row.urgent for row in counted.values()),
        latest=items(connection, user_id, due, list(islice(first, LATEST))),
    )


def _newest(connection: Connection, windows: Mapping[str, Runs]) -> list[AnyRow]:
    """The rows of the newest notifications, newest first: of all there are, or of more than are counted.

    Every room gives its share at first, and more only while what the others gave does not outweigh it.
    """
    found: list[AnyRow] = []
    limit = min(MISSED_CAP + 1, 5 * MISSED_CAP // (4 * len(windows) or 1) + 1)
    while windows:
        part = merged(
            connection,
            [
                entries(room, window).order_by(_posting.offset.desc()).limit(limit)
                for room, window in windows.items()
            ],
        )
        found += part
        given = Counter(row.room for row in part)
        last = {row.room: row for row in part if given[row.room] == limit}
        windows = {room: runs.intersect(windows[room], ((1, row.offset - 1),)) for room, row in last.items()}
        complete_above = max((row.notification_id for row in last.values()), default="")
        if len({row.notification_id for row in found if row.notification_id >= complete_above}) > MISSED_CAP:
            break
    return newest_first(found)
