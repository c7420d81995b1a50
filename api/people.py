"""People, for admins."""

from aiohttp import web

from api.context import json_response, principal, services
from api.parsing import load_json, load_query
from api.routes import USER, Route
from core.schemas.pages import page_body
from core.schemas.people import (
    PeopleQuery,
    PeopleSchema,
    PersonBody,
    PersonChangesBody,
    PersonSchema,
    person_body,
)


async def page(request: web.Request) -> web.Response:
    query = load_query(request, PeopleQuery())
    found = await services(request).people.page(principal(request), **query)
    return json_response(page_body(found, person_body))


async def add(request: web.Request) -> web.Response:
    body = await load_json(request, PersonBody())
    person = await services(request).people.add(principal(request), **body)
    return json_response(person_body(person), 201)


async def get(request: web.Request) -> web.Response:
    person = await services(request).people.person(principal(request), request.match_info["user"])
    return json_response(person_body(person))


async def change(request: web.Request) -> web.Response:
    changes = await load_json(request, PersonChangesBody())
    person = await services(request).people.change(principal(request), request.match_info["user"], changes)
    return json_response(person_body(person))


ROUTES = (
    Route(
        method="GET",
        path="/users",
        handler=page,
        summary="People in the order in which they came. For admins.",
        query=PeopleQuery,
        responses={200: PeopleSchema},
    ),
    Route(
        method="POST",
        path="/users",
        handler=add,
        summary="Create a person. For admins.",
        body=PersonBody,
        responses={201: PersonSchema},
        refusals=(404, 409),
    ),
    Route(
        method="GET",
        path=f"/users/{USER}",
        handler=get,
        summary="One person. For admins.",
        responses={200: PersonSchema},
        refusals=(404,),
    ),
    Route(
        method="PATCH",
        path=f"/users/{USER}",
        handler=change,
        summary="Change a person. A new password and disabling end all their logins. For admins.",
        body=PersonChangesBody,
        responses={200: PersonSchema},
        refusals=(404, 409),
    ),
)
