"""The audit trail, for admins."""

from aiohttp import web

from api.context import json_response, principal, services
from api.parsing import load_query
from api.routes import Route
from core.schemas.audit import AuditQuery, AuditSchema, entry_body
from core.schemas.pages import page_body


async def page(request: web.Request) -> web.Response:
    query = load_query(request, AuditQuery())
    found = await services(request).audit.page(principal(request), **query)
    return json_response(page_body(found, entry_body))


ROUTES = (
    Route(
        method="GET",
        path="/audit",
        handler=page,
        summary="Who did what to whom, newest first. For admins.",
        query=AuditQuery,
        responses={200: AuditSchema},
    ),
)
