"""The composition root: the one place where the parts are made and put together."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from api.application import build_application
from api.context import Services
from api.hosts import AllowedHosts
from core.domain.budget import Allowance
from core.domain.errors import Unavailable
from core.domain.ids import new_id
from core.domain.principals import OPERATOR
from core.ports.log import Unit
from core.services.administration import Administration, audit_line
from core.services.audit import AuditService
from core.services.budget import Budget
from core.services.counters import CounterService
from core.services.demo import load_demo
from core.services.identity import IdentityService
from core.services.inbox import InboxService
from core.services.issuers import OutsideTokens
from core.services.keys import KeyService
from core.services.notifications import NotificationService
from core.services.passwords import Passwords
from core.services.people import PeopleService
from core.services.presence import PresenceService
from core.services.projects import ProjectService
from core.services.retention import RetentionService
from core.services.sessions import SessionService
from core.services.summary import SummaryService
from core.services.tasks import TaskService
from core.services.tokens import Tokens
from core.services.workday import Untold, Workday
from core.store import backup
from core.store.checks import check_data_model, check_durable
from core.store.counters import SqlCounters
from core.store.database import STATEMENT_TIMEOUT_S, Database, open_database
from core.store.directory import SqlDirectory
from core.store.identity import SqlIdentity
from core.store.inbox import SqlInbox
from core.store.log import SqlLog
from core.store.migrations import migrate
from core.store.positions import FLUSH_INTERVAL_S, SqlPositions
from core.store.retention import SqlRetention
from core.store.tasks import SqlTasks
from realtime.admission import Admission
from realtime.background import Background
from realtime.events import Events, EventServices
from realtime.gateway import Gateway
from realtime.hub import Hub
from realtime.manager import RedisManager, build_socket_server
from realtime.pace import Pace
from realtime.publisher import FastPath
from realtime.receiver import Receiver
from realtime.replay import Replay
from realtime.seal import Seal
from realtime.sessions import SessionList, Sessions
from server.health import Health
from server.jwks import CHECK_S, opened_keys
from server.metrics import Metrics, metrics_route
from server.pulse import Pulse
from server.readings import (
    budget_readings,
    core_readings,
    redis_readings,
    socket_readings,
    source_readings,
)
from server.settings import Settings
from server.stopping import last_answers
from server.summary_sources import opened_sources
from server.web_client import WebClient


@asynccontextmanager
async def opened_database(
    settings: Settings, *, statement_timeout_s: float | None = STATEMENT_TIMEOUT_S
) -> AsyncIterator[Database]:
    """The database of the settings, for as long as the block runs. Raises `Unavailable`."""
    if settings.uses_sqlite:
        _make_folder(settings)
    database = open_database(settings.database_url, statement_timeout_s=statement_timeout_s)
    try:
        yield database
    finally:
        await database.close()


def _make_folder(settings: Settings) -> None:
    """And in it the file, which SQLite would let everybody read, with all that it makes beside it."""
    path = settings.sqlite_path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise Unavailable(f"The database {path} cannot be made: {os.strerror(error.errno or 0)}.") from error


async def migrate_database(settings: Settings) -> tuple[str | None, str | None]:
    """Bring the database to the present data model, however long it takes. Returns the revisions before and after."""
    async with opened_database(settings, statement_timeout_s=None) as database:
        return await migrate(database)


@asynccontextmanager
async def opened_log(settings: Settings) -> AsyncIterator[tuple[Database, SqlLog]]:
    """The database with its log, without sockets, for the command line."""
    async with opened_database(settings) as database:
        await check_data_model(database)
        log = SqlLog(database)
        try:
            yield database, log
        finally:
            await log.close()


@dataclass(frozen=True, slots=True)
class Operator:
    """What the command line works with: the log without sockets."""

    administration: Administration
    passwords: Passwords
    people: PeopleService
    keys: KeyService

    async def load_demo(self) -> None:
        """The demo's projects and people. Raises `Conflict` (users_exist)."""
        await load_demo(self.administration, self.passwords)


