"""What handlers work with: the services, and the principal of a request."""

from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from core.domain import addresses
from core.domain.principals import Principal
from core.services.audit import AuditService
from core.services.counters import CounterService
from core.services.identity import IdentityService
from core.services.inbox import InboxService
from core.services.keys import KeyService
from core.services.notifications import NotificationService
from core.services.people import PeopleService
from core.services.presence import PresenceService
from core.services.projects import ProjectService
from core.services.sessions import SessionService
from core.services.summary import SummaryService
from core.services.tasks import TaskService


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The use cases, built once at the composition root."""

    identity: IdentityService
    notifications: NotificationService
    inbox: InboxService
    summary: SummaryService
    counters: CounterService
    presence: PresenceService
    tasks: TaskService
    people: PeopleService
    projects: ProjectService
    keys: KeyService
    sessions: SessionService
    audit: AuditService
    roles: frozenset[str]


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
PRINCIPAL: web.RequestKey[Principal] = web.RequestKey("principal", Principal)
TRUSTED_PROXIES: web.AppKey[int] = web.AppKey("trusted_proxies", int)
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)


def services(request: web.Request) -> Services:
    return request.app[SERVICES]


def principal(request: web.Request) -> Principal:
    """The authenticated caller; only on routes that need one."""
    return request[PRINCIPAL]


def client_address(request: web.Request) -> str:
    """The address of whoever asked: of the connection, or what the trusted proxies before it say."""
    forwarded_for = request.headers.getall("X-Forwarded-For", ())
    return addresses.client_address(request.remote, forwarded_for, request.app[TRUSTED_PROXIES])


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )
