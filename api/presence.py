"""Who is connected."""

from aiohttp import web

from api.context import json_response, principal, services
from api.parsing import load_query
from api.routes import Route
from core.schemas.presence import PresenceQuery, PresenceSchema


async def presence(request: web.Request) -> web.Response:
    query = load_query(request, PresenceQuery(roles=services(request).roles))
    found = await services(request).presence.connections(principal(request), query["rooms"])
    rooms = {room: {"online": number > 0, "connections": number} for room, number in found.items()}
    return json_response({"rooms": rooms})


ROUTES = (
    Route(
        method="GET",
        path="/presence",
        handler=presence,
        summary="Connections in rooms: the caller's own, or any for an admin.",
        query=PresenceQuery,
        responses={200: PresenceSchema},
    ),
)
