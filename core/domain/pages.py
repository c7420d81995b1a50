"""Pages of long lists."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some entries of a list; `next_cursor` continues behind the last of them, None at the end."""

    items: Sequence[T]
    next_cursor: str | None


def page_of(found: Sequence[T], limit: int, cursor: Callable[[T], str]) -> Page[T]:
    """The page of at most `limit` of the entries found: whoever asked for one more knows whether there is one."""
    shown = found[:limit]
    return Page(shown, cursor(shown[-1]) if len(found) > limit else None)
