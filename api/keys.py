"""API keys of programs, for admins."""

from aiohttp import web

from api.context import json_response, principal, services
from api.parsing import load_json, load_query
from api.routes import KEY, Route
from core.schemas.keys import KeyBody, KeysSchema, NewKeySchema, key_body
from core.schemas.pages import UlidPageQuery, page_body


async def page(request: web.Request) -> web.Response:
    query = load_query(request, UlidPageQuery())
    found = await services(request).keys.page(principal(request), **query)
    return json_response(page_body(found, key_body))


async def add(request: web.Request) -> web.Response:
    body = await load_json(request, KeyBody())
    record, key = await services(request).keys.add(principal(request), **body)
    return json_response({**key_body(record), "key": key}, 201)


async def revoke(request: web.Request) -> web.Response:
    await services(request).keys.revoke(principal(request), request.match_info["key"])
    return web.Response(status=204)


ROUTES = (
    Route(
        method="GET",
        path="/keys",
        handler=page,
        summary="API keys, newest first, without the keys themselves. For admins.",
        query=UlidPageQuery,
        responses={200: KeysSchema},
    ),
    Route(
        method="POST",
        path="/keys",
        handler=add,
        summary="Make an API key. The key is shown this once. For admins.",
        body=KeyBody,
        responses={201: NewKeySchema},
        refusals=(404,),
    ),
    Route(
        method="DELETE",
        path=f"/keys/{KEY}",
        handler=revoke,
        summary="Revoke an API key, for good. For admins.",
        responses={204: None},
        refusals=(404,),
    ),
)
