"""Fields that take exactly what they say: no coercion, no characters that a database or a client chokes on."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from marshmallow import Schema, ValidationError, fields, validate

from core.domain import rooms
from core.domain.clock import rfc3339
from core.domain.ids import ID_PATTERN
from core.schemas.plain import reader

MAX_OFFSET = 2**63 - 2
MAX_DATA_BYTES = 32 << 10
_MAX_DEPTH = 16
_ESCAPED = 3
"""How many times as long as in UTF-8 a text can be with everything but ASCII escaped."""
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def check_text(text: str) -> str:
    """Refuse NUL, which PostgreSQL cannot store, and lone surrogates, which no UTF-8 can carry."""
    if "\x00" in text:
        raise ValidationError("NUL characters are not allowed.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValidationError("Lone surrogates are not allowed.") from error
    return text


class Text(fields.String):
    """A string of `shortest` to `longest` characters."""

    def __init__(self, longest: int, shortest: int = 0, **options: Any) -> None:
        self._lengths = range(shortest, longest + 1)
        self._checks = tuple(options.pop("checks", ()))
        lengths = validate.Length(min=shortest or None, max=longest)
        super().__init__(validate=[lengths, *self._checks], **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        return check_text(super()._deserialize(value, attr, data, **options))

    def plainly(self, value: Any) -> str:
        if not isinstance(value, str) or len(value) not in self._lengths:
            raise ValidationError("Not a text of this length.")
        for check in self._checks:
            check(value)
        return check_text(value)


class StrictBoolean(fields.Boolean):
    """true or false; marshmallow's own also takes 0, "yes" and "off"."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **options)

    def plainly(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Not a boolean.")
        return value


class QueryBoolean(fields.Boolean):
    """true or false as a query parameter spells them."""

    truthy = {"true"}  # noqa: RUF012 - marshmallow's form
    falsy = {"false"}  # noqa: RUF012


class QueryInteger(fields.Integer):
    """A whole number in plain digits; int() also takes underscores, signs and digits of other scripts."""

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002 - marshmallow's signature
        data: Any,  # noqa: ARG002
        **options: Any,  # noqa: ARG002
    ) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", value):
            raise self.make_error("invalid", input=value)
        return int(value)


