"""What SQLite and PostgreSQL spell differently, or SQLAlchemy keeps in two modules."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    FromClause,
    Select,
    String,
    Table,
    any_,
    bindparam,
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


def runs_table(dialect: str, name: str) -> FromClause:
    """Runs of offsets by room as a table of (room, first, last): the statement is the same for any number of them.

    Its parameters are the `runs_values` of the same name.
    """
    if dialect == "postgresql":
        types = (String, BigInteger, BigInteger)
        values: list[Any] = [
            bindparam(key, type_=ARRAY(type_)) for key, type_ in zip(_keys(name), types, strict=True)
        ]
        columns = (column("room", String), column("first", BigInteger), column("last", BigInteger))
        return func.unnest(*values).table_valued(*columns, name=name).render_derived()
    each = func.json_each(bindparam(name, type_=String)).table_valued("value", name=f"{name}_each")
    room, first, last = (func.json_extract(each.c.value, f"$[{at}]") for at in range(3))
    return select(
        type_coerce(room, String).label("room"),
        type_coerce(first, BigInteger).label("first"),
        type_coerce(last, BigInteger).label("last"),
    ).subquery(name)


def runs_values(dialect: str, name: str, runs: Mapping[str, Runs]) -> dict[str, Any]:
    rows = [(room, first, last) for room, some in runs.items() for first, last in some]
    if dialect == "postgresql":
        return {key: [row[at] for row in rows] for at, key in enumerate(_keys(name))}
    return {name: dumps(rows)}


def _keys(name: str) -> tuple[str, str, str]:
    return f"{name}_rooms", f"{name}_firsts", f"{name}_lasts"


def for_each(dialect: str, table: FromClause, inside: Select[Any]) -> Select[Any]:
    """The rows that `inside`, which speaks of the table, gives for each row of it. On PostgreSQL, its limit holds for each.

    PostgreSQL takes ranges that it does not know for large, and would rather read everything once than each of them;
    it has to be told to go row by row, which SQLite does anyway.
    """
    if dialect == "postgresql":
        each = inside.correlate(table).lateral("each")
        return select(each).select_from(table).join(each, true())
    return inside.limit(None).select_from(table)
