"""Projects and who is in them, on the wire."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields, post_load

from core.domain.clock import rfc3339
from core.domain.people import MAX_NAME, Member, Project
from core.schemas.fields import ID, Instant, Text
from core.schemas.pages import PageQuery, PageSchema
from core.schemas.people import roles_field


class ProjectsQuery(PageQuery):
    """The query of lists by an id of ours or of others: projects, and members."""

    cursor = Text(128, 1, checks=[ID], load_default=None)


class ProjectBody(Schema):
    """The body of POST projects."""

    id = Text(128, 1, checks=[ID], attribute="id_", required=True)
    name = Text(MAX_NAME, 1, required=True)


class MemberBody(Schema):
    """The body of PUT projects/{project}/members/{user}; without roles they are in the project all the same."""

    roles = roles_field(required=True)

    @post_load
    def with_set(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {"roles": frozenset(data["roles"])}


class ProjectSchema(Schema):
    id = fields.String(required=True)
    name = fields.String(required=True)
    created_at = Instant(required=True)


class ProjectsSchema(PageSchema):
    items = fields.List(fields.Nested(ProjectSchema), required=True)


class MemberSchema(Schema):
    id = fields.String(required=True)
    username = fields.String(required=True)
    name = fields.String(required=True)
    roles = fields.List(fields.String(), required=True)


class MembersSchema(PageSchema):
    items = fields.List(fields.Nested(MemberSchema), required=True)


def project_body(project: Project) -> Mapping[str, Any]:
    return {"id": project.id, "name": project.name, "created_at": rfc3339(project.created_at)}


def member_body(member: Member) -> Mapping[str, Any]:
    return {
        "id": member.user_id,
        "username": member.username,
        "name": member.name,
        "roles": sorted(member.roles),
    }
