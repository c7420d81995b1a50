"""Health: whether the process lives, and whether it should get traffic."""

import time
from collections.abc import Callable

from aiohttp import web

from api.context import json_response
from realtime.hub import Hub

MAX_SWEEP_AGE_S = 5.0


def health_routes(hub: Hub, is_stopping: Callable[[], bool]) -> list[web.RouteDef]:
    """`/healthz`: alive. `/readyz`: 503 only for faults of this process; a shared fault is `degraded`, since a
    balancer that drops every server at once would make a partial outage a total one.
    """

    async def alive(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler's signature
        return json_response({"status": "ok"})

    async def ready(request: web.Request) -> web.Response:  # noqa: ARG001
        if is_stopping():
            return json_response({"status": "stopping", "checks": {}}, 503)
        stuck = time.monotonic() - hub.swept_at > MAX_SWEEP_AGE_S and hub.log_reachable
        checks = {
            "sweep": "stuck" if stuck else "ok",
            "database": "ok" if hub.log_reachable else "unreachable",
        }
        if stuck:
            return json_response({"status": "unavailable", "checks": checks}, 503)
        status = "ok" if hub.log_reachable else "degraded"
        return json_response({"status": status, "checks": checks})

    return [web.get("/healthz", alive), web.get("/readyz", ready)]
