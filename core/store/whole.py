"""Results of statements that are built once and compiled once, and that come whole.

SQLite hands out row by row, and gives up the interpreter for each: while the event loop is busy, the thread that reads
waits each time to get it back. A thousand rows as one text are one wait.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import CompoundSelect, Connection, Dialect, Select, func, select
from sqlalchemy.engine import result_tuple

from core.store.prepared import Prepared
from core.store.rows import AnyRow

MAX_STATEMENTS = 256
"""More than there are but for those that are made for what a client asks; the others are made anew when they are asked."""
Process = Callable[[Any], Any]
Statement = Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]]


def rows_of(connection: Connection, statement: Statement, values: Mapping[str, Any]) -> Sequence[AnyRow]:
    """All rows of a statement that is built once, and returns nothing binary."""
    dialect = connection.dialect
    whole = _whole(statement, dialect.name)
    result = whole.prepared.one(connection, values)
    found = orjson.loads(result.scalar_one()) if dialect.name == "sqlite" else map(list, result)
    return whole.rows(found, dialect)


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """A statement, the types of its columns, and `made`, which makes a row of their values."""

    prepared: Prepared
    types: tuple[Any, ...]
    made: Callable[[Sequence[Any]], AnyRow]

    def rows(self, found: Iterable[list[Any]], dialect: Dialect) -> Sequence[AnyRow]:
        rows = list(found)
        for at, type_ in enumerate(self.types):
            if (process := _process(type_, dialect)) is not None:
                for row in rows:
                    row[at] = process(row[at])
        return [self.made(row) for row in rows]


@lru_cache(maxsize=MAX_STATEMENTS)
def _whole(statement: Statement, dialect: str) -> _Whole:
    columns = statement.subquery().c
    as_one_text = select(func.json_group_array(func.json_array(*columns)))
    return _Whole(
        Prepared(lambda _: as_one_text if dialect == "sqlite" else statement),
        tuple(column.type for column in columns),
        result_tuple([column.key for column in columns]),
    )


def _process(type_: Any, dialect: Dialect) -> Process | None:
    """What makes a value of the type of what the driver gives; None where that is the value."""
    found: Process | None = type_.dialect_impl(dialect).result_processor(dialect, None)
    return found
