"""Every way in which a request is refused, as one tree with stable codes.

    DomainError
    ├── Malformed            not JSON, or not the shape of a request at all
    ├── Unauthenticated      who is asking is unknown (token missing, invalid, expired, revoked)
    ├── Forbidden            who is asking is known, and may not
    ├── NotFound             no such thing, or not theirs to see
    ├── Conflict             the state of things does not allow it (idempotency, tasks, names)
    ├── TooLarge             more bytes than a request may have
    ├── Invalid              well-formed, and wrong: carries the fields
    ├── RateLimited          too much; try again later
    └── Unavailable          what cannot be done now, and was not done or is unknown; try again

The code is what clients branch on and never changes; the message is for people and may. Edges map the
classes to HTTP statuses and Socket.IO acknowledgements; nothing else raises for a refusal.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Fields = Mapping[str, Sequence[str]]


class DomainError(Exception):
    """A refusal with a stable `code`, a message for people and, where it has them, the fields at fault, and `details`
    (JSON values) of how things stand.
    """

    code = "refused"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        fields: Fields | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.fields = fields
        self.details = details


class Malformed(DomainError):
    code = "malformed_json"


class Unauthenticated(DomainError):
    code = "token_invalid"


class Forbidden(DomainError):
    code = "forbidden"


class NotFound(DomainError):
    code = "not_found"


class Conflict(DomainError):
    code = "conflict"


class TooLarge(DomainError):
    code = "too_large"


class Invalid(DomainError):
    code = "validation_failed"


class Retryable(DomainError):
    """A refusal that passes by itself; `retry_after_s` says when another try makes sense."""

    def __init__(self, message: str, *, code: str | None = None, retry_after_s: int = 1) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class RateLimited(Retryable):
    code = "rate_limited"


class Unavailable(Retryable):
    code = "storage_unavailable"
