"""A Redis of our own, which forgets everything when it stops."""

import shutil
import signal
import socket
from pathlib import Path

from tests.support.processes import Program, environment, free_port


class RedisServer(Program):
    """An empty Redis on 127.0.0.1, on a port that it keeps over a restart; `options` as on its command line."""

    def __init__(self, directory: Path, *options: str, scheme: str = "redis", account: str = "") -> None:
        self.port = free_port()
        self.url = f"{scheme}://{account}127.0.0.1:{self.port}/0"
        port = (
            ("--port", "0", "--tls-port", str(self.port))
            if scheme == "rediss"
            else ("--port", str(self.port))
        )
        super().__init__(
            [_binary(), "--bind", "127.0.0.1", *port, "--save", "", "--appendonly", "no", *options],
            log_path=directory / "redis.log",
            cwd=directory,
        )

    def ask(self, *command: str) -> str:
        """Send a command over a connection of its own, without TLS; what came back at once, as it is."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            words = [word.encode() for word in command]
            connection.sendall(b"*%d\r\n" % len(words))
            for word in words:
                connection.sendall(b"$%d\r\n%s\r\n" % (len(word), word))
            return connection.recv(1 << 20).decode()

    def freeze(self) -> None:
        """Let it hang: connections are taken by the kernel, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        self.thaw()
        return super().stop()

    def _wait_until_ready(self) -> None:
        self.wait_for_log("Ready to accept connections")


class RedisSentinel(Program):
    """Watches one Redis under the name `mymaster`."""

    def __init__(self, directory: Path, redis: RedisServer) -> None:
        self.port = free_port()
        self.url = f"redis+sentinel://127.0.0.1:{self.port}/0/mymaster"
        config = directory / "sentinel.conf"
        config.write_text(
            f"bind 127.0.0.1\nport {self.port}\nsentinel monitor mymaster 127.0.0.1 {redis.port} 1\n"
        )
        super().__init__(
            [_binary(), str(config), "--sentinel"], log_path=directory / "sentinel.log", cwd=directory
        )

    def _wait_until_ready(self) -> None:
        self.wait_for_log("+monitor master mymaster")


def _binary() -> str:
    found = shutil.which("redis-server", path=environment()["PATH"])
    if found is None:
        raise FileNotFoundError("No redis-server here: run tests/install_services.sh")
    return found
