"""Health: whether the process lives, and whether it should get traffic."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from api.context import json_response
from realtime.manager import RedisManager
from realtime.repair import Repair
from server.pulse import Pulse

MAX_SWEEP_AGE_S = 5.0

_OURS = frozenset({"stuck", "deaf"})
"""Faults of this process: another one may well be without them."""


@dataclass(frozen=True, slots=True)
class Health:
    """What is looked at when somebody asks."""

    repair: Repair
    manager: RedisManager | None
    pulse: Pulse
    is_stopping: Callable[[], bool]
    is_refused: Callable[[], bool]
    """Whether the database answers and stores nothing: it is full, or only reads, as after a failover."""

    def checks(self) -> dict[str, str]:
        """Each part that can fail, and how it is: `ok`, `stuck`, `deaf`, `unreachable` or `read_only`."""
        repair = self.repair
        stores = "read_only" if self.is_refused() else "ok"
        sweep_age_s = time.monotonic() - repair.swept_at
        checks = {
            "loop": "stuck" if self.pulse.is_stuck else "ok",
            "sweep": "stuck" if sweep_age_s > MAX_SWEEP_AGE_S and repair.log_reachable else "ok",
            "database": stores if repair.log_reachable else "unreachable",
        }
        return checks if self.manager is None else checks | {"redis": self.manager.state}

    def routes(self) -> list[web.RouteDef]:
        """`/healthz`: alive. `/readyz`: 503 only for faults of this process; a shared fault is `degraded`, since a
        balancer that drops every server at once would make a partial outage a total one.
        """
        return [web.get("/healthz", self._alive), web.get("/readyz", self._ready)]

    async def _alive(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's signature
        return json_response({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:  # noqa: ARG002
        if self.is_stopping():
            return json_response({"status": "stopping", "checks": {}}, 503)
        checks = self.checks()
        found = set(checks.values())
        if found & _OURS:
            return json_response({"status": "unavailable", "checks": checks}, 503)
        return json_response({"status": "ok" if found == {"ok"} else "degraded", "checks": checks})
