"""What SQLite and PostgreSQL spell differently, or SQLAlchemy keeps in two modules."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    FromClause,
    Select,
    String,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    select,
    true,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement

from core.domain.runs import Runs
from core.store.database import dumps

Insert = postgresql.Insert | sqlite.Insert


def insert(connection: Connection, table: Table) -> Insert:
    """INSERT that can have ON CONFLICT."""
    return insert_on(connection.dialect.name, table)


def insert_on(dialect: str, table: Table) -> Insert:
    """The same for a statement that is built once."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def among(connection: Connection, column: ColumnElement[Any], texts: Iterable[str]) -> ColumnElement[bool]:
    """Whether the column is one of the texts, as one parameter: the statement is the same for any number of them.

    IN has a parameter each, so that every number is another statement to compile and to prepare.
    """
    value = texts_value(connection.dialect.name, texts)
    return _among(
        connection.dialect.name, column, bindparam(None, value, type_=_texts(connection.dialect.name))
    )


def among_named(dialect: str, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """The same for a statement that is built once; the parameter `name` is a `texts_value`."""
    return _among(dialect, column, bindparam(name, type_=_texts(dialect)))


def texts_value(dialect: str, texts: Iterable[str]) -> list[str] | str:
    return list(texts) if dialect == "postgresql" else dumps(list(texts))


def _among(dialect: str, column: ColumnElement[Any], texts: Any) -> ColumnElement[bool]:
    if dialect == "postgresql":
        return column == any_(texts)
    return column.in_(select(func.json_each(texts).table_valued("value").c.value))


def _texts(dialect: str) -> Any:
    return ARRAY(String) if dialect == "postgresql" else String()


RUNS = {"room": String, "first": BigInteger, "last": BigInteger}
"""The columns of runs of offsets by room, for `rows_table` and `rows_values`."""


def rows_table(dialect: str, name: str, columns: Mapping[str, Any]) -> FromClause:
    """Rows that come as parameters as a table of these columns: the statement is the same for any number of them.

    Its parameters are the `rows_values` of the same name.
    """
    if dialect == "postgresql":
        values: list[Any] = [bindparam(f"{name}_{key}", type_=ARRAY(type_)) for key, type_ in columns.items()]
        named = (column(key, type_) for key, type_ in columns.items())
        return func.unnest(*values).table_valued(*named, name=name).render_derived()
    each = func.json_each(bindparam(name, type_=String)).table_valued("value", name=f"{name}_each")
    return select(
        *(
            type_coerce(func.json_extract(each.c.value, f"$[{at}]"), type_).label(key)
            for at, (key, type_) in enumerate(columns.items())
        )
    ).subquery(name)


def rows_values(
    dialect: str, name: str, columns: Mapping[str, Any], rows: Iterable[Sequence[Any]]
) -> dict[str, Any]:
    every = list(rows)
    if dialect == "postgresql":
        return {f"{name}_{key}": [row[at] for row in every] for at, key in enumerate(columns)}
    return {name: dumps(every)}


def run_rows(runs: Mapping[str, Runs]) -> list[tuple[str, int, int]]:
    """The rows of `RUNS`."""
    return [(room, first, last) for room, some in runs.items() for first, last in some]


def joined(dialect: str, texts: ColumnElement[str], separator: str) -> ColumnElement[str]:
    """An aggregate: all texts of a group as one."""
    return (func.string_agg if dialect == "postgresql" else func.group_concat)(texts, separator, type_=String)


NOTHING_LISTED = "[]"


def listed(dialect: str, inside: Select[Any], table: FromClause) -> ColumnElement[Any]:
    """The one column of what `inside` finds for a row of the table, with its order and limit, as a JSON text."""
    (found,) = (every := inside.correlate(table).subquery()).c
    postgres = dialect == "postgresql"
    texts = cast(func.json_agg(found), Text) if postgres else func.json_group_array(found)
    return select(func.coalesce(texts, NOTHING_LISTED)).select_from(every).scalar_subquery()


def read_list(found: str | Sequence[str]) -> Sequence[str]:
    """What was `listed`: SQLite may have taken it for a list already."""
    if not isinstance(found, str):
        return found
    return () if found == NOTHING_LISTED else orjson.loads(found)


def for_each(dialect: str, table: FromClause, inside: Select[Any]) -> Select[Any]:
    """The rows that `inside`, which speaks of the table, gives for each row of it. On PostgreSQL, its limit holds for each.

    PostgreSQL takes ranges that it does not know for large, and would rather read everything once than each of them;
    it has to be told to go row by row, which SQLite does anyway.
    """
    if dialect == "postgresql":
        each = inside.correlate(table).lateral("each")
        return select(each).select_from(table).join(each, true())
    return inside.limit(None).select_from(table)
