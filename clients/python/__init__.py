"""Clients in Python: `NotificationClient` receives, `Publisher` publishes, `login` gets the token for either."""

from .auth import TokenSource, login
from .client import NotificationClient
from .errors import (
    ClientError,
    HandlerFailedError,
    LoginError,
    PublishError,
    RefusedError,
    SessionEndedError,
    StateFileError,
    UnreachableError,
)
from .publisher import Publisher, PublishResult

__all__ = [
    "ClientError",
    "HandlerFailedError",
    "LoginError",
    "NotificationClient",
    "PublishError",
    "PublishResult",
    "Publisher",
    "RefusedError",
    "SessionEndedError",
    "StateFileError",
    "TokenSource",
    "UnreachableError",
    "login",
]
