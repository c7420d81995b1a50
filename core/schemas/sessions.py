"""Live sessions on the wire."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields

from core.domain.clock import rfc3339
from core.ports.sessions import LiveSession
from core.schemas.fields import Instant, Text, Whole
from core.schemas.pages import PageQuery, PageSchema

SESSION_ID_PATTERN = r"(?:[A-Za-z0-9_-]{1,32}\.)?[A-Za-z0-9_-]{1,64}"
"""An id of a session begins with the name of its server, if that has one."""


class SessionsQuery(PageQuery):
    """The query of GET sessions: all, or those of one person by id."""

    cursor = Text(97, 1, checks=[Whole(SESSION_ID_PATTERN, error="Not a cursor.")], load_default=None)
    user = Text(160, 1, load_default=None)


class SessionSchema(Schema):
    id = fields.String(required=True)
    user_id = fields.String(required=True)
    username = fields.String(required=True)
    login_id = fields.String(required=True, allow_none=True)
    key_id = fields.String(required=True, allow_none=True)
    connected_at = Instant(required=True)
    expires_at = Instant(required=True, allow_none=True)
    transport = fields.String(required=True)


class SessionsSchema(PageSchema):
    items = fields.List(fields.Nested(SessionSchema), required=True)


def session_body(session: LiveSession) -> Mapping[str, Any]:
    return {
        "id": session.id,
        "user_id": session.user_id,
        "username": session.username,
        "login_id": session.login_id,
        "key_id": session.key_id,
        "connected_at": rfc3339(session.connected_at),
        "expires_at": session.expires_at and rfc3339(session.expires_at),
        "transport": session.transport,
    }
