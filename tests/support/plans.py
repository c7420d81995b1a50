"""What PostgreSQL does for the statements of a database."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection

from core.store.database import Database
from tests.support.statements import heard_statements
from tests.support.store import scalar


async def rows_read(database: Database, work: Callable[[], Awaitable[object]], table: str) -> int:
    """How many rows of the table all steps of one plan gave or dropped: the most of the selects that `work` makes."""
    with heard_statements() as heard:
        await work()
    selects = [one for one in heard if one[0].startswith("SELECT")]
    return max([await database.read(partial(_rows_read, table, *one)) for one in selects])


def _rows_read(table: str, statement: str, parameters: Any, connection: Connection) -> int:
    def read(step: dict[str, Any]) -> int:
        dropped = sum(number for name, number in step.items() if name.startswith("Rows Removed"))
        own = (step["Actual Rows"] + dropped) * step["Actual Loops"]
        return (own if step.get("Relation Name") == table else 0) + sum(map(read, step.get("Plans", ())))

    explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
    return read(connection.exec_driver_sql(explain, parameters).scalar_one()[0]["Plan"])


async def rows_scanned(database: Database, table: str) -> int:
    """How many rows of the table sequential scans read since it was made. Ends all other sessions of the database:
    only then is certain that they have told.
    """
    assert await scalar(
        database,
        "SELECT bool_and(pg_terminate_backend(pid, 20000)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    return await scalar(database, f"SELECT pg_stat_get_tuples_returned('{table}'::regclass)")