class RoomName(Text):
    """An address whose roles are among `roles` of the root schema."""

    default_error_messages = {"room": "Not a room."}  # noqa: RUF012 - marshmallow's form

    def __init__(self, **options: Any) -> None:
        super().__init__(200, 1, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        return self._checked(super()._deserialize(value, attr, data, **options))

    def plainly(self, value: Any) -> str:
        return self._checked(super().plainly(value))

    def _checked(self, room: str) -> str:
        if not rooms.is_room(room, _roles(self.root)):
            raise self.make_error("room")
        return room


def _roles(root: object) -> frozenset[str]:
    if not isinstance(root, RoomsSchema):
        raise TypeError("A schema with rooms derives from RoomsSchema.")
    return root.roles


class RoomsSchema(Schema):
    """A schema that reads rooms, and therefore has to know which roles there are."""

    def __init__(self, *, roles: frozenset[str] = frozenset(), **options: Any) -> None:
        super().__init__(**options)
        self.roles = roles


class WholeNumber(fields.Integer):
    """A whole number from 0 to `largest`; marshmallow's own also takes "1", 1.0 and true."""

    def __init__(self, largest: int, **options: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(0, largest), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        del attr, data, options  # marshmallow's signature
        return value


class Offset(WholeNumber):
    """An offset in a room."""

    def __init__(self, **options: Any) -> None:
        super().__init__(MAX_OFFSET, **options)


class BoundedList(fields.List[Any]):
    """A list of `shortest` to `longest` entries. One that is too long is refused before any entry is looked at."""

    def __init__(self, entry: fields.Field[Any], longest: int, shortest: int = 0, **options: Any) -> None:
        self._length = validate.Length(min=shortest or None, max=longest)
        super().__init__(entry, validate=self._length, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> list[Any]:
        if isinstance(value, list):
            self._length(value)
        return super()._deserialize(value, attr, data, **options)

    def plainly(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValidationError("Not a list.")
        self._length(value)
        return list(map(reader(self.inner), value))


class BoundedDict(fields.Dict):
    """An object of at most `longest` entries. One that is too long is refused before any entry is looked at."""

    def __init__(
        self, keys: fields.Field[Any], values: fields.Field[Any], longest: int, **options: Any
    ) -> None:
        self._length = validate.Length(max=longest)
        super().__init__(keys=keys, values=values, validate=self._length, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> dict[Any, Any]:
        if isinstance(value, Mapping):
            self._length(value)
        entries: dict[Any, Any] = super()._deserialize(value, attr, data, **options)  # type: ignore[no-untyped-call]
        return entries


class PositionField(BoundedDict):
    """Room to offset. Names are not checked: a room that means nothing to us is left out later."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Text(200), Offset(), 1_000, **options)


class Instant(fields.AwareDateTime):
    """An RFC 3339 moment with its zone, between the years 1 and 9999 in UTC, cut to milliseconds."""

    def __init__(self, **options: Any) -> None:
        super().__init__(format="iso", **options)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> str | None:  # noqa: ARG002
        return None if value is None else rfc3339(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> datetime:
        if not isinstance(value, str) or not _RFC3339.fullmatch(value):
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE)
        try:
            moment = super()._deserialize(value, attr, data, **options).astimezone(UTC)
        except (OverflowError, ValueError) as error:
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE) from error
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class JsonObject(fields.Field[Mapping[str, Any]]):
    """Any JSON object of at most 32 KiB and 16 levels, with finite numbers and storable texts."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's form
        "object": "Not a JSON object.",
        "deep": "Nested too deeply.",
        "number": "Not a finite number, or too large.",
        "size": f"Larger than {MAX_DATA_BYTES >> 10} KiB.",
    }

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002 - marshmallow's signature
        data: Any,  # noqa: ARG002
        **options: Any,  # noqa: ARG002
    ) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self.make_error("object")
        try:
            characters = len(json.dumps(value))
        except RecursionError as error:  # what was just not too deep for who read it
            raise self.make_error("deep") from error
        if characters > _ESCAPED * MAX_DATA_BYTES:
            raise self.make_error("size")  # before every node of it is looked at
        self._check(value, _MAX_DEPTH)
        if len(orjson.dumps(value)) > MAX_DATA_BYTES:
            raise self.make_error("size")
        return value

    def plainly(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("Not an object.")
        try:
            encoded = orjson.dumps(value)  # refuses lone surrogates and numbers that are too large
        except TypeError as error:
            raise ValidationError("Not storable.") from error
        if len(encoded) > MAX_DATA_BYTES or not _is_flat(encoded):
            raise ValidationError("Not plain.")
        return value

    def _check(self, value: Any, depth: int) -> None:
        if depth == 0:
            raise self.make_error("deep")
        match value:
            case str():
                check_text(value)
            case bool() | None:
                return
            case int() if not -(2**63) <= value < 2**64:
                raise self.make_error("number")
            case float() if not math.isfinite(value):
                raise self.make_error("number")
            case dict():
                for key, entry in value.items():
                    check_text(key)
                    self._check(entry, depth - 1)
            case list():
                for entry in value:
                    self._check(entry, depth - 1)


def _is_flat(encoded: bytes) -> bool:
    """Whether an encoded object is neither nested deeply, nor has anything that may be NUL or no finite number."""
    opened = encoded.count(b"{") + encoded.count(b"[")
    return opened < _MAX_DEPTH and b"null" not in encoded and rb"\u0000" not in encoded


class Whole(validate.Regexp):
    """The whole text matches; the pattern is one that JSON Schema's readers understand as well."""

    def __init__(self, pattern: str, *, error: str) -> None:
        super().__init__(f"^({pattern})$", error=error)
        self._whole = re.compile(pattern)

    def __call__(self, value: Any) -> Any:
        if self._whole.fullmatch(value) is None:
            raise ValidationError(self._format_error(value))
        return value


# A backslash is a slash to browsers: "/\\host" would leave our site.
LINK = Whole(r"[Hh][Tt][Tt][Pp][Ss]?://[^\s]+|/|/[^\s/\\][^\s\\]*", error="Not an http(s) address or a path.")
TYPE = Whole(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*", error="Not a type: words joined by dots.")
KEY = Whole(r"[!-~]+", error="Printable ASCII without spaces.")
ID = Whole(rooms.ID_PATTERN, error="Not an id: letters, digits and _.@~|+-.")
CURSOR = Whole(ID_PATTERN, error="Not a cursor.")
