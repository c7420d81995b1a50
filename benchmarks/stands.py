"""What is measured: for each kind of database a server process, and an empty log for measures without HTTP."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from tests.support.postgres import PostgresCluster
from tests.support.processes import ServerProcess, run_command
from tests.support.stage import demo_server, load_demo, logged_in


@dataclass
class Stand:
    """One kind of database. Each kind of measure has a database of its own, so that none slows another."""

    name: str
    server: ServerProcess
    log_url: str
    retention_url: str
    inbox_url: str

    @cached_property
    def tokens(self) -> dict[str, str]:
        """An access token of the admin, who may publish anywhere, and of a listener. They live 15 minutes."""
        return {name: uvloop.run(_token(self.server.url, name)) for name in ("admin", "zhangsan")}

    def server_cpu_s(self) -> float:
        """Processor time that the server has used until now; its database's is not in it."""
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def counter(self, name: str) -> int:
        """What the server's metrics have counted until now."""
        with closing(HTTPConnection("127.0.0.1", self.server.port, timeout=10)) as connection:
            connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {self.tokens['admin']}"})
            text = connection.getresponse().read().decode()
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return int(float(lines[name]))


async def _token(url: str, username: str) -> str:
    async with logged_in(url, username) as caller:
        return caller.token


@contextmanager
def opened_stands() -> Iterator[tuple[Stand, ...]]:
    """SQLite and PostgreSQL, both as durable as in production, with their servers running."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        cluster = PostgresCluster(autovacuum="on")
        stack.callback(cluster.remove)
        cluster.start()
        urls = {
            "SQLite": [f"sqlite:///{folder / name}.db" for name in _DATABASES],
            "PostgreSQL": [cluster.create_database() for _ in _DATABASES],
        }
        yield tuple(_stand(stack, name, folder / name, *some) for name, some in urls.items())


def _stand(stack: ExitStack, name: str, folder: Path, server_url: str, *urls: str) -> Stand:
    folder.mkdir()
    for url in urls:
        run_command("migrate", env={"DATABASE_URL": url})
    load_demo(server_url)
    # Without the pruning job: its units would be counted with the publishes.
    env = {"LOG_FORMAT": "json", "RATE_LIMIT": "off", "RETENTION_CHECK_S": "86400"}
    server = stack.enter_context(demo_server(server_url, folder, env=env))
    return Stand(name, server, *urls)


_DATABASES = ("server", "log", "retention", "inbox")
