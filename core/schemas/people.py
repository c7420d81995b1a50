"""People as admins see and change them, on the wire."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load

from core.domain.clock import rfc3339
from core.domain.people import (
    LOCALE_PATTERN,
    MAX_LOCALE,
    MAX_NAME,
    MAX_PASSWORD,
    MIN_PASSWORD,
    Person,
    PersonChanges,
)
from core.schemas.auth import UserSchema, user_body
from core.schemas.fields import ID, BoundedDict, BoundedList, Instant, StrictBoolean, Text, Whole
from core.schemas.pages import NumberedPageQuery, PageSchema

MAX_ROLES = 50
MAX_PROJECTS = 100
_LOCALE = Whole(LOCALE_PATTERN, error="Not a language tag such as zh-CN.")


def roles_field(**options: Any) -> fields.List[str]:
    return BoundedList(Text(32, 1), MAX_ROLES, **options)


class PeopleQuery(NumberedPageQuery):
    """The query of GET users: `q` is a part of the username or name."""

    q = Text(200, 1, load_default=None)


class PersonBody(Schema):
    """The body of POST users. `projects` maps ids to the roles there."""

    username = Text(128, 1, checks=[ID], required=True)
    password = Text(MAX_PASSWORD, MIN_PASSWORD, required=True)
    name = Text(MAX_NAME, 1)
    roles = roles_field(load_default=list)
    projects = BoundedDict(Text(128, 1, checks=[ID]), roles_field(), MAX_PROJECTS, load_default=dict)
    locale = Text(MAX_LOCALE, 2, checks=[_LOCALE], load_default="zh-CN")

    @post_load
    def with_sets(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {
            "name": data["username"],
            **data,
            "roles": frozenset(data["roles"]),
            "projects": {project_id: frozenset(roles) for project_id, roles in data["projects"].items()},
        }


class PersonChangesBody(Schema):
    """The body of PATCH users/{user}, loaded to `PersonChanges`."""

    name = Text(MAX_NAME, 1)
    locale = Text(MAX_LOCALE, 2, checks=[_LOCALE])
    roles = roles_field()
    disabled = StrictBoolean()
    password = Text(MAX_PASSWORD, MIN_PASSWORD)

    @post_load
    def changes(self, data: dict[str, Any], **_: Any) -> PersonChanges:
        if not data:
            raise ValidationError("Nothing to change.")
        if "roles" in data:
            data["roles"] = frozenset(data["roles"])
        return PersonChanges(**data)


class PersonSchema(UserSchema):
    disabled = fields.Boolean(required=True)
    created_at = Instant(required=True)
    issuer = fields.String(required=True, allow_none=True)


class PeopleSchema(PageSchema):
    items = fields.List(fields.Nested(PersonSchema), required=True)


def person_body(person: Person) -> Mapping[str, Any]:
    user = person.user
    return {
        **user_body(user),
        "disabled": user.disabled,
        "created_at": rfc3339(person.created_at),
        "issuer": user.issuer,
    }
