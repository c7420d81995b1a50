"""Settings that are a JSON list of objects."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from marshmallow import Schema, ValidationError


def read_objects(text: str, schema: Schema, *, unique: Sequence[str]) -> tuple[Any, ...]:
    """What the schema, one of many, makes of the list.

    Raises `ValidationError` with everything that is wrong, and none of its values; also when two are the same in one
    of the attributes that are `unique`.
    """
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValidationError("Not JSON.") from error
    if not isinstance(entries, list) or not entries:
        raise ValidationError("Not a list of objects.")
    loaded = tuple(schema.load(entries))
    for name in unique:
        times = Counter(getattr(entry, name) for entry in loaded)
        if max(times.values()) > 1:
            raise ValidationError(f"Two with the same {name}.")
    return loaded
