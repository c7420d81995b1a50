"""Publishing notifications, and changing what was published."""

from functools import cache
from typing import Any

from aiohttp import web

from api.context import json_response, principal, services
from api.errors import refusal
from api.parsing import load, load_headers, load_json
from api.routes import ID, Route
from core.domain.clock import rfc3339
from core.domain.errors import DomainError
from core.schemas.errors import error_body
from core.schemas.notifications import (
    BatchBody,
    BatchEntry,
    BatchResponse,
    PublishBody,
    PublishedSchema,
    PublishHeaders,
    SentSchema,
    UpdateBody,
    sent_body,
)
from core.services.notifications import Published, PublishRequest

# Made once: a schema copies all its fields, which costs more than what it then loads.
_PUBLISH_HEADERS = PublishHeaders()
_BATCH_BODY = BatchBody()


@cache
def _publish_body(roles: frozenset[str]) -> PublishBody:
    return PublishBody(roles=roles)


@cache
def _batch_entry(roles: frozenset[str]) -> BatchEntry:
    return BatchEntry(roles=roles)


async def publish(request: web.Request) -> web.Response:
    body = await load_json(request, _publish_body(services(request).roles))
    key = load_headers(request, _PUBLISH_HEADERS)
    published = await services(request).notifications.publish(
        principal(request), PublishRequest(**body, **key)
    )
    return json_response(_published(published), _status(published))


async def publish_batch(request: web.Request) -> web.Response:
    body = await load_json(request, _BATCH_BODY)
    entry = _batch_entry(services(request).roles)
    requests = [_load_entry(entry, document) for document in body["notifications"]]
    results = await services(request).notifications.publish_batch(principal(request), requests)
    return json_response({"results": [_result(result) for result in results]})


async def get(request: web.Request) -> web.Response:
    found = await services(request).notifications.get(principal(request), request.match_info["id"])
    return json_response(sent_body(*found))


async def update(request: web.Request) -> web.Response:
    changes = await load_json(request, UpdateBody())
    found = await services(request).notifications.update(
        principal(request), request.match_info["id"], changes
    )
    return json_response(sent_body(*found))


async def retract(request: web.Request) -> web.Response:
    await services(request).notifications.retract(principal(request), request.match_info["id"])
    return web.Response(status=204)


def _load_entry(schema: BatchEntry, document: Any) -> PublishRequest | DomainError:
    try:
        return PublishRequest(**load(schema, document))
    except DomainError as refused:
        return refused


def _status(published: Published) -> int:
    return 200 if published.duplicate else 201


def _published(published: Published) -> dict[str, Any]:
    return {
        "id": published.notification.id,
        "created_at": rfc3339(published.notification.created_at),
        "postings": dict(published.offsets),
        "connections": published.audience.connections,
        "servers": published.audience.servers,
    }


def _result(result: Published | DomainError) -> dict[str, Any]:
    if isinstance(result, DomainError):
        status, _ = refusal(result)
        return {"status": status, "error": error_body(result)}  # an entry has no header for when to try again
    return {"status": _status(result), **_published(result)}


ROUTES = (
    Route(
        method="POST",
        path="/notifications",
        handler=publish,
        summary="Publish a notification to rooms. 201: stored durably; 200: the same key and body as before.",
        body=PublishBody,
        headers=PublishHeaders,
        responses={201: PublishedSchema, 200: PublishedSchema},
        refusals=(409,),
    ),
    Route(
        method="POST",
        path="/notifications/batch",
        handler=publish_batch,
        summary="Publish many notifications, each accepted or refused for itself.",
        body=BatchBody,
        responses={200: BatchResponse},
    ),
    Route(
        method="GET",
        path=f"/notifications/{ID}",
        handler=get,
        summary="A notification as its sender or an admin sees it.",
        responses={200: SentSchema},
        refusals=(404,),
    ),
    Route(
        method="PATCH",
        path=f"/notifications/{ID}",
        handler=update,
        summary="Change a notification for everybody who has it.",
        body=UpdateBody,
        responses={200: SentSchema},
        refusals=(404,),
    ),
    Route(
        method="DELETE",
        path=f"/notifications/{ID}",
        handler=retract,
        summary="Take a notification back.",
        responses={204: None},
        refusals=(404,),
    ),
)
