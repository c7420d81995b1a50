"""One way to run SQL on SQLite and on PostgreSQL: a plain function over a connection, run off the event loop."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core.domain.errors import Unavailable
from core.store.loader import K, Loader, ReadMany, V
from core.store.turn import BUSY_TIMEOUT_S, Turn, once_free

T = TypeVar("T")
Work = Callable[[Connection], T]

STATEMENT_TIMEOUT_S = 5
_SQLITE_READERS = 4
_SQLITE_BROWSERS = 2
_POSTGRES_BROWSERS = 4
_READ_ONLY = "25006"
_STATES_OF_THE_SERVER = ("08", "53", "57", "58", _READ_ONLY)
"""Of SQLSTATE: the classes connection, resources, an operator's doing, the system below; and a standby's refusal."""
_TRUSTED_S = 1.0
_SERVER_SETTINGS = ("application_name", "options")


class CommitUnknownError(Exception):
    """COMMIT was sent and its answer was lost or an error: the transaction may have happened or not."""


class Database(Protocol):
    """A database that runs work in transactions. Every failure to reach it is `Unavailable`."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        """Run reads; with `snapshot`, all of them see one state of the database."""

    async def browse(self, work: Work[T], *, snapshot: bool = False) -> T:
        """Run reads that may have far to go, a few at a time: nothing else waits for them."""

    async def load(
        self, read_many: ReadMany[K, V], request: K, *, snapshot: bool = False, ahead: bool = False
    ) -> V:
        """Read the answer to one request together with whatever is asked for meanwhile, in few statements.

        `read_many` answers the requests of its kind in their order; it is a plain function, the same for all of them.
        With `snapshot`, all that it reads is of one state of the database. With `ahead`, before what else waits: for whoever is given little time to wait for it.
        """

    async def write(self, work: Work[T]) -> T:
        """Run work and commit it durably. If `work` raises, nothing happened.

        Raises `Unavailable` when it certainly did not happen, `CommitUnknownError` when nobody knows.
        """

    async def close(self) -> None:
        """Let go of every connection and thread."""


def open_database(url: str, *, statement_timeout_s: float | None = STATEMENT_TIMEOUT_S) -> Database:
    """Open by URL: `sqlite:///path`, `postgresql://…` or Heroku's `postgres://…?sslmode=require`.

    On PostgreSQL, a statement that takes longer than `statement_timeout_s` is `Unavailable`; None: it may take its time.
    """
    if url.startswith("sqlite"):
        return _SqliteDatabase(url)
    return _PostgresDatabase(asyncpg_url(url), server_settings(url), statement_timeout_s)


def asyncpg_url(url: str) -> str:
    """The same PostgreSQL database for asyncpg, which spells `sslmode` as `ssl` and takes no server settings here."""
    parts = urlsplit(url)
    query = [
        ("ssl" if name == "sslmode" else name, value)
        for name, value in parse_qsl(parts.query)
        if name not in _SERVER_SETTINGS
    ]
    return urlunsplit(parts._replace(scheme="postgresql+asyncpg", query=urlencode(query)))


def server_settings(url: str) -> dict[str, str]:
    """What the URL of a PostgreSQL database says of its sessions, such as `options=-c search_path=notify`."""
    return {name: value for name, value in parse_qsl(urlsplit(url).query) if name in _SERVER_SETTINGS}


def _transaction(work: Work[T], connection: Connection) -> T:
    """Run the work and commit it, telling a failed COMMIT apart from failed work."""
    with connection.begin() as transaction:
        result = work(connection)
        try:
            transaction.commit()
        except Exception as error:  # whatever it is, it says nothing of what the database did
            raise CommitUnknownError(str(error)) from error
    return result


def _reading(work: Work[T], connection: Connection) -> T:
    with connection.begin():
        return work(connection)


def _is_unreachable(error: BaseException) -> bool:
    """Whether the error speaks of the database's state (gone, starting, locked, full), not of the statement."""
    if isinstance(error, DBAPIError):
        if isinstance(error, OperationalError) or error.connection_invalidated or error.statement is None:
            return True
        return _sqlstate(error).startswith(_STATES_OF_THE_SERVER)
    return isinstance(error, PoolTimeout | OSError | TimeoutError)


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


