"""Texts and ids that need not have come through a schema: a shell hands over whatever was typed."""

import re
from collections.abc import Iterable

from core.domain.errors import Invalid
from core.domain.rooms import ID_PATTERN


def check_text(field: str, text: str, longest: int, *, shortest: int = 1) -> None:
    """Raises `Invalid` for what is too long or short, or no text: bytes that are not UTF-8 come as surrogates."""
    if not shortest <= len(text) <= longest or shown(text) != text or "\x00" in text:
        raise Invalid("Not a text.", fields={field: [f"A text of {shortest} to {longest} characters."]})


def check_id(field: str, text: str) -> None:
    """Raises `Invalid` for what cannot be an id, or a username."""
    if not re.fullmatch(ID_PATTERN, text):
        told = f"Not an id: {shown(text)}. Letters, digits and _.@~|+-, at most 128."
        raise Invalid("Not an id.", fields={field: [told]})


def check_roles(field: str, given: Iterable[str], roles: frozenset[str]) -> None:
    """Raises `Invalid` for roles that are not among those there are."""
    if unknown := sorted(set(given) - roles):
        told = ", ".join(map(shown, unknown))
        raise Invalid("There is no such role.", fields={field: [f"Not a role: {told}."]})


def shown(text: str) -> str:
    """The text as it can be told."""
    return text.encode("utf-8", "backslashreplace").decode()