@asynccontextmanager
async def workday(settings: Settings) -> AsyncIterator[Workday]:
    """The demo's people at work, for as long as the block runs, beside whatever servers run."""
    async with opened_log(settings) as (database, log):
        identity, inbox, positions = SqlIdentity(database), SqlInbox(database), SqlPositions(database)
        untold = Untold()
        yield Workday(
            identity,
            TaskService(log, untold, SqlTasks(database), Budget(None)),
            InboxService(inbox, identity, log, untold),
            positions,
            random.Random(),  # noqa: S311 - a game
        )
        await positions.flush()


@asynccontextmanager
async def administration(settings: Settings) -> AsyncIterator[Operator]:
    """An operator's means, for as long as the block runs. Running servers feel the changes by their sweep."""
    async with opened_log(settings) as (database, log):
        directory, passwords = SqlDirectory(database), Passwords()
        changes = Administration(log, lambda _: None)
        yield Operator(
            changes,
            passwords,
            PeopleService(directory, changes, passwords, settings.roles),
            KeyService(directory, changes, settings.roles),
        )


def back_up_database(settings: Settings, path: Path, *, overwrite: bool) -> None:
    """Copy the SQLite database to one file, also while servers run. Raises `Conflict` and `Unavailable`."""
    backup.back_up(settings.sqlite_path, path, overwrite=overwrite)


async def restore_database(settings: Settings, path: Path) -> str:
    """Make the SQLite database what a backup holds, also while servers run; the epoch that begins by it.

    Raises `Conflict` and `Unavailable`.
    """
    _make_folder(settings)
    epoch = new_id()
    backup.restore(settings.sqlite_path, path, epoch)
    async with opened_log(settings) as (_, log):
        await log.commit(_operators("log.restored", epoch))
    return epoch


async def present_epoch(settings: Settings, *, new: bool) -> str:
    """The epoch of the log; with `new`, one that begins now. Raises `Unavailable`."""
    async with opened_log(settings) as (_, log):
        if not new:
            return await log.epoch()
        epoch = await log.begin_epoch()
        await log.commit(_operators("log.epoch_begun", epoch))
        return epoch


def _operators(action: str, epoch: str) -> Unit:
    """The line of the audit trail for what an operator did to the whole log."""
    return Unit(OPERATOR.sender, changes=(audit_line(OPERATOR, action, f"log:{epoch}"),))


def _manager(settings: Settings) -> RedisManager | None:
    """What carries messages between servers; None for one that is alone."""
    if settings.redis_url is None:
        return None
    return RedisManager(
        settings.redis_url,
        Seal(settings.secret_key),
        verify_tls=settings.redis_tls_verify,
        open_publish=settings.redis_open_publish,
    )


def _application(settings: Settings, services: Services, metrics: Metrics, health: Health) -> web.Application:
    application = build_application(
        services,
        hosts=AllowedHosts(settings.allowed_hosts),
        cors_origins=settings.cors_origins,
        trusted_proxies=settings.trusted_proxies,
    )
    application.middlewares.insert(0, last_answers(health.is_stopping))
    application.middlewares.insert(0, metrics.middleware)  # it sees all refusals as answers
    application.add_routes(
        [
            *health.routes(),
            metrics_route(metrics, settings.metrics_token),
            *WebClient(settings.web_root).routes(),
        ]
    )
    return application


def _budget(settings: Settings) -> Budget:
    allowance = Allowance(settings.publish_burst, settings.publish_rate)
    return Budget(allowance if settings.rate_limit else None)


