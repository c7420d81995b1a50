"""Notifications on the wire: how they are asked for, and how they arrive."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load

from core.domain.clock import rfc3339
from core.domain.notifications import MAX_ROOMS, Actor, Level, Notification
from core.schemas.errors import ErrorBody
from core.schemas.fields import (
    KEY,
    LINK,
    TYPE,
    BoundedList,
    Instant,
    JsonObject,
    RoomName,
    RoomsSchema,
    StrictBoolean,
    Text,
)
from core.schemas.plain import PlainSchema

MAX_TITLE = 300
MAX_CONTENT = 10_000
MAX_BATCH = 500


def level_field(**options: Any) -> fields.Enum[Level]:
    return fields.Enum(Level, by_value=True, **options)


class _Content(Schema):
    """The fields of a notification that can be changed later."""

    title = Text(MAX_TITLE, 1)
    content = Text(MAX_CONTENT)
    data = JsonObject()
    link = Text(2_000, 1, checks=[LINK], allow_none=True)
    level = level_field()
    expires_at = Instant(allow_none=True)


class OpenBody(Schema):
    """What can be said without a log: the content of a notification that is only shown to who is there."""

    type = Text(100, 1, checks=[TYPE], load_default="message")
    level = level_field(load_default=Level.INFO)
    urgent = StrictBoolean(load_default=False)
    title = Text(MAX_TITLE, 1, required=True)
    content = Text(MAX_CONTENT, load_default="")
    data = JsonObject(load_default=dict)
    link = Text(2_000, 1, checks=[LINK], allow_none=True, load_default=None)


class PublishBody(PlainSchema, RoomsSchema, OpenBody):
    """The body of POST notifications, loaded to the keyword arguments of a `PublishRequest`."""

    to = BoundedList(RoomName(), MAX_ROOMS, 1, required=True, attribute="rooms")
    thread = Text(200, 1, allow_none=True, load_default=None)
    settles = StrictBoolean(load_default=False)
    expires_at = Instant(allow_none=True, load_default=None)

    @post_load
    def finish(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if data["settles"] and data["thread"] is None:
            raise ValidationError("Only a thread can be settled: name it.", "thread")
        data["rooms"] = tuple(data["rooms"])
        return data


class BatchEntry(PublishBody):
    idempotency_key = Text(200, 1, checks=[KEY], attribute="key", load_default=None)


class BatchBody(PlainSchema):
    """The body of POST notifications/batch; its entries are loaded one by one, so that each fails alone."""

    notifications = BoundedList(fields.Raw(metadata={"entry": BatchEntry}), MAX_BATCH, 1, required=True)


class PublishHeaders(PlainSchema):
    idempotency_key = Text(
        200, 1, checks=[KEY], data_key="Idempotency-Key", attribute="key", load_default=None
    )


class UpdateBody(_Content):
    """The body of PATCH notifications/{id}, loaded to wire values by field."""

    @post_load
    def as_wire(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if not data:
            raise ValidationError("Nothing to change.")
        if "level" in data:
            data["level"] = data["level"].value
        if data.get("expires_at"):
            data["expires_at"] = rfc3339(data["expires_at"])
        return data


class ActorSchema(Schema):
    id = fields.String(required=True)
    name = fields.String(required=True)


class NotificationSchema(Schema):
    id = fields.String(required=True)
    type = fields.String(required=True)
    level = level_field(required=True)
    urgent = fields.Boolean(required=True)
    title = fields.String(required=True)
    content = fields.String(required=True)
    data = fields.Dict(required=True)
    link = fields.String(required=True, allow_none=True)
    actor = fields.Nested(ActorSchema, required=True, allow_none=True)
    created_at = Instant(required=True)
    expires_at = Instant(required=True, allow_none=True)


class SentSchema(NotificationSchema):
    """A notification as its sender sees it."""

    to = fields.List(fields.String(), required=True)
    thread = fields.String(required=True, allow_none=True)
    settles = fields.Boolean(required=True)
    retracted_at = Instant(required=True, allow_none=True)


class PublishedSchema(Schema):
    id = fields.String(required=True)
    created_at = Instant(required=True)
    postings = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    connections = fields.Integer(required=True, allow_none=True)
    servers = fields.Integer(required=True, allow_none=True)


class BatchError(ErrorBody):
    retry_after_s = fields.Integer()


class BatchResult(Schema):
    status = fields.Integer(required=True)
    id = fields.String()
    created_at = Instant()
    postings = fields.Dict(keys=fields.String(), values=fields.Integer())
    connections = fields.Integer(allow_none=True)
    servers = fields.Integer(allow_none=True)
    error = fields.Nested(BatchError)


class BatchResponse(Schema):
    results = fields.List(fields.Nested(BatchResult), required=True)


def actor_body(actor: Actor | None) -> dict[str, str] | None:
    return None if actor is None else {"id": actor.id, "name": actor.name}


def notification_body(notification: Notification) -> dict[str, Any]:
    """The content as `NotificationSchema` has it. Plain, since it is dumped for every posting and every item."""
    expires_at = notification.expires_at
    return {
        "id": notification.id,
        "type": notification.type,
        "level": notification.level.value,
        "urgent": notification.urgent,
        "title": notification.title,
        "content": notification.content,
        "data": notification.data,
        "link": notification.link,
        "actor": actor_body(notification.actor),
        "created_at": rfc3339(notification.created_at),
        "expires_at": rfc3339(expires_at) if expires_at else None,
    }


def sent_body(notification: Notification, rooms: Any) -> dict[str, Any]:
    retracted_at = notification.retracted_at
    return notification_body(notification) | {
        "to": list(rooms),
        "thread": notification.thread,
        "settles": notification.settles,
        "retracted_at": rfc3339(retracted_at) if retracted_at else None,
    }
