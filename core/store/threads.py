"""Threads: for each room, the newest entry of each, and whether it is open."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, update

from core.domain.notifications import Draft, Kind, Posting
from core.store import tables
from core.store.dialects import insert


def thread_row(draft: Draft, posting: Posting) -> dict[str, Any]:
    settles = draft.kind is Kind.SETTLE or (draft.notification is not None and draft.notification.settles)
    return {
        "room": posting.room,
        "thread": posting.thread,
        "last_offset": posting.offset if draft.kind is Kind.NOTIFICATION else 0,
        "open": not settles,
    }


def save_threads(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """A notification is its thread's newest entry and opens or settles it; a settle only closes it."""
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = row["room"], row["thread"]
        if row["last_offset"]:
            last[key] = row
        elif not row["open"]:
            last[key] = {**last.get(key, row), "open": False}
    statement = insert(connection, tables.room_thread)
    newest = statement.on_conflict_do_update(
        index_elements=["room", "thread"],
        set_={"last_offset": statement.excluded.last_offset, "open": statement.excluded.open},
    )
    if notifications := [row for row in last.values() if row["last_offset"]]:
        connection.execute(newest, notifications)
    thread = tables.room_thread.c
    for (room, name), row in last.items():
        if not row["last_offset"]:
            connection.execute(
                update(tables.room_thread)
                .where(thread.room == room, thread.thread == name)
                .values(open=False)
            )
