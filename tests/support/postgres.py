"""A PostgreSQL of our own, as durable as in production."""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.support.processes import Program, environment, free_port

_STOP = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    # How a statement is planned must not depend on when a table was looked at. Tests that want to know say VACUUM.
    "autovacuum": "off",
}
_PSQL = (
    "--no-psqlrc",
    "--quiet",
    "--host=127.0.0.1",
    "--username=postgres",
    "--dbname=postgres",
)
_DONE = "done"


class PostgresCluster(Program):
    """A fresh cluster on 127.0.0.1, with other settings than those of tests where they are given.

    As root, who may not run PostgreSQL, it runs as `postgres`.
    """

    def __init__(self, **settings: str) -> None:
        self.port = free_port()
        self._bin = _bin_directory()
        self._user = "postgres" if os.geteuid() == 0 else None
        self._names = (f"test_{number}" for number in itertools.count(1))
        self._session: _Session | None = None
        self._home = Path(tempfile.mkdtemp(prefix="test-postgres-"))
        if self._user:
            shutil.chown(self._home, self._user, self._user)
        data = self._home / "data"
        options = {**_OPTIONS, "port": str(self.port), **settings}
        super().__init__(
            [
                str(self._bin / "postgres"),
                "-D",
                str(data),
                *(f"--{name}={value}" for name, value in options.items()),
            ],
            log_path=self._home / "postgres.log",
            cwd=self._home,
            user=self._user,
        )
        self._run("initdb", f"--pgdata={data}", "--username=postgres", "--auth=trust", "--encoding=UTF8",
                  "--locale=C.UTF-8", "--no-sync")  # fmt: skip

    def create_database(self, template: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of the one at `template`, which nobody may be using.

        Starts the cluster if a test before left it stopped.
        """
        if not self.running:
            self.start()
        if self._session is None:
            self._session = _Session([str(self._bin / "psql"), *_PSQL, f"--port={self.port}"])
        name = next(self._names)
        copied = "" if template is None else f"TEMPLATE {template.rpartition('/')[2]}"
        self._session.run(f"CREATE DATABASE {name} {copied}")
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def stop(self, mode: str = "fast") -> int:
        """`smart` waits for clients, `fast` disconnects them, `immediate` is a crash: recovery at the next start."""
        self._leave()
        return self._end(_STOP[mode], timeout=60)  # a busy disk takes long over the last checkpoint

    def kill(self) -> None:
        self._leave()
        super().kill()

    def remove(self) -> None:
        """Stop, and delete all data."""
        if self.running:
            self.stop("immediate")
        shutil.rmtree(self._home)

    def _leave(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _wait_until_ready(self) -> None:
        self.wait_for_log("database system is ready to accept connections", timeout=60)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._bin / program), *arguments],
            cwd=self._home,
            env=environment(),
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=60,
            **self._account,
        )


class _Session:
    """A `psql` that is kept: a client and a backend of its own cost as much as the database that they create."""

    def __init__(self, command: list[str]) -> None:
        self._psql = subprocess.Popen(
            command,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, statement: str) -> None:
        """Raises RuntimeError with what PostgreSQL says against it."""
        self._psql.stdin.write(f"{statement};\n\\echo {_DONE}\n")
        self._psql.stdin.flush()
        said = []
        for line in self._psql.stdout:
            if line == f"{_DONE}\n":
                break
            said.append(line)
        else:
            said.append("psql has ended")
        if said:
            raise RuntimeError("".join([f"{statement}\n", *said]))

    def close(self) -> None:
        self._psql.stdin.close()
        self._psql.wait(timeout=10)
        self._psql.stdout.close()


def _bin_directory() -> Path:
    """Debian keeps the server's programs off PATH, a directory for each version."""
    if initdb := shutil.which("initdb", path=environment()["PATH"]):
        return Path(initdb).resolve().parent
    versions = list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not versions:
        raise FileNotFoundError("No PostgreSQL server here: run tests/install_services.sh")
    return max(versions, key=lambda path: int(path.parts[-3])).parent
