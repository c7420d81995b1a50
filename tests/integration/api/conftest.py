import asyncio
import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.domain.principals import OPERATOR, Scope
from server.app import administration
from tests.support.http import Api, bearer, log_in
from tests.support.processes import ServerProcess
from tests.support.stage import settings_for

METRICS_TOKEN = "a token of tests for metrics"


@pytest.fixture(scope="module")
def database(sqlite_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with the demo in it; a module may put another in its place."""
    path = tmp_path_factory.mktemp("api") / "log.db"
    shutil.copy(sqlite_demo, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database_of_each_kind(request, sqlite_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """For modules whose tests run on both kinds: what one chokes on, the other swallows."""
    if request.param == "sqlite":
        copy = shutil.copy(sqlite_demo, tmp_path_factory.mktemp("api") / "log.db")
        return f"sqlite:///{copy}"
    template = request.getfixturevalue("postgres_demo")
    return request.getfixturevalue("postgres_cluster").create_database(template)


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    log_path = tmp_path_factory.mktemp("server") / "server.log"
    with ServerProcess(database, log_path=log_path, env={"METRICS_TOKEN": METRICS_TOKEN}) as running:
        yield running


@pytest.fixture(scope="module")
def caller(server: ServerProcess) -> Iterator[Callable[[dict[str, str]], Api]]:
    """Makes clients that send these headers."""
    with contextlib.ExitStack() as stack:

        def call(headers: dict[str, str]) -> Api:
            api = Api(server.url, headers)
            stack.callback(api.close)
            return api

        yield call


@pytest.fixture(scope="module")
def nobody(caller) -> Api:
    return caller({})


@pytest.fixture(scope="module")
def admin(server, caller) -> Api:
    return caller(bearer(log_in(server.url, "admin")["access_token"]))


@pytest.fixture(scope="module")
def zhangsan(server, caller) -> Api:
    return caller(bearer(log_in(server.url, "zhangsan")["access_token"]))


@pytest.fixture(scope="module")
def lisi(server, caller) -> Api:
    return caller(bearer(log_in(server.url, "lisi")["access_token"]))


@pytest.fixture(scope="module")
def make_key(database: str, caller) -> Callable[..., Api]:
    """Makes a caller with a new API key, as `key add` does, in a fraction of its time."""
    settings = settings_for(database)

    async def add(scope: Scope, user: str | None) -> str:
        async with administration(settings) as operator:
            _, key = await operator.keys.add(OPERATOR, name="test", scope=scope, user_id=user)
            return key

    def make(*rooms: str, types: tuple[str, ...] = ("*",), user: str | None = None) -> Api:
        return caller({"X-API-Key": asyncio.run(add(Scope(rooms, types), user))})

    return make
