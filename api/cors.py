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


def share(application: web.Application, origins: Collection[str]) -> None:
    """Let pages of these origins call /api/v1 and read its answers, refusals and what comes in pieces too.

    Never with credentials: cookies are not used here.
    """

    async def allow(request: web.Request, response: web.StreamResponse) -> None:
        if not request.path.startswith(f"{PREFIX}/"):
            return
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("Origin")
        if origin is not None and origin in origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED

    application.on_response_prepare.append(allow)


def preflight(origins: Collection[str]) -> Middleware:
    """A middleware that tells pages of these origins that they may ask."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if asks and request.path.startswith(f"{PREFIX}/") and request.headers.get("Origin") in origins:
            return web.Response(status=204, headers=_PREFLIGHT)
        return await handler(request)

    return answer
