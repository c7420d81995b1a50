"""The log for tests: opened on a database of the test's own, with short ways to say what is appended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from core.domain import clock, ids
from core.domain.notifications import Draft, Kind, Level, Notification
from core.ports.log import Appended, Unit
from core.store.database import Database, open_database
from core.store.log import SqlLog
from core.store.migrations import migrate


@asynccontextmanager
async def opened_log(url: str) -> AsyncIterator[tuple[SqlLog, Database]]:
    """A log on the migrated database, as one server process would have it."""
    database = open_database(url)
    await migrate(database)
    log = SqlLog(database)
    yield log, database
    await log.close()
    await database.close()


def notification(**changes: Any) -> Notification:
    values: dict[str, Any] = {
        "id": ids.new_id(),
        "type": "test",
        "level": Level.INFO,
        "urgent": False,
        "title": "a title",
        "content": "",
        "data": {},
        "link": None,
        "thread": None,
        "settles": False,
        "actor": None,
        "sender": "test",
        "created_at": clock.now(),
        "expires_at": None,
    }
    return Notification(**values | changes)


def draft(*rooms: str, key: str | None = None, body: str = "body", **content: Any) -> Draft:
    """A notification to the rooms; `body` stands for all that the idempotency key is checked against."""
    stored = notification(**content)
    return Draft(
        kind=Kind.NOTIFICATION,
        notification_id=stored.id,
        rooms=rooms,
        thread=stored.thread,
        created_at=stored.created_at,
        notification=stored,
        key=key,
        body_hash=body,
    )


async def append(log: SqlLog, *rooms: str, **options: Any) -> Appended:
    """Commit one notification; what became of it."""
    made = draft(*rooms, **options)
    sender = made.notification.sender if made.notification else "test"
    committed = await log.commit(Unit(sender, drafts=(made,)))
    return committed.appended[0]
