"""Logging in, staying logged in, logging out."""

import logging
from typing import Any

from aiohttp import web

from api.context import client_address, json_response, principal, services
from api.parsing import load_json
from api.routes import Route
from core.domain.errors import Unauthenticated
from core.schemas.auth import (
    LoginRequest,
    LoginResponse,
    LogoutRequest,
    MeSchema,
    RefreshRequest,
    user_body,
)
from core.services.identity import Login

MAX_CREDENTIALS_BYTES = 64 << 10
"""Of a body that anybody may send: a token at its longest, with every character escaped as two."""

_logger = logging.getLogger(__name__)


async def login(request: web.Request) -> web.Response:
    body = await load_json(request, LoginRequest(), max_bytes=MAX_CREDENTIALS_BYTES)
    try:
        issued = await services(request).identity.login(**body, address=client_address(request))
    except Unauthenticated:
        # For whoever watches for guessing. Hashing, two at once, keeps it from becoming many lines.
        _logger.warning("❌ [Auth] 登录被拒绝", extra={"address": client_address(request)})
        raise
    return json_response(_issued(issued))


async def refresh(request: web.Request) -> web.Response:
    body = await load_json(request, RefreshRequest(), max_bytes=MAX_CREDENTIALS_BYTES)
    issued = await services(request).identity.refresh(**body)
    return json_response(_issued(issued))


async def logout(request: web.Request) -> web.Response:
    body = await load_json(request, LogoutRequest(), required=False)
    await services(request).identity.logout(principal(request), **body)
    return web.Response(status=204)


async def me(request: web.Request) -> web.Response:
    user = principal(request).person
    return json_response({**user_body(user), "rooms": list(user.rooms)})


def _issued(login: Login) -> dict[str, Any]:
    return {
        "access_token": login.access_token,
        "token_type": "Bearer",
        "expires_in": login.expires_in_s,
        "refresh_token": login.refresh_token,
        "user": user_body(login.user),
    }


ROUTES = (
    Route(
        method="POST",
        path="/auth/login",
        handler=login,
        summary="Log in with username and password.",
        body=LoginRequest,
        responses={200: LoginResponse},
        public=True,
        refusals=(401,),
    ),
    Route(
        method="POST",
        path="/auth/refresh",
        handler=refresh,
        summary="Exchange a refresh token for fresh tokens; it works once.",
        body=RefreshRequest,
        responses={200: LoginResponse},
        public=True,
        refusals=(401,),
    ),
    Route(
        method="POST",
        path="/auth/logout",
        handler=logout,
        summary="End this login, or all of the caller's, with their tokens and live sessions.",
        body=LogoutRequest,
        body_required=False,
        responses={204: None},
    ),
    Route(
        method="GET",
        path="/me",
        handler=me,
        summary="The caller and their rooms.",
        responses={200: MeSchema},
    ),
)
