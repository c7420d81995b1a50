"""Around every request: an id, who is asking, and refusals in one form."""

import logging
import re

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api.context import PRINCIPAL, REQUEST_ID, json_response, services
from api.errors import refusal
from core.domain.errors import DomainError, Malformed, Retryable, Unauthenticated
from core.domain.ids import new_id
from core.domain.principals import Principal

_logger = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, and turn every refusal and fault into the one JSON error."""
    given = request.headers.get("X-Request-ID", "")
    request_id = request[REQUEST_ID] = given if _REQUEST_ID.fullmatch(given) else new_id()
    try:
        response = await handler(request)
    except DomainError as error:
        response = _refused(error, request_id)
    except web.HTTPException as error:
        if error.status < 400:  # noqa: PLR2004 - a redirect is no refusal
            raise
        response = _http_error(error, request_id)
    except ConnectionResetError:
        # The caller has gone while we answered: nobody is left to tell, and nothing of ours went wrong.
        raise
    except Exception:
        # The edge: whatever went wrong inside is logged whole, and said without detail.
        _logger.exception("request failed", extra={"request_id": request_id})
        body = {"code": "internal_error", "message": "Something went wrong here.", "request_id": request_id}
        response = json_response({"error": body}, 500)
    if request.content.exception() is not None:
        response.force_close()  # a body that does not decode: where the next request begins is unknown
    if not response.prepared:
        for name, value in common_headers(request_id).items():
            response.headers.setdefault(name, value)
    return response


def refused(status: int, code: str, message: str) -> web.Response:
    """A refusal of what reaches no handler, in the form of the others, with an id of its own."""
    request_id = new_id()
    error = {"code": code, "message": message, "request_id": request_id}
    return json_response({"error": error}, status, common_headers(request_id))


def common_headers(request_id: str) -> dict[str, str]:
    """What every answer says beside its body, unless its handler says otherwise."""
    return {"X-Request-ID": request_id, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def authentication(private: frozenset[Handler]) -> Middleware:
    """A middleware that puts the principal on every request to the private handlers."""

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.handler in private:
            request[PRINCIPAL] = await _principal(request)
        return await handler(request)

    return authenticate


def bearer_token(request: web.Request) -> str:
    """The bearer token of a request, empty without one. Raises `Unauthenticated` for another scheme."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme and scheme.lower() != "bearer":
        raise Unauthenticated("Only bearer tokens are known here.")
    return token.strip()


async def _principal(request: web.Request) -> Principal:
    key = request.headers.get("X-API-Key", "")
    return await services(request).identity.authenticate(bearer_token(request) or key)


def _refused(error: DomainError, request_id: str) -> web.Response:
    status, body = refusal(error)
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, Retryable) else {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return json_response({"error": {**body, "request_id": request_id}}, status, headers)


def _http_error(error: web.HTTPException, request_id: str) -> web.Response:
    code = _HTTP_CODES.get(error.status, Malformed.code if error.status == 400 else "refused")  # noqa: PLR2004
    body = {"code": code, "message": error.reason, "request_id": request_id}
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return json_response({"error": body}, error.status, headers)
