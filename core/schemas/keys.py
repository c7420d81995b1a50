"""API keys on the wire."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields, post_load

from core.domain.clock import rfc3339
from core.domain.people import MAX_NAME
from core.domain.principals import KeyRecord, Scope
from core.schemas.fields import BoundedList, Instant, Text
from core.schemas.pages import PageSchema

MAX_PATTERNS = 100


class KeyBody(Schema):
    """The body of POST keys. Rooms and types may end in `*`; whoever the key is bound to may listen by it."""

    name = Text(MAX_NAME, 1, required=True)
    rooms = BoundedList(Text(200, 1), MAX_PATTERNS, required=True)
    types = BoundedList(Text(100, 1), MAX_PATTERNS, load_default=lambda: ["*"])
    user_id = Text(160, 1, allow_none=True, load_default=None)
    expires_at = Instant(allow_none=True, load_default=None)

    @post_load
    def with_scope(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        scope = Scope(rooms=tuple(data.pop("rooms")), types=tuple(data.pop("types")))
        return data | {"scope": scope}


class KeySchema(Schema):
    id = fields.String(required=True)
    name = fields.String(required=True)
    rooms = fields.List(fields.String(), required=True)
    types = fields.List(fields.String(), required=True)
    user_id = fields.String(required=True, allow_none=True)
    created_at = Instant(required=True)
    expires_at = Instant(required=True, allow_none=True)
    revoked_at = Instant(required=True, allow_none=True)


class NewKeySchema(KeySchema):
    key = fields.String(required=True)


class KeysSchema(PageSchema):
    items = fields.List(fields.Nested(KeySchema), required=True)


def key_body(record: KeyRecord) -> Mapping[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "rooms": list(record.scope.rooms),
        "types": list(record.scope.types),
        "user_id": record.user_id,
        "created_at": rfc3339(record.created_at),
        "expires_at": record.expires_at and rfc3339(record.expires_at),
        "revoked_at": record.revoked_at and rfc3339(record.revoked_at),
    }
