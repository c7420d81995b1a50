"""What SQLite and PostgreSQL spell differently, or SQLAlchemy keeps in two modules."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, Connection, String, Table, any_, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement

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
