"""The OpenAPI 3.1 document, made from the route table and the schemas, so that it cannot drift from them."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from aiohttp import web
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, fields

from api.context import json_response
from api.routes import PREFIX, Route
from core.schemas.errors import ErrorSchema
from core.schemas.fields import JsonObject

_REFUSALS = {
    400: "Malformed",
    401: "Who is asking is not known",
    403: "Not allowed",
    404: "Not found",
    409: "Conflict",
    413: "Too large",
    421: "Not a name of this server",
    422: "Some fields are not right",
    429: "Too much; try again later",
    503: "Cannot be stored or read now; try again",
}
_WITH_RETRY = (429, 503)
_PLACEHOLDER = re.compile(r"{(\w+)(?::((?:[^{}]|{[^{}]*})+))?}")


def build_document(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI document of the routes."""
    plugin = MarshmallowPlugin(schema_name_resolver=_name)
    spec = APISpec("Notification server", "1", "3.1.0", plugins=[plugin])
    if plugin.converter is None:
        raise RuntimeError("apispec's plugin converts only once it belongs to a document.")
    for attributes in (_json_object, _batch_entries, _map_length):
        plugin.converter.add_attribute_function(attributes)  # type: ignore[no-untyped-call]
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    spec.components.security_scheme("token", bearer)
    spec.components.security_scheme("key", {"type": "apiKey", "in": "header", "name": "X-API-Key"})
    for route in routes:
        path = PREFIX + _PLACEHOLDER.sub(r"{\1}", route.path)
        spec.path(path=path, operations={route.method.lower(): _operation(route)})
    document: dict[str, Any] = spec.to_dict()
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation["parameters"]:
                _without_null(parameter["schema"])
    return document


def document_route(routes: Sequence[Route]) -> Route:
    """The route that serves the document of the routes, itself not among them. It is made once it is asked for: that takes
    half as long as the start of a server.
    """
    document = cache(partial(build_document, routes))

    async def openapi(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler's signature
        return json_response(await asyncio.to_thread(document))

    return Route(
        method="GET",
        path="/openapi.json",
        handler=openapi,
        summary="This.",
        responses={200: None},
        public=True,
    )


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "security": [] if route.public else [{"token": []}, {"key": []}],
        "parameters": [*_path_parameters(route.path)],
        "responses": {str(status): _response(schema) for status, schema in route.responses.items()},
    }
    for schema, place in ((route.query, "query"), (route.headers, "header")):
        if schema is not None:
            operation["parameters"].append({"in": place, "schema": schema})
    if route.body is not None:
        content = {"application/json": {"schema": route.body}}
        operation["requestBody"] = {"required": route.body_required, "content": content}
    for status in _refusal_statuses(route):
        operation["responses"][str(status)] = _refusal(status)
    return operation


def _refusal_statuses(route: Route) -> Sequence[int]:
    statuses = {400, 421, 429, 503, *route.refusals}
    if not route.public:
        statuses |= {401, 403}
    if route.body is not None:
        statuses |= {413, 422}
    if route.query is not None or route.headers is not None:
        statuses.add(422)
    return sorted(statuses)


def _response(schema: type[Schema] | None) -> dict[str, Any]:
    if schema is None:
        return {"description": "Done"}
    return {"description": "Done", "content": {"application/json": {"schema": schema}}}


def _refusal(status: int) -> dict[str, Any]:
    response = {
        "description": _REFUSALS[status],
        "content": {"application/json": {"schema": ErrorSchema}},
    }
    if status in _WITH_RETRY:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}
    return response


def _path_parameters(path: str) -> list[Mapping[str, Any]]:
    return [
        {
            "in": "path",
            "name": name,
            "required": True,
            "schema": {"type": "string", **({"pattern": f"^{pattern}$"} if pattern else {})},
        }
        for name, pattern in _PLACEHOLDER.findall(path)
    ]


def _without_null(schema: dict[str, Any]) -> None:
    """Queries and headers know no null: a parameter is given or not."""
    if schema.get("default", ...) is None:
        del schema["default"]
    if isinstance(schema.get("type"), list):
        schema["type"] = next(type_ for type_ in schema["type"] if type_ != "null")
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]


def _name(schema: Any) -> str:
    class_ = schema if isinstance(schema, type) else type(schema)
    return class_.__name__.removesuffix("Schema")


def _json_object(_converter: object, field: fields.Field[Any], **_: Any) -> dict[str, Any]:
    return {"type": "object"} if isinstance(field, JsonObject) else {}


def _batch_entries(converter: Any, field: fields.Field[Any], **_: Any) -> dict[str, Any]:
    entry = field.metadata.get("entry")
    return {} if entry is None else converter.resolve_nested_schema(entry)


def _map_length(
    _converter: object, field: fields.Field[Any], ret: dict[str, Any], **_: Any
) -> dict[str, Any]:
    """The length of a map: apispec calls it that of a text."""
    is_bounded = isinstance(field, fields.Dict) and "maxLength" in ret
    return {"maxProperties": ret.pop("maxLength")} if is_bounded else {}
