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


def insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """INSERT that can have ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def among(connection: Connection, column: ColumnElement[Any], texts: Iterable[str]) -> ColumnElement[bool]:
    """Whether the column is one of the texts, as one parameter: the statement is the same for any number of them.

    IN has a parameter each, so that every number is another statement to compile and to prepare.
    """
    values = list(texts)
    if connection.dialect.name == "postgresql":
        return column == any_(bindparam(None, values, type_=ARRAY(String)))
    each = func.json_each(bindparam(None, dumps(values), type_=String)).table_valued("value")
    return column.in_(select(each.c.value))


def runs_table(connection: Connection, name: str, runs: Mapping[str, Runs]) -> FromClause:
    """Runs of offsets by room as a table of (room, first, last), in their order, by as many parameters for any number."""
    rows = [(room, first, last) for room, some in runs.items() for first, last in some]
    if connection.dialect.name == "postgresql":
        rooms, firsts, lasts = zip(*rows, strict=True) if rows else ((), (), ())
        columns = (
            bindparam(None, list(rooms), type_=ARRAY(String)),
            bindparam(None, list(firsts), type_=ARRAY(BigInteger)),
            bindparam(None, list(lasts), type_=ARRAY(BigInteger)),
        )
        names = (column("room", String), column("first", BigInteger), column("last", BigInteger))
        return func.unnest(*columns).table_valued(*names, name=name).render_derived()
    each = func.json_each(bindparam(None, dumps(rows), type_=String)).table_valued(
        "value", name=f"{name}_each"
    )
    room, first, last = (func.json_extract(each.c.value, f"$[{at}]") for at in range(3))
    return select(
        type_coerce(room, String).label("room"),
        type_coerce(first, BigInteger).label("first"),
        type_coerce(last, BigInteger).label("last"),
    ).subquery(name)


def for_each(connection: Connection, table: FromClause, inside: Select[Any]) -> Select[Any]:
    """The rows that `inside`, which speaks of the table, gives for each row of it. On PostgreSQL, its limit holds for each.

    PostgreSQL takes ranges that it does not know for large, and would rather read everything once than each of them;
    it has to be told to go row by row, which SQLite does anyway.
    """
    if connection.dialect.name == "postgresql":
        each = inside.correlate(table).lateral("each")
        return select(each).select_from(table).join(each, true())
    return inside.limit(None).select_from(table)
