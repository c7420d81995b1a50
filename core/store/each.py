"""A select for each of some rows that come as parameters."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    bindparam,
    column,
    func,
    select,
    true,
)

from core.store.due import MAX_BRANCHES, unions


@dataclass(frozen=True, slots=True)
class Row:
    """One row, as statements speak of it: its columns, and the table they are of, if they are not parameters."""

    columns: Mapping[str, ColumnElement[Any]]
    table: FromClause | None = None

    def __getitem__(self, name: str) -> ColumnElement[Any]:
        return self.columns[name]

    def part(self, inside: Select[Any]) -> Select[Any]:
        """For a select within the one that speaks of the row."""
        return inside if self.table is None else inside.correlate(self.table)


class Each:
    """Rows of some columns, for statements that are built once for each number of selects.

    On PostgreSQL it is always one select, beside a table of all rows: it would plan a select for each row anew every
    time, for longer than it runs them. SQLite, which has no select that speaks of a table beside it, has one for each.
    """

    def __init__(self, **types: Any) -> None:
        self._types = types

    def batches(self, dialect: str, rows: Iterable[Sequence[Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
        """For each statement that the rows take: how many selects it has, and their parameters."""
        every = list(rows)
        if dialect == "postgresql" and every:
            columns = map(list, zip(*every, strict=True))
            yield 1, dict(zip(self._types, columns, strict=True))
            return
        for start in range(0, len(every), MAX_BRANCHES):
            part = every[start : start + MAX_BRANCHES]
            names = (f"{name}_{at}" for at in range(len(part)) for name in self._types)
            yield len(part), dict(zip(names, chain.from_iterable(part), strict=True))

    def found(self, dialect: str, number: int, inside: Callable[[Row], Select[Any]]) -> Subquery:
        """All that `inside` finds for a row, with its order and limit, over so many rows."""
        if dialect == "postgresql":
            arrays = (bindparam(name, type_=ARRAY(type_)) for name, type_ in self._types.items())
            columns = (column(name, type_) for name, type_ in self._types.items())
            rows = func.unnest(*arrays).table_valued(*columns, name="row").render_derived()
            row = Row(dict(rows.c), rows)
            each = row.part(inside(row)).lateral("each")
            return select(each).select_from(rows).join(each, true()).subquery()
        (found,) = unions([inside(self._parameters(at)) for at in range(number)])
        return found

    def _parameters(self, at: int) -> Row:
        return Row({name: bindparam(f"{name}_{at}", type_=type_) for name, type_ in self._types.items()})
