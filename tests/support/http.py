"""A small HTTP client for tests: it sends whatever it is told, also what no library would."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

PREFIX = "/api/v1"
PASSWORD = "demo-password"
_UNSET = object()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> dict[str, Any]:
        """The refusal, which has the one form that refusals have."""
        assert self.status >= 400, self
        assert self.headers.get_content_type() == "application/json", self
        assert self.body.keys() == {"error"}, self
        error = self.body["error"]
        assert error.keys() - {"fields", "details"} == {"code", "message", "request_id"}, self
        return error

    @property
    def code(self) -> str:
        return self.error["code"]


class Api:
    """One connection to a server, with the headers that say who is calling."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.url = url
        self._headers = headers or {}
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)

    def request(self, method: str, path: str, body: Any = _UNSET, *, headers=None, query=None) -> Answer:
        """`path` as it stands if it begins with a slash, else below /api/v1; a body of bytes as it stands, else as JSON."""
        target = path if path.startswith("/") else f"{PREFIX}/{path}"
        sent = {**self._headers, **(headers or {})}
        content = None
        if body is not _UNSET:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        self._connection.request(method, f"{target}?{urlencode(query)}" if query else target, content, sent)
        response = self._connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = _UNSET, **options: Any) -> Answer:
        return self.request("POST", path, body, **options)

    def patch(self, path: str, body: Any, **options: Any) -> Answer:
        return self.request("PATCH", path, body, **options)

    def put(self, path: str, body: Any, **options: Any) -> Answer:
        return self.request("PUT", path, body, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        return self.request("DELETE", path, **options)

    def publish(self, *rooms: str, key: str | None = None, **fields: Any) -> str:
        """Publish a notification that must be accepted; its id."""
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.post("notifications", {"to": rooms, "title": "任务待审核", **fields}, headers=headers)
        assert answer.status == 201, answer
        return answer.body["id"]

    def close(self) -> None:
        self._connection.close()


def log_in(url: str, username: str, password: str = PASSWORD) -> dict[str, Any]:
    """The answer to a login, tokens and all."""
    api = Api(url)
    answer = api.post("auth/login", {"username": username, "password": password})
    api.close()
    assert answer.status == 200, answer
    return answer.body


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
