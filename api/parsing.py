"""Request parsing: bodies, queries and headers through marshmallow, with our one error shape."""

import asyncio
import json
from typing import Any

from aiohttp import hdrs, web
from marshmallow import Schema, ValidationError

from core.domain.errors import Invalid, Malformed, TooLarge
from core.schemas.errors import invalid

BODY_S = 30
"""A body has to be there so long after its head, in s: until then it is kept, and there may be many."""
_MAX_FIELDS = 1_000
"""More than any schema has: what is unknown is told one by one, and that takes its time."""


async def load_json(
    request: web.Request, schema: Schema, *, required: bool = True, max_bytes: int | None = None
) -> Any:
    """The body, loaded by the schema; one that is not required and not there is as good as an empty object.

    It may have `max_bytes`, where that is less than any body may. Raises `Malformed`, `TooLarge`, `Invalid`.
    """
    document = await _document(request, max_bytes) if required or request.body_exists else {}
    if not isinstance(document, dict):
        raise Malformed("The body must be one JSON object.")
    return load(schema, document)


def load_query(request: web.Request, schema: Schema) -> Any:
    """The query parameters, loaded by the schema. Raises `Invalid`, also for one that is given twice."""
    _check_given_once({name for name in request.query if len(request.query.getall(name)) > 1})
    return load(schema, dict(request.query))


def load_headers(request: web.Request, schema: Schema) -> Any:
    """The headers that the schema names. Raises `Invalid`, also for one that is given twice."""
    names = {field.data_key or name for name, field in schema.fields.items()}
    _check_given_once({name for name in names if len(request.headers.getall(name, ())) > 1})
    return load(schema, {name: request.headers[name] for name in names if name in request.headers})


def load(schema: Schema, document: Any) -> Any:
    """What the schema makes of the document. Raises `Invalid` with the fields at fault."""
    if isinstance(document, dict) and len(document) > _MAX_FIELDS:
        raise Invalid("There are far too many fields.")
    try:
        return schema.load(document)
    except ValidationError as error:
        raise invalid(error) from error


def _check_given_once(repeated: set[str]) -> None:
    if repeated:
        raise Invalid(
            "Some fields are not right.", fields=dict.fromkeys(repeated, ("Given more than once.",))
        )


async def read_body(request: web.Request, max_bytes: int | None = None) -> bytes:
    """The body as it came. Raises `TooLarge`, `Malformed`; the latter also when it does not come whole in time."""
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        # A few kilobytes may unpack to megabytes, which cost whoever sends them nothing.
        raise web.HTTPUnsupportedMediaType
    try:
        async with asyncio.timeout(BODY_S):
            return await (request.clone(client_max_size=max_bytes) if max_bytes else request).read()
    except web.HTTPRequestEntityTooLarge as error:
        raise TooLarge("The request is too large.") from error
    except (web.RequestPayloadError, ConnectionResetError, TimeoutError) as error:
        # Where the next request would begin is not known.
        request.content.set_exception(error)
        raise Malformed("The body did not arrive whole.") from error


async def _document(request: web.Request, max_bytes: int | None) -> Any:
    try:
        # The standard parser on purpose: what orjson refuses outright, such as NaN or a lone surrogate, gets
        # through to the schema, which names the field.
        return json.loads(await read_body(request, max_bytes))
    except (ValueError, RecursionError) as error:
        raise Malformed("The body is not JSON.") from error
