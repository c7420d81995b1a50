import asyncio
import gc
import os
import shutil
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.postgres import PostgresCluster
from tests.support.processes import ServerProcess, left_running
from tests.support.redis_server import RedisServer
from tests.support.stage import demo_server, load_demo

# A test that fails fails again, and none fails for a machine that was busy.
settings.register_profile("stable", derandomize=True, deadline=None)
settings.load_profile("stable")

_LONG = {"test_packages", "test_workflow"}
"""Files whose place in the alphabet is late, and that take longest of all there."""


def pytest_configure() -> None:
    """Each worker stays on one processor with all that it starts: what wakes another one costs a sixth of a run."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and sys.platform == "linux":
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[int(worker.removeprefix("gw")) % len(processors)]})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files begin first: one that begins last keeps a single worker busy while the others have no more."""
    items.sort(key=lambda item: item.path.stem not in _LONG)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Garbage is looked for in what tests make, and never in all that they have imported."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where CI is set, a skipped test is a failed run: what is missing there must be seen."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if "CI" in os.environ and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("\nTests were skipped, and CI is set: this run counts as failed.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def nothing_left_running() -> Iterator[None]:
    yield
    left = left_running()
    for program in left:
        program.kill()
    assert not left, f"tests left running: {', '.join(map(str, left))}"


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """One for each worker; running, unless a test has stopped it."""
    cluster = PostgresCluster()
    cluster.start()
    yield cluster
    cluster.remove()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the demo, to be copied."""
    path = tmp_path_factory.mktemp("demo") / "log.db"
    load_demo(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_demo(postgres_cluster: PostgresCluster) -> str:
    """The URL of a PostgreSQL database with the demo, to be copied."""
    url = postgres_cluster.create_database()
    load_demo(url)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def demo_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own with the demo's people; each test runs on both kinds."""
    if request.param == "sqlite":
        copy = shutil.copy(request.getfixturevalue("sqlite_demo"), tmp_path / "log.db")
        return f"sqlite:///{copy}"
    template = request.getfixturevalue("postgres_demo")
    return request.getfixturevalue("postgres_cluster").create_database(template)


@pytest.fixture
async def server(demo_url: str, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """A server with the demo's people and a quick pace, running."""
    server = demo_server(demo_url, tmp_path)
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


@pytest.fixture
async def sqlite_server(sqlite_demo: Path, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """The same on SQLite, for what is done otherwise on PostgreSQL."""
    server = demo_server(f"sqlite:///{shutil.copy(sqlite_demo, tmp_path / 'log.db')}", tmp_path)
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables, as the setting DATABASE_URL names it; each test runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    return request.getfixturevalue("postgres_cluster").create_database()