def _pace(settings: Settings) -> Pace:
    return Pace(
        heartbeat_s=settings.heartbeat_s,
        retry_first_ms=settings.retry_first_ms,
        retry_max_ms=settings.retry_max_ms,
        retry_tries=settings.retry_tries,
    )


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs: its HTTP application, and how to make it stop letting people in."""

    application: web.Application
    gateway: Gateway
    pulse: Pulse


@asynccontextmanager
async def started_server(settings: Settings) -> AsyncIterator[Server]:
    """All parts of one server process, started; they stop in the opposite order. Raises `Unavailable`."""
    key_sets = [issuer.jwks_url for issuer in settings.issuers if issuer.jwks_url]
    async with (
        opened_database(settings) as database,
        opened_keys(key_sets) as keys,
        opened_sources(settings.summary_sources) as sources,
    ):
        await check_data_model(database)
        await check_durable(database)
        log, identity, positions = SqlLog(database), SqlIdentity(database), SqlPositions(database)
        inbox, tasks = SqlInbox(database), SqlTasks(database)
        background, manager = Background(), _manager(settings)
        sockets = build_socket_server(
            cors_origins=settings.cors_origins,
            transports=settings.transports,
            ping_interval_s=settings.ping_interval_s,
            ping_timeout_s=settings.ping_timeout_s,
            max_attachment_bytes=settings.max_attachment_bytes,
            manager=manager,
            name=settings.server_name,
        )
        hub, sessions = Hub(log, identity, background), Sessions(settings.max_sessions_per_user)
        replay = Replay(hub, log, identity)
        admission = Admission(sockets, hub, sessions, replay, identity, background)
        receiver = None if manager is None else Receiver(hub, sessions, manager)
        presence = hub if receiver is None else receiver.servers
        publisher = FastPath(hub, sessions, admission, presence, manager)
        passwords, directory, budget = Passwords(), SqlDirectory(database), _budget(settings)
        identities = IdentityService(
            identity,
            log,
            publisher,
            Tokens(settings.secret_key),
            OutsideTokens(settings.issuers, keys),
            passwords,
        )
        changes = Administration(log, identities.people_changed)
        counters = CounterService(log, SqlCounters(database), sources, budget)
        services = Services(
            identity=identities,
            notifications=NotificationService(log, publisher, presence, budget),
            inbox=InboxService(inbox, identity, log, publisher),
            summary=SummaryService(inbox, positions, tasks, counters),
            counters=counters,
            tasks=TaskService(log, publisher, tasks, budget),
            presence=PresenceService(presence),
            people=PeopleService(directory, changes, passwords, settings.roles),
            projects=ProjectService(directory, changes, settings.roles),
            keys=KeyService(directory, changes, settings.roles),
            sessions=SessionService(SessionList(sessions), changes),
            audit=AuditService(directory),
            roles=settings.roles,
        )
        gateway = Gateway(
            sockets,
            hub,
            sessions,
            admission,
            services.identity,
            services.summary,
            background,
            _pace(settings),
        )
        event_services = EventServices(identity=services.identity, inbox=services.inbox, positions=positions)
        Events(hub, sessions, admission, event_services, background).register(sockets)
        retention = RetentionService(log, SqlRetention(database), timedelta(days=settings.retention_days))
        pulse = Pulse()
        metrics = Metrics(
            *core_readings(hub, sessions, log.appender, retention, pulse),
            *budget_readings(budget),
            *source_readings(sources),
            *socket_readings(sockets),
            *redis_readings(manager),
        )
        health = Health(hub.repair, manager, pulse, lambda: gateway.stopping, lambda: log.appender.is_refused)
        application = _application(settings, services, metrics, health)
        sockets.attach(application)
        application.on_shutdown.append(sockets.cut_everybody)
        await hub.start()
        gateway.start()
        background.start(pulse.run(), "pulse")
        if receiver is not None:
            receiver.start(background)
        hub.on_epoch_changed.append(positions.forget)
        background.repeat(positions.flush, FLUSH_INTERVAL_S, "positions")
        background.repeat(retention.turn, settings.retention_check_s, "retention")
        background.start(keys.refresh(), "first key sets")
        background.repeat(keys.refresh, CHECK_S, "key sets")
        try:
            yield Server(application, gateway, pulse)
        finally:
            await sockets.shutdown()
            if receiver is not None:
                await receiver.close()
            await background.close()
            await positions.flush()
            await log.close()
