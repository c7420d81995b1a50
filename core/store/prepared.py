"""Statements that are compiled once, and then cost little more than the driver does.

SQLAlchemy builds, looks up and binds a statement anew each time, for longer than SQLite takes to run it. The few that
every publish or every connect needs are worth their SQL being kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ClauseElement, Connection, CursorResult, Dialect
from sqlalchemy.sql.compiler import SQLCompiler

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """The SQL, its parameters in their order with the values that never change, where those that do have their place, and
    what turns some of them into what the driver takes.
    """

    sql: str
    constants: tuple[Any, ...]
    places: tuple[tuple[int, str, Callable[[Any], Any] | None], ...]

    def parameters(self, row: Row) -> tuple[Any, ...]:
        values = list(self.constants)
        for at, name, process in self.places:
            values[at] = row[name] if process is None else process(row[name])
        return tuple(values)


class Prepared:
    """A statement of named parameters, which `build` makes for a dialect's name.

    Of an INSERT, `columns` are those that it is given. Of a SELECT, values come as the driver has them, which is right for
    texts and whole numbers only; `core.store.whole` makes the others of them.
    """

    def __init__(self, build: Callable[[str], ClauseElement], columns: Sequence[str] | None = None) -> None:
        self._build = build
        self._columns = columns
        self._compiled: dict[str, _Compiled] = {}

    def one(self, connection: Connection, row: Row) -> CursorResult[Any]:
        """Run it with these parameters."""
        compiled = self._for(connection.dialect)
        return connection.exec_driver_sql(compiled.sql, compiled.parameters(row))

    def each(self, connection: Connection, rows: Sequence[Row]) -> CursorResult[Any]:
        """Run it once for each of the rows, of which there is at least one."""
        if len(rows) == 1:
            return self.one(connection, rows[0])
        compiled = self._for(connection.dialect)
        return connection.exec_driver_sql(compiled.sql, [compiled.parameters(row) for row in rows])

    def _for(self, dialect: Dialect) -> _Compiled:
        known = self._compiled.get(dialect.name)
        if known is None:
            known = self._compiled[dialect.name] = self._compile(dialect)
        return known

    def _compile(self, dialect: Dialect) -> _Compiled:
        compiled = self._build(dialect.name).compile(dialect=dialect, column_keys=self._columns)
        if not isinstance(compiled, SQLCompiler) or compiled.positiontup is None:
            raise TypeError("Only a statement whose parameters have places can be prepared.")
        constants: list[Any] = []
        places = []
        for at, name in enumerate(compiled.positiontup):
            parameter = compiled.binds[name]
            if parameter in compiled.post_compile_params:
                raise TypeError("What becomes SQL only with its value, like a list, cannot be prepared.")
            process = parameter.type.dialect_impl(dialect).bind_processor(dialect)
            constant = None if parameter.required else parameter.effective_value
            constants.append(constant if process is None or parameter.required else process(constant))
            if parameter.required:
                places.append((at, name, process))
        return _Compiled(str(compiled), tuple(constants), tuple(places))
