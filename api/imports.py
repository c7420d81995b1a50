"""Importing many tasks at once, from JSON or from a CSV file, with news of how far it has come."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from api.context import REQUEST_ID, json_response, principal, services
from api.middleware import common_headers
from api.parsing import load_json, load_query, read_body
from api.routes import Route
from core.domain.errors import Invalid
from core.schemas.tasks import ImportBody, ImportedSchema, ImportQuery, imported_body, load_rows, read_csv
from core.services.tasks import Imported

NDJSON = "application/x-ndjson"


async def import_tasks(request: web.Request) -> web.StreamResponse:
    project_id, documents = await _load(request)
    rows = await asyncio.to_thread(load_rows, documents)
    progress = services(request).tasks.import_tasks(principal(request), project_id, rows)
    if NDJSON in request.headers.get("Accept", ""):
        return await _told_in_lines(request, progress)
    last = Imported(len(rows))
    async for now in progress:
        last = now
    return json_response(_body(last, with_errors=True))


async def _load(request: web.Request) -> tuple[str, Sequence[Any]]:
    """The project, and the rows as they came. Whoever may not import there has none of them looked at."""
    may_import = partial(services(request).tasks.check_may_create, principal(request))
    project_id = load_query(request, ImportQuery())["project_id"]
    if request.content_type == "text/csv":
        if project_id is None:
            raise Invalid(
                "Some fields are not right.", fields={"project": ["Missing data for required field."]}
            )
        may_import(project_id)
        return project_id, await asyncio.to_thread(read_csv, await read_body(request))
    body = await load_json(request, ImportBody())
    may_import(body["project_id"])
    return body["project_id"], body["tasks"]


async def _told_in_lines(request: web.Request, progress: AsyncIterator[Imported]) -> web.StreamResponse:
    """A line after every chunk, the last one with the errors. What refuses the whole import is an answer of its own.

    Whoever does not wait for the end has their rows imported all the same.
    """
    headers = common_headers(request[REQUEST_ID]) | {"Content-Type": NDJSON}
    response = web.StreamResponse(headers=headers)
    async for now in progress:
        with suppress(ConnectionResetError):
            if not response.prepared:
                await response.prepare(request)
            await response.write(orjson.dumps(_body(now, with_errors=now.done == now.total)) + b"\n")
    with suppress(ConnectionResetError):
        await response.write_eof()
    return response


def _body(imported: Imported, *, with_errors: bool) -> dict[str, Any]:
    return imported_body(
        total=imported.total,
        done=imported.done,
        created=imported.created,
        errors=imported.errors,
        with_errors=with_errors,
    )


ROUTES = (
    Route(
        method="POST",
        path="/tasks/import",
        handler=import_tasks,
        summary="Create many tasks, each created or refused for itself. Also text/csv with ?project=, columns as the"
        f" fields of a task; with Accept: {NDJSON} a line says after every 500 how far it is.",
        body=ImportBody,
        query=ImportQuery,
        responses={200: ImportedSchema},
        refusals=(404,),
    ),
)
