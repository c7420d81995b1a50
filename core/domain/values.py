"""Values: objects that are made once and never changed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """A dataclass that is not to be changed, for what every publish makes several of.

    The type checker refuses changes, as of a frozen one. To refuse them while it runs takes three times as long as to
    make it.
    """
    return dataclass(slots=True, kw_only=kw_only, unsafe_hash=True)
