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
}


class PostgresCluster(Program):
    """A fresh cluster on 127.0.0.1. As root, who may not run PostgreSQL, it runs as `postgres`."""

    def __init__(self) -> None:
        self.port = free_port()
        self._bin = _bin_directory()
        self._user = "postgres" if os.geteuid() == 0 else None
        self._names = (f"test_{number}" for number in itertools.count(1))
        self._home = Path(tempfile.mkdtemp(prefix="test-postgres-"))
        if self._user:
            shutil.chown(self._home, self._user, self._user)
        data = self._home / "data"
        options = {**_OPTIONS, "port": str(self.port)}
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
        name = next(self._names)
        copied = [] if template is None else [f"--template={template.rpartition('/')[2]}"]
        self._run("createdb", "--host=127.0.0.1", f"--port={self.port}", "--username=postgres", *copied, name)
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def stop(self, mode: str = "fast") -> int:
        """`smart` waits for clients, `fast` disconnects them, `immediate` is a crash: recovery at the next start."""
        return self._end(_STOP[mode], timeout=60)  # a busy disk takes long over the last checkpoint

    def remove(self) -> None:
        """Stop, and delete all data."""
        if self.running:
            self.stop("immediate")
        shutil.rmtree(self._home)

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


def _bin_directory() -> Path:
    """Debian keeps the server's programs off PATH, a directory for each version."""
    if initdb := shutil.which("initdb", path=environment()["PATH"]):
        return Path(initdb).resolve().parent
    versions = list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not versions:
        raise FileNotFoundError("No PostgreSQL server here: run tests/install_services.sh")
    return max(versions, key=lambda path: int(path.parts[-3])).parent
