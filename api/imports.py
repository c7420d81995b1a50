"""Importing many tasks at once, from JSON or from a CSV file, with news of how far it has come."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from aiohttp import web

from api.context import REQUEST_ID, json_response, principal, services
from api.middleware import common_headers
from api.parsing import load_json, load_query, read_body
from api.routes import Route
from core.domain.errors import DomainError, Invalid
from core.domain.tasks import NewTask
from core.schemas.tasks import ImportBody, ImportedSchema, ImportQuery, imported_body, load_rows, read_csv
from core.services.tasks import Imported

NDJSON = "application/x-ndjson"


async def import_tasks(request: web.Request) -> web.StreamResponse:
    project_id, rows = await _load(request)
    progress = services(request).tasks.import_tasks(principal(request), project_id, rows)
    if NDJSON in request.headers.get("Accept", ""):
        return await _told_in_lines(request, progress)
    last = Imported(len(rows))
    async for now in progress:
        last = now
    return json_response(_body(last, with_errors=True))


async def _load(request: web.Request) -> tuple[str, Sequence[NewTask | DomainError]]:
    """The project, and each row as a task to be or why it is none. In a thread: ten thousand rows take a while."""
    project_id = load_query(request, ImportQuery())["project_id"]
    if request.content_type == "text/csv":
        if project_id is None:
            raise Invalid(
                "Some fields are not right.", fields={"project": ["Missing data for required field."]}
            )
        documents = await asyncio.to_thread(read_csv, await read_body(request))
    else:
        body = await load_json(request, ImportBody())
        project_id, documents = body["project_id"], body["tasks"]
    return project_id, await asyncio.to_thread(load_rows, documents)


async def _told_in_lines(request: web.Request, progress: AsyncIterator[Imported]) -> web.StreamResponse:
    """A line after every chunk, the last one with the errors. What refuses the whole import is an answer of its own."""
    headers = common_headers(request[REQUEST_ID]) | {"Content-Type": NDJSON}
    response = web.StreamResponse(headers=headers)
    async for now in progress:
        if not response.prepared:
            await response.prepare(request)
        await response.write(orjson.dumps(_body(now, with_errors=now.done == now.total)) + b"\n")
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
