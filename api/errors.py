"""Refusals as HTTP: the one table from the error tree to statuses."""

from typing import Any

from core.domain.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    RateLimited,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from core.schemas.errors import error_body

_STATUSES: dict[type[DomainError], int] = {
    Malformed: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Invalid: 422,
    RateLimited: 429,
    Unavailable: 503,
}


def refusal(error: DomainError) -> tuple[int, dict[str, Any]]:
    """The status and the body's `error` of a refusal."""
    body = error_body(error)
    body.pop("retry_after_s", None)
    return _STATUSES[type(error)], body
