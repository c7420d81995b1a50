"""Live sessions of this server, for admins."""

from aiohttp import web

from api.context import json_response, principal, services
from api.parsing import load_query
from api.routes import Route
from core.schemas.pages import page_body
from core.schemas.sessions import SESSION_ID_PATTERN, SessionsQuery, SessionsSchema, session_body


async def page(request: web.Request) -> web.Response:
    query = load_query(request, SessionsQuery())
    found = await services(request).sessions.page(principal(request), **query)
    return json_response(page_body(found, session_body))


async def end(request: web.Request) -> web.Response:
    await services(request).sessions.end(principal(request), request.match_info["session"])
    return web.Response(status=204)


ROUTES = (
    Route(
        method="GET",
        path="/sessions",
        handler=page,
        summary="Who is connected to this server. For admins.",
        query=SessionsQuery,
        responses={200: SessionsSchema},
    ),
    Route(
        method="DELETE",
        path=f"/sessions/{{session:{SESSION_ID_PATTERN}}}",
        handler=end,
        summary="End a session of this server, and everywhere the login behind it. For admins.",
        responses={204: None},
        refusals=(404,),
    ),
)
