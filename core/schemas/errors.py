"""The one form of every refusal, over HTTP and sockets."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from core.domain.errors import DomainError, Invalid, Retryable

MAX_FIELDS = 100
_MAX_NAME = 100


class ErrorBody(Schema):
    code = fields.String(required=True)
    message = fields.String(required=True)
    fields_ = fields.Dict(
        keys=fields.String(), values=fields.List(fields.String()), data_key="fields", attribute="fields"
    )
    details = fields.Dict(keys=fields.String())
    request_id = fields.String()


class ErrorSchema(Schema):
    error = fields.Nested(ErrorBody, required=True)


def error_body(error: DomainError) -> dict[str, Any]:
    """The refusal as `{"code", "message", "fields"?, "details"?, "retry_after_s"?}`."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.fields:
        body["fields"] = error.fields
    if error.details:
        body["details"] = dict(error.details)
    if isinstance(error, Retryable):
        body["retry_after_s"] = error.retry_after_s
    return body


def invalid(error: ValidationError) -> Invalid:
    """A failed validation as a refusal, its nested messages flattened to `to.0: [...]`, the first 100 of them."""
    return Invalid(
        "Some fields are not right.", fields=dict(itertools.islice(_flatten(error.messages), MAX_FIELDS))
    )


def _flatten(messages: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            yield from _flatten(inner, f"{path}.{_printable(key)}" if path else _printable(key))
    else:
        yield path or "_schema", [str(message) for message in messages]


def _printable(name: object) -> str:
    """A field's name as it can be told: unknown ones are whatever the sender made up."""
    return str(name)[:_MAX_NAME].encode("utf-8", "backslashreplace").decode()
