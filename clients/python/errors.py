"""Everything a caller of these clients may have to catch.

ClientError
├── RefusedError        the server will not have this token; trying again cannot mend it
├── SessionEndedError   the server ended the session and said not to come back
├── UnreachableError    no connection this time; the client itself tries again
├── HandlerFailedError  the caller's handler raised for the same event again and again
├── StateFileError      the state file is in use, damaged, or cannot be written
├── LoginError          a login or a refresh was refused
└── PublishError        a notification was not accepted, or nobody knows whether it was
"""


class ClientError(Exception):
    """Base of the tree."""


class RefusedError(ClientError):
    """`code` is the server's, e.g. `token_invalid`."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"the server refused the connection: {code} {message}".rstrip())
        self.code = code


class SessionEndedError(ClientError):
    """`reason` is the server's, e.g. `revoked`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the server ended the session for good: {reason}")
        self.reason = reason


class UnreachableError(ClientError):
    """The transport could not be opened, or closed before the server had answered."""


class HandlerFailedError(ClientError):
    """`__cause__` is what the handler raised last; the position still stands before that event."""


class StateFileError(ClientError):
    """The message names the file and what to do."""


class LoginError(ClientError):
    """`status` is the HTTP status, `code` the server's, e.g. `invalid_credentials`."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(f"{status} {code} {message}".rstrip())
        self.status = status
        self.code = code


class PublishError(ClientError):
    """`status` is the HTTP status, or 0 when there was no answer at all: then the notification may have
    been accepted, and publishing again with the same `idempotency_key` is safe.
    `fields` names what was wrong with which field, as the server said it.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        fields: dict[str, list[str]] | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        details = "".join(f"; {field}: {' '.join(faults)}" for field, faults in (fields or {}).items())
        super().__init__(f"{status} {code}: {message}{details}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields or {}
        self.idempotency_key = idempotency_key
