"""What a person missed: the notifications that became due above one position and up to another."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from sqlalchemy import Connection

from core.domain import runs
from core.domain.inbox import LATEST, MISSED_CAP, Missed
from core.domain.positions import Position
from core.store import tables
from core.store.due import due_by_room, merged
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
    found = merged(
        connection,
        [
            entries(room, window).order_by(_posting.offset.desc()).limit(MISSED_CAP + 1)
            for room, window in windows.items()
            if window
        ],
    )
    first: dict[str, AnyRow] = {}
    for row in found:
        first.setdefault(row.notification_id, row)
    counted = dict(islice(first.items(), MISSED_CAP))
    return Missed(
        total=len(counted),
        capped=len(first) > MISSED_CAP,
        by_type=Counter(row.type for row in counted.values()),
        by_room=Counter(row.room for row in found if row.notification_id in counted),
        urgent=sum(row.urgent for row in counted.values()),
        latest=items(connection, user_id, due, list(islice(first, LATEST))),
    )
