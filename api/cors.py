"""Browsers on other origins: the interface answers those of the setting CORS_ORIGINS, and no others."""

from collections.abc import Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api.routes import PREFIX

_MAX_AGE_S = 600
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, X-API-Key, X-Request-ID",
    "Access-Control-Max-Age": str(_MAX_AGE_S),
}
_EXPOSED = "Retry-After, X-Request-ID"


def cross_origin(origins: Collection[str]) -> Middleware:
    """A middleware that lets pages of these origins call /api/v1 and read its answers, refusals too.

    Never with credentials: cookies are not used here.
    """

    @web.middleware
    async def share(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(f"{PREFIX}/"):
            return await handler(request)
        origin = request.headers.get("Origin")
        allowed = origin in origins
        if allowed and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response: web.StreamResponse = web.Response(status=204, headers=_PREFLIGHT)
        else:
            response = await handler(request)
        response.headers["Vary"] = "Origin"
        if allowed and origin is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        return response

    return share
