"""A platform with tasks of its own for tests: the example of the docs as a process."""

import http.client
import json
import sys
from pathlib import Path

from tests.support.processes import Program, free_port

SECRET = "a secret that the example and the server share"


class ExamplePlatform(Program):
    """`docs/examples/summary_source.py`, ready when it listens."""

    def __init__(self, log_path: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(
            (sys.executable, "docs/examples/summary_source.py"),
            log_path=log_path,
            env={"PORT": str(self.port), "SECRET": SECRET},
        )

    def _wait_until_ready(self) -> None:
        self.wait_for_log("Running on")

    def set_tasks(self, user_id: str, **counters: int) -> None:
        """Let this, and nothing else, wait for a person there."""
        status, _ = self.request("PUT", f"/people/{user_id}/tasks", json.dumps(counters).encode())
        assert status == 204

    def request(
        self, method: str, path: str, body: bytes, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def sources_setting(**urls: str) -> str:
    """SUMMARY_SOURCES by name and URL, all with the one secret."""
    return json.dumps([{"name": name, "url": url, "secret": SECRET} for name, url in urls.items()])
