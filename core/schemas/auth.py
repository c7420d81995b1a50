"""Who people are, and how they log in."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields, validate

from core.domain.principals import User
from core.schemas.fields import StrictBoolean, Text


class LoginRequest(Schema):
    username = Text(128, 1, required=True)
    password = Text(1_000, 1, required=True)


class RefreshRequest(Schema):
    refresh_token = Text(4_000, 1, required=True)


class LogoutRequest(Schema):
    """The body of POST auth/logout, which may be left out: `all` ends every login of the caller."""

    all = StrictBoolean(attribute="everywhere", load_default=False)


class UserSchema(Schema):
    id = fields.String(required=True)
    username = fields.String(required=True)
    name = fields.String(required=True)
    roles = fields.List(fields.String(), required=True)
    projects = fields.Dict(keys=fields.String(), values=fields.List(fields.String()), required=True)
    locale = fields.String(required=True)


class MeSchema(UserSchema):
    rooms = fields.List(fields.String(), required=True)


class LoginResponse(Schema):
    access_token = fields.String(required=True)
    token_type = fields.String(required=True, validate=validate.Equal("Bearer"))
    expires_in = fields.Integer(required=True)
    refresh_token = fields.String(required=True)
    user = fields.Nested(UserSchema, required=True)


def user_body(user: User) -> Mapping[str, Any]:
    return {
        "id": user.id,
        "username": user.username,
        "name": user.name,
        "roles": sorted(user.roles),
        "projects": {project: sorted(roles) for project, roles in sorted(user.projects.items())},
        "locale": user.locale,
    }
