"""Filling a log with SQL in bulk: what the appender would have written, in a fraction of its time."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection, text

from core.store.database import Database

_PART = 50_000
"""Rows a statement: each has to end within the time that a statement has."""

SERIES = """
    WITH RECURSIVE series(n) AS (
        SELECT CAST(:first AS bigint) UNION ALL SELECT n + 1 FROM series WHERE n < CAST(:last AS bigint)
    )
"""
ID = "'01ARZ3NDEK' || CAST(1000000000000000 + n AS text)"
AT = "'2020-01-01 00:00:00.000000'"
NOTIFICATIONS = f"""
    INSERT INTO notification
        (id, type, level, urgent, title, content, data, settles, sender, body_hash, idempotency_key, created_at)
    {SERIES}
    SELECT {ID}, 'task.submitted', 'info', false, 'A task awaits review', '{"x" * 100}', '{{}}', false,
        'user:4', '{"0" * 64}', {ID}, {AT}
    FROM series
"""  # noqa: S608 - of constants
POSTINGS = f"""
    INSERT INTO posting (room, "offset", kind, notification_id, members, created_at)
    {SERIES}
    SELECT CAST(:room AS text), n, 'notification', {ID}, 0, {AT} FROM series
"""  # noqa: S608 - of constants
HEAD = """
    INSERT INTO room (name, head) VALUES (:room, :last) ON CONFLICT (name) DO UPDATE SET head = excluded.head
"""


async def fill(database: Database, number: int, /, *statements: str, **values: Any) -> None:
    """Run the statements for 1 … `number`, part by part; each takes those of the values that it names."""
    for first in range(1, number + 1, _PART):
        run = {"first": first, "last": min(first + _PART - 1, number), **values}
        await database.write(partial(_run, statements=statements, values=run))


def _run(connection: Connection, statements: tuple[str, ...], values: Mapping[str, Any]) -> None:
    for statement in statements:
        named = {name: value for name, value in values.items() if f":{name}" in statement}
        connection.execute(text(statement), named)
