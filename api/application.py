"""The HTTP application: the table of routes behind the middleware."""

from collections.abc import Collection

from aiohttp import web

from api import (
    audit,
    auth,
    imports,
    inbox,
    keys,
    notifications,
    people,
    presence,
    projects,
    sessions,
    summary,
    tasks,
)
from api.context import SERVICES, TRUSTED_PROXIES, Services
from api.cors import preflight, share
from api.hosts import AllowedHosts, host_check
from api.middleware import authentication, refusals
from api.openapi import document_route
from api.routes import Route, add_routes

MAX_BODY_BYTES = 4 << 20

ROUTES: tuple[Route, ...] = (
    *auth.ROUTES,
    *notifications.ROUTES,
    *inbox.ROUTES,
    *summary.ROUTES,
    *presence.ROUTES,
    *tasks.ROUTES,
    *imports.ROUTES,
    *people.ROUTES,
    *projects.ROUTES,
    *keys.ROUTES,
    *sessions.ROUTES,
    *audit.ROUTES,
)


def build_application(
    services: Services,
    *,
    hosts: AllowedHosts,
    cors_origins: Collection[str] = (),
    trusted_proxies: int = 0,
) -> web.Application:
    """The application with everything under /api/v1. Health, metrics and sockets are added by the caller, and are
    answered under the same hosts. `trusted_proxies` is how many of our own every request comes through.
    """
    documented = (*ROUTES, document_route(ROUTES))
    private = frozenset(route.handler for route in documented if not route.public)
    application = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[host_check(hosts), preflight(cors_origins), refusals, authentication(private)],
    )
    share(application, cors_origins)
    application[SERVICES] = services
    application[TRUSTED_PROXIES] = trusted_proxies
    add_routes(application, documented)
    return application
