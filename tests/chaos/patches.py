"""Taking hold of the product's parts. A name that has moved is an error, never a run that proves nothing."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replace the attribute by what `make` returns for it. AttributeError, KeyError: there is none of this name there.

    What belongs to a module is replaced wherever it was imported to.
    """
    found = owner.__dict__[name]
    replacement = make(found)
    setattr(owner, name, replacement)
    if isinstance(owner, ModuleType) and owner.__name__ != "time":
        for module in list(sys.modules.values()):
            if getattr(module, "__dict__", {}).get(name) is found:
                setattr(module, name, replacement)
