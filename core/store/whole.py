"""Results that come whole. SQLite hands out row by row, and gives up the interpreter for each: while the event loop is
busy, the thread that reads waits 5 ms to get it back. A thousand rows as one text are one wait.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from sqlalchemy import CompoundSelect, Connection, Dialect, Select, func, select
from sqlalchemy.engine import result_tuple

from core.store.rows import AnyRow

Process = Callable[[Any], Any]
Statement = Select[Any] | CompoundSelect[Any]


def rows_of(connection: Connection, statement: Statement, values: Mapping[str, Any]) -> Sequence[AnyRow]:
    """All rows of a statement that is built once, and returns nothing binary."""
    if connection.dialect.name == "postgresql":
        return connection.execute(statement, values).all()
    whole = _as_one_text(statement)
    return whole.rows(connection.execute(whole.statement, values).scalar_one(), connection.dialect)


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """A statement whose rows come as one text; `made` makes a row of its values."""

    statement: Select[Any]
    types: tuple[Any, ...]
    made: Callable[[Sequence[Any]], AnyRow]

    def rows(self, text: str, dialect: Dialect) -> Sequence[AnyRow]:
        found = orjson.loads(text)
        for at, type_ in enumerate(self.types):
            if (process := _process(type_, dialect)) is not None:
                for row in found:
                    row[at] = process(row[at])
        return [self.made(row) for row in found]


@cache
def _as_one_text(statement: Statement) -> _Whole:
    rows = statement.subquery()
    return _Whole(
        select(func.json_group_array(func.json_array(*rows.c))),
        tuple(column.type for column in rows.c),
        result_tuple([column.key for column in rows.c]),
    )


def _process(type_: Any, dialect: Dialect) -> Process | None:
    """What makes a value of the type of what SQLite stores; None where that is the value."""
    found: Process | None = type_.dialect_impl(dialect).result_processor(dialect, None)
    return found
