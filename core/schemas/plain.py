"""Schemas that load what is plainly right in one pass.

A schema goes through half a dozen calls of its own for each field, and keeps a record of what may be wrong with it: for
a publish that costs more than to store it. Hardly anything is wrong. So a field may have `plainly(value)`, which gives
what it loads, or raises `ValidationError` when it is in doubt; what is doubted goes through the schema, which alone says
what is wrong.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from marshmallow import Schema, ValidationError, fields, missing, post_load

Read = Callable[[Any], Any]


def reader(field: fields.Field[Any]) -> Read:
    """What loads a value of the field that is there and not null."""
    read: Read = getattr(field, "plainly", field.deserialize)
    return read


class PlainSchema(Schema):
    """A schema of which most documents are right. It has no other hook than `finish`."""

    def load(self, data: Any, **options: Any) -> Any:
        if not options and not self.partial and isinstance(data, dict):
            try:
                return self.finish(self._plan.load(data))
            except ValidationError:
                pass  # told by the schema, in full
        return super().load(data, **options)

    @post_load
    def finish(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """What becomes of fields that are right each for itself. Whoever overrides it marks it `post_load` as well."""
        return data

    @cached_property
    def _plan(self) -> "_Plan":
        return _Plan(self.load_fields)


class _Plan:
    """How to load each field, and what those that are absent are instead."""

    def __init__(self, by_name: Mapping[str, fields.Field[Any]]) -> None:
        self._fields = {
            field.data_key or name: (field.attribute or name, reader(field), field.allow_none)
            for name, field in by_name.items()
        }
        self._required = {field.data_key or name for name, field in by_name.items() if field.required}
        defaults = {
            field.attribute or name: field.load_default
            for name, field in by_name.items()
            if field.load_default is not missing
        }
        self._made = [(key, default) for key, default in defaults.items() if callable(default)]
        self._defaults = {key: default for key, default in defaults.items() if not callable(default)}

    def load(self, document: dict[str, Any]) -> dict[str, Any]:
        """Raises `ValidationError` without telling what is wrong, or whether anything is."""
        if not self._required <= document.keys():
            raise ValidationError("A field is missing.")
        loaded = self._defaults.copy()
        for name, value in document.items():
            field = self._fields.get(name)
            if field is None:
                raise ValidationError("A field is unknown.")
            key, read, allow_none = field
            loaded[key] = None if value is None and allow_none else read(value)
        for key, make in self._made:
            if key not in loaded:
                loaded[key] = make()
        return loaded
