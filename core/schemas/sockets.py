"""Socket.IO events on the wire: what clients send, and how postings reach them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validate

from core.domain.clock import rfc3339
from core.domain.notifications import Kind, Posting
from core.domain.positions import Claim
from core.schemas.fields import MAX_OFFSET, PositionField, Text
from core.schemas.notifications import actor_body, notification_body


class ConnectAuth(Schema):
    """The auth payload of CONNECT. Clients may put more into it for others; that is not ours to refuse."""

    class Meta:
        unknown = EXCLUDE

    token = Text(8_000, 1, required=True)
    epoch = Text(200, load_default=None, allow_none=True)
    position = PositionField(load_default=None, allow_none=True)

    @post_load
    def claim(self, data: dict[str, Any], **_: Any) -> tuple[str, Claim]:
        return data["token"], Claim(epoch=data["epoch"], position=data["position"])


class PingBody(Schema):
    """A heartbeat. What it says of the user is accepted and ignored: we know who it is."""

    type = fields.String(validate=validate.Equal("ping"))
    timestamp = fields.Integer(strict=True, required=True, validate=validate.Range(0, MAX_OFFSET))
    user_id = fields.Raw(allow_none=True)
    username = fields.Raw(allow_none=True)
    epoch = Text(200, load_default=None, allow_none=True)
    position = PositionField(load_default=None, allow_none=True)


class PositionBody(Schema):
    """The body of `ack` and `sync`."""

    epoch = Text(200, 1, required=True)
    position = PositionField(required=True)

    @post_load
    def claim(self, data: dict[str, Any], **_: Any) -> Claim:
        return Claim(**data)


class AuthenticateBody(Schema):
    token = Text(8_000, 1, required=True)


def load_event(schema: Schema, payload: Any) -> Any:
    """Load what a client sent with an event; anything but one object is refused like a wrong field."""
    if not isinstance(payload, dict):
        raise ValidationError("One object is expected.")
    return schema.load(payload)


def posting_event(posting: Posting, epoch: str) -> tuple[str, dict[str, Any]]:
    """The event that brings a posting, and its payload. The posting is one that is shown."""
    place = {"room": posting.room, "offset": posting.offset, "epoch": epoch}
    if posting.notification is not None and posting.kind is Kind.NOTIFICATION:
        return "notification", notification_body(posting.notification) | place | {"thread": posting.thread}
    amendment = posting.amendment
    return "changed", {
        "kind": posting.kind.value,
        **place,
        "id": posting.notification_id,
        "thread": posting.thread,
        "by": actor_body(amendment.by) if amendment else None,
        "set": dict(amendment.set) if amendment else {},
        "created_at": rfc3339(posting.created_at),
    }


def ephemeral_event(
    room: str, id_: str, created_at: datetime, content: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The event that brings what is in no log, and its payload. `content` is what `OpenBody` has loaded."""
    return "notification", {
        "id": id_,
        **content,
        "level": content["level"].value,
        "actor": None,
        "created_at": rfc3339(created_at),
        "expires_at": None,
        "room": room,
        "offset": None,
        "epoch": None,
        "thread": None,
    }