class _mapped_errors:  # noqa: N801 - reads as a statement
    """Turn every sign of an unreachable database into `Unavailable`; let the rest through."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SQLAlchemyError | OSError | TimeoutError) and _is_unreachable(error):
            raise Unavailable("The database cannot be reached or cannot store now; try again.") from error


class _SqliteDatabase:
    """SQLite in threads: several readers, one writer, each transaction one hop off the loop."""

    dialect = "sqlite"

    def __init__(self, url: str) -> None:
        self._turn = Turn(url.removeprefix("sqlite:///"))
        self._reading = _sqlite_engine(url, connections=_SQLITE_READERS + _SQLITE_BROWSERS)
        self._writing = _sqlite_engine(url, connections=1, turn=self._turn)
        self._readers = ThreadPoolExecutor(_SQLITE_READERS, thread_name_prefix="sqlite-read")
        self._browsers = ThreadPoolExecutor(_SQLITE_BROWSERS, thread_name_prefix="sqlite-browse")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-write")
        self._loader = Loader(self.read)

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:  # noqa: ARG002 - always one in WAL
        return await self._run(self._readers, self._reading, partial(_reading, work))

    async def browse(self, work: Work[T], *, snapshot: bool = False) -> T:  # noqa: ARG002 - as of `read`
        return await self._run(self._browsers, self._reading, partial(_reading, work))

    async def load(
        self, read_many: ReadMany[K, V], request: K, *, snapshot: bool = False, ahead: bool = False
    ) -> V:
        return await self._loader.load(read_many, request, snapshot=snapshot, ahead=ahead)

    async def write(self, work: Work[T]) -> T:
        return await self._run(self._writer, self._writing, partial(_transaction, work))

    async def close(self) -> None:
        await self._loader.close()
        self._readers.shutdown()
        self._browsers.shutdown()
        self._writer.shutdown()
        self._reading.dispose()
        self._writing.dispose()
        self._turn.close()

    async def _run(self, executor: Executor, engine: Engine, work: Work[T]) -> T:
        def run() -> T:
            with engine.connect() as connection:
                return work(connection)

        with _mapped_errors():
            return await asyncio.get_running_loop().run_in_executor(executor, run)


def _sqlite_engine(url: str, *, connections: int, turn: Turn | None = None) -> Engine:
    """With `turn`, for transactions that write."""
    engine = create_engine(
        url,
        pool_size=connections,
        hide_parameters=True,
        connect_args={"check_same_thread": False},
        json_serializer=dumps,
        json_deserializer=orjson.loads,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not open transactions of its own
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_S * 1_000}", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        # The switch asks no busy handler: of two that open a new file at once, one has to try again.
        once_free(lambda: connection.execute("PRAGMA journal_mode=WAL"))
        if turn:
            # From here on it waits in `begin`: SQLite's own waiting asks ten times a second, and can miss for seconds
            # each pause of a program that writes all the time.
            connection.execute("PRAGMA busy_timeout=0")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that reads and then writes fails at once when another writes: no waiting helps.
        if turn:
            with turn:
                once_free(lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


class _PostgresDatabase:
    """PostgreSQL over asyncpg: a small pool, every statement with a deadline."""

    dialect = "postgresql"

    def __init__(self, url: str, settings: Mapping[str, str], statement_timeout_s: float | None) -> None:
        self._engine: AsyncEngine = create_async_engine(
            url,
            pool_size=5,
            max_overflow=5,
            pool_timeout=STATEMENT_TIMEOUT_S,
            hide_parameters=True,
            connect_args={
                "timeout": STATEMENT_TIMEOUT_S,
                "command_timeout": statement_timeout_s,
                "server_settings": dict(settings),
            },
            json_serializer=dumps,
            json_deserializer=orjson.loads,
        )
        _compile_nothing(self._engine.sync_engine)
        _plan_anew(self._engine.sync_engine)
        _leave_who_only_reads(self._engine.sync_engine)
        # Of single statements each has a snapshot of its own: BEGIN and COMMIT would be two more round trips.
        self._reads = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._snapshots = self._engine.execution_options(isolation_level="REPEATABLE READ")
        self._browsing = asyncio.Semaphore(_POSTGRES_BROWSERS)
        self._loader = Loader(self.read)

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        return await self._run(self._snapshots if snapshot else self._reads, partial(_reading, work))

    async def browse(self, work: Work[T], *, snapshot: bool = False) -> T:
        async with self._browsing:
            return await self.read(work, snapshot=snapshot)

    async def load(
        self, read_many: ReadMany[K, V], request: K, *, snapshot: bool = False, ahead: bool = False
    ) -> V:
        return await self._loader.load(read_many, request, snapshot=snapshot, ahead=ahead)

    async def write(self, work: Work[T]) -> T:
        return await self._run(self._engine, partial(_transaction, work))

    async def close(self) -> None:
        await self._loader.close()
        await self._engine.dispose()

    async def _run(self, engine: AsyncEngine, work: Work[T]) -> T:
        with _mapped_errors():
            async with engine.connect() as connection:
                return await connection.run_sync(work)


def _compile_nothing(engine: Engine) -> None:
    """What PostgreSQL compiles just in time takes it seconds, and what is asked here runs for milliseconds, however much it
    expects to find. Not a setting of the start: poolers refuse those that they do not know.
    """

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.run_async(lambda driver: driver.execute("SET jit = off"))


def _plan_anew(engine: Engine) -> None:
    """Let a connection that is taken from the pool forget the plans that it has kept for `_TRUSTED_S`.

    PostgreSQL keeps the plan of a statement until the table is counted anew, once a minute at most: what was planned
    when it was empty reads all of it for every question while the first thousands of rows come. The answer also says
    that the connection still works, in one round trip, where `pool_pre_ping` takes three each time. In between it is
    only asked whether its socket was closed, which costs nothing.
    """
    asyncpg = engine.dialect.loaded_dbapi.asyncpg
    broken = (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        TimeoutError,
    )

    @event.listens_for(engine, "checkout")
    def check(connection: Any, record: Any, _proxy: object) -> None:
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError("The connection was closed.")
        if time.monotonic() - record.info.get("planned_at", 0.0) > _TRUSTED_S:
            try:
                connection.run_async(lambda driver: driver.execute("DISCARD PLANS"))
            except broken as error:
                raise InvalidatePoolError("The connection is dead.") from error
            record.info["planned_at"] = time.monotonic()


def _leave_who_only_reads(engine: Engine) -> None:
    """Replace all connections when one cannot write: the primary may be another server by now. At most one time in
    `_TRUSTED_S`, for it may as well be the same one, and has to be read from meanwhile.
    """
    left_at = -math.inf

    @event.listens_for(engine, "handle_error")
    def check(context: ExceptionContext) -> None:
        nonlocal left_at
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
            context.is_disconnect = True
            context.invalidate_pool_on_disconnect = time.monotonic() - left_at > _TRUSTED_S
            if context.invalidate_pool_on_disconnect:
                left_at = time.monotonic()


def dumps(value: object) -> str:
    return orjson.dumps(value).decode()
