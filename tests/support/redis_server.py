"""A Redis of our own, which forgets everything when it stops."""

import shutil
from pathlib import Path

from tests.support.processes import Program, environment, free_port


class RedisServer(Program):
    """An empty Redis on 127.0.0.1, on a port that it keeps over a restart."""

    def __init__(self, directory: Path) -> None:
        binary = shutil.which("redis-server", path=environment()["PATH"])
        if binary is None:
            raise FileNotFoundError("No redis-server here: run tests/install_services.sh")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        super().__init__(
            [binary, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"],
            log_path=directory / "redis.log",
            cwd=directory,
        )

    def _wait_until_ready(self) -> None:
        self.wait_for_log("Ready to accept connections")
