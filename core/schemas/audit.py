"""The audit trail on the wire."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields

from core.domain.audit import AuditEntry
from core.domain.clock import rfc3339
from core.schemas.fields import Instant, JsonObject, Text
from core.schemas.pages import NumberedPageQuery, PageSchema


class AuditQuery(NumberedPageQuery):
    """The query of GET audit: what one person did, by id, or what was done to one target, such as `user:5`."""

    actor = Text(160, 1, load_default=None)
    target = Text(200, 1, load_default=None)


class AuditEntrySchema(Schema):
    id = fields.String(required=True)
    at = Instant(required=True)
    actor_id = fields.String(required=True, allow_none=True)
    sender = fields.String(required=True)
    action = fields.String(required=True)
    target = fields.String(required=True)
    details = JsonObject(required=True)


class AuditSchema(PageSchema):
    items = fields.List(fields.Nested(AuditEntrySchema), required=True)


def entry_body(entry: AuditEntry) -> Mapping[str, Any]:
    return {
        "id": str(entry.id),
        "at": rfc3339(entry.at),
        "actor_id": entry.actor_id,
        "sender": entry.sender,
        "action": entry.action,
        "target": entry.target,
        "details": entry.details,
    }
