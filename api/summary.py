"""What other platforms say is waiting for people."""

from aiohttp import web

from api.context import principal, services
from api.parsing import load_json
from api.routes import Route
from core.schemas.summary import CountersBody


async def push_counters(request: web.Request) -> web.Response:
    people = await load_json(request, CountersBody())
    await services(request).counters.push(principal(request), people)
    return web.Response(status=204)


ROUTES = (
    Route(
        method="PUT",
        path="/summary/counters",
        handler=push_counters,
        summary="Replace what the caller says is waiting for these people, in their summaries.",
        body=CountersBody,
        responses={204: None},
    ),
)
