"""The route table: every route once, with all that the documentation and the middleware need to know of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web
from marshmallow import Schema

from core.domain import ids, rooms
from core.schemas.tasks import TASK_ID_PATTERN

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PREFIX = "/api/v1"

ID = f"{{id:{ids.ID_PATTERN}}}"
"""The id of a notification in a path. What cannot be one is no path of ours: 404, before anything reads it."""
KEY = f"{{key:{ids.ID_PATTERN}}}"
USER = f"{{user:{rooms.ID_PATTERN}}}"
PROJECT = f"{{project:{rooms.ID_PATTERN}}}"
TASK = f"{{task:{TASK_ID_PATTERN}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route. `path` is in the router's form: `{name}`, or `{name:pattern}`. `responses` maps statuses to their body's schema (None: no body); refusals need no mention.

    `refusals` are the statuses, beyond those every route may give, that this one refuses with.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    responses: Mapping[int, type[Schema] | None]
    body: type[Schema] | None = None
    body_required: bool = True
    query: type[Schema] | None = None
    headers: type[Schema] | None = None
    public: bool = False
    refusals: Sequence[int] = field(default=())

    @property
    def name(self) -> str:
        """The operation's id in the documentation: the handler's name, unique over the table."""
        return f"{self.handler.__module__.rpartition('.')[2]}_{self.handler.__name__}"


def add_routes(application: web.Application, routes: Sequence[Route]) -> None:
    """Add the table to the application's router."""
    for route in routes:
        application.router.add_route(route.method, PREFIX + route.path, route.handler)
