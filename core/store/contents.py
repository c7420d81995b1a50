"""Emptying contents: what is not to be shown any more is not kept either."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select, update

from core.domain.notifications import Kind
from core.store import tables
from core.store.dialects import among

_posting = tables.posting.c


def clear_contents(connection: Connection, notification_ids: Sequence[str]) -> None:
    """Make the content of the notifications empty, and what their updates said. The caller holds their rows: that
    covers their postings, which are only pruned by whoever holds the notification.
    """
    if not notification_ids:
        return
    connection.execute(
        update(tables.notification)
        .where(among(connection, tables.notification.c.id, notification_ids))
        .values(title="", content="", data={}, link=None)
    )
    updates = connection.execute(
        select(_posting.room, _posting.offset, _posting.amendment)
        .where(among(connection, _posting.notification_id, notification_ids))
        .where(_posting.kind == Kind.UPDATE.value)
    ).all()
    if updates:
        connection.execute(
            update(tables.posting)
            .where(_posting.room == bindparam("at_room"), _posting.offset == bindparam("at_offset"))
            .values(amendment=bindparam("emptied")),
            [
                {"at_room": row.room, "at_offset": row.offset, "emptied": {**row.amendment, "set": {}}}
                for row in updates
            ],
        )
