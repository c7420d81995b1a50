"""Taking hold of the product's classes. A name that has moved is an error, never a run that proves nothing."""

from collections.abc import Callable
from typing import Any


def wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replace the attribute by what `make` returns for it. AttributeError: there is none of this name there."""
    setattr(owner, name, make(owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)))
