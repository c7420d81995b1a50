"""Presence and health on the wire."""

from typing import Any

from marshmallow import Schema, fields, post_load

from core.domain.errors import Invalid
from core.domain.notifications import MAX_ROOMS
from core.domain.rooms import is_room
from core.schemas.fields import RoomsSchema, Text


class PresenceQuery(RoomsSchema):
    """The query of GET presence: rooms joined by commas, loaded to a list."""

    rooms = Text(7_000, 1, required=True)

    @post_load
    def split(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        rooms = list(dict.fromkeys(data["rooms"].split(",")))
        if len(rooms) > MAX_ROOMS or not all(is_room(room, self.roles) for room in rooms):
            raise Invalid("Not rooms.", fields={"rooms": [f"At most {MAX_ROOMS} rooms, joined by commas."]})
        return {"rooms": rooms}


class PresenceEntry(Schema):
    online = fields.Boolean(required=True)
    connections = fields.Integer(required=True)


class PresenceSchema(Schema):
    rooms = fields.Dict(keys=fields.String(), values=fields.Nested(PresenceEntry), required=True)


class HealthSchema(Schema):
    status = fields.String(required=True)
    checks = fields.Dict(keys=fields.String(), values=fields.String())
