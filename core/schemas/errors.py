"""The one form of every refusal, over HTTP and sockets."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from core.domain.errors import DomainError, Fields, Invalid, Retryable


class ErrorBody(Schema):
    code = fields.String(required=True)
    message = fields.String(required=True)
    fields_ = fields.Dict(
        keys=fields.String(), values=fields.List(fields.String()), data_key="fields", attribute="fields"
    )
    request_id = fields.String()


class ErrorSchema(Schema):
    error = fields.Nested(ErrorBody, required=True)


def error_body(error: DomainError) -> dict[str, Any]:
    """The refusal as `{"code", "message", "fields"?, "retry_after_s"?}`."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.fields:
        body["fields"] = error.fields
    if isinstance(error, Retryable):
        body["retry_after_s"] = error.retry_after_s
    return body


def invalid(error: ValidationError) -> Invalid:
    """A failed validation as a refusal, its nested messages flattened to `to.0: [...]`."""
    return Invalid("Some fields are not right.", fields=dict(_flatten(error.messages)))


def _flatten(messages: Any, path: str = "") -> Fields:
    if isinstance(messages, Mapping):
        flat: dict[str, Any] = {}
        for key, inner in messages.items():
            flat |= _flatten(inner, f"{path}.{key}" if path else str(key))
        return flat
    return {path or "_schema": [str(message) for message in messages]}
