"""Projects and who is in them, for admins."""

from aiohttp import web

from api.context import json_response, principal, services
from api.parsing import load_json, load_query
from api.routes import PROJECT, USER, Route
from core.schemas.pages import page_body
from core.schemas.projects import (
    MemberBody,
    MemberSchema,
    MembersSchema,
    ProjectBody,
    ProjectSchema,
    ProjectsQuery,
    ProjectsSchema,
    member_body,
    project_body,
)


async def page(request: web.Request) -> web.Response:
    query = load_query(request, ProjectsQuery())
    found = await services(request).projects.page(principal(request), **query)
    return json_response(page_body(found, project_body))


async def add(request: web.Request) -> web.Response:
    body = await load_json(request, ProjectBody())
    project = await services(request).projects.add(principal(request), **body)
    return json_response(project_body(project), 201)


async def members(request: web.Request) -> web.Response:
    query = load_query(request, ProjectsQuery())
    found = await services(request).projects.members(
        principal(request), request.match_info["project"], **query
    )
    return json_response(page_body(found, member_body))


async def set_member(request: web.Request) -> web.Response:
    body = await load_json(request, MemberBody())
    member = await services(request).projects.set_member(principal(request), *_place(request), **body)
    return json_response(member_body(member))


async def remove_member(request: web.Request) -> web.Response:
    await services(request).projects.remove_member(principal(request), *_place(request))
    return web.Response(status=204)


def _place(request: web.Request) -> tuple[str, str]:
    return request.match_info["project"], request.match_info["user"]


ROUTES = (
    Route(
        method="GET",
        path="/projects",
        handler=page,
        summary="Projects by id. For admins.",
        query=ProjectsQuery,
        responses={200: ProjectsSchema},
    ),
    Route(
        method="POST",
        path="/projects",
        handler=add,
        summary="Create a project. For admins.",
        body=ProjectBody,
        responses={201: ProjectSchema},
        refusals=(409,),
    ),
    Route(
        method="GET",
        path=f"/projects/{PROJECT}/members",
        handler=members,
        summary="Who is in a project, with their roles there. For its reviewers and admins, and admins.",
        query=ProjectsQuery,
        responses={200: MembersSchema},
        refusals=(404,),
    ),
    Route(
        method="PUT",
        path=f"/projects/{PROJECT}/members/{USER}",
        handler=set_member,
        summary="Let a person be in a project with these roles and no others. For admins.",
        body=MemberBody,
        responses={200: MemberSchema},
        refusals=(404, 409),
    ),
    Route(
        method="DELETE",
        path=f"/projects/{PROJECT}/members/{USER}",
        handler=remove_member,
        summary="Let a person leave a project. For admins.",
        responses={204: None},
        refusals=(404, 409),
    ),
)
