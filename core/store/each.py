"""A select for each of some rows that come as parameters."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Select, Subquery, bindparam, column, func, select, true

from core.store.due import MAX_BRANCHES, unions

Row = Mapping[str, ColumnElement[Any]]


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
            each = inside(dict(rows.c)).correlate(rows).lateral("each")
            return select(each).select_from(rows).join(each, true()).subquery()
        (found,) = unions([inside(self._parameters(at)) for at in range(number)])
        return found

    def _parameters(self, at: int) -> Row:
        return {name: bindparam(f"{name}_{at}", type_=type_) for name, type_ in self._types.items()}
