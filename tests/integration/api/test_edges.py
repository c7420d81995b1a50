"""Where HTTP itself is odd: the one form of refusals holds also for what no route has seen."""

import json
import socket

import pytest

from tests.integration.api.conftest import METRICS_TOKEN
from tests.support.http import PREFIX, log_in


@pytest.fixture(scope="module")
def token(server):
    return log_in(server.url, "admin")["access_token"]


def send(server, *lines: str, body: bytes = b""):
    """The status, the headers by lower-case name, and the body of the answer to these lines."""
    request = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(request)
        head, _, content = b"".join(iter(lambda: client.recv(65_536), b"")).partition(b"\r\n\r\n")
    first, *others = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in others)}
    return int(first.split()[1]), headers, content


def refused(answer, status, code):
    given, headers, content = answer
    error = json.loads(content)["error"]
    assert (given, error["code"]) == (status, code)
    assert error.keys() == {"code", "message", "request_id"}
    assert headers["x-request-id"] == error["request_id"]
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("target", [f"{PREFIX}/me", f"{PREFIX}/auth/login", "/healthz", "/nothing"])
def test_an_expectation_that_is_unknown_is_refused_in_json(server, target):
    answer = send(
        server, f"POST {target} HTTP/1.1", "Host: localhost", "Expect: secret-thing", "Content-Length: 0"
    )

    refused(answer, 417, "expectation_failed")
    assert b"secret-thing" not in answer[2]


def test_a_client_that_waits_for_100_is_told_to_go_on(server):
    lines = (
        f"POST {PREFIX}/auth/login HTTP/1.1",
        "Host: localhost",
        "Expect: 100-continue",
        "Content-Length: 2",
    )

    status, _, rest = send(server, *lines, body=b"{}")

    assert status == 100
    assert b" 422 " in rest.splitlines()[0]


@pytest.mark.parametrize(
    "lines",
    [
        ("NONSENSE / HTTP/1.1", "Host: localhost"),
        ("get /healthz HTTP/1.1", "Host: localhost"),
        ("GET /healthz HTTP/1.1",),
        ("GET http://[x/healthz HTTP/1.1", "Host: localhost"),
        ("GET http://x:99999/healthz HTTP/1.1", "Host: localhost"),
        ("GET /healthz?\xff HTTP/1.1", "Host: localhost"),
        ("GET /healthz HTTP/1.1", "Host: localhost", " folded"),
        ("GET /healthz HTTP/1.1", "Host: localhost", "Cookie: \x01"),
        ("POST /healthz HTTP/1.1", "Host: localhost", "Content-Length: -1"),
        ("POST /healthz HTTP/1.1", "Host: localhost", "Content-Length: 2", "Content-Length: 3"),
        ("POST /healthz HTTP/1.1", "Host: localhost", "Content-Length: 2", "Transfer-Encoding: chunked"),
        ("POST /healthz HTTP/1.1", "Host: localhost", "Transfer-Encoding: nonsense"),
    ],
    ids=lambda lines: repr(lines[0][:30]) + lines[-1][:20],
)
def test_what_is_no_http_has_an_id_too(server, lines):
    refused(send(server, *lines), 400, "malformed_request")


@pytest.mark.parametrize("query", ["%FF", "%ED%A0%80", "%", "%zz", "%F0%9F%99%82"])
def test_percents_that_are_no_text_find_nothing(zhangsan, query):
    for name in ("q", "thread", "type", "project"):
        answer = zhangsan.get(f"inbox?{name}={query}")
        assert (answer.status, answer.body["items"]) == (200, [])


def test_of_two_idempotency_keys_none_is_chosen(server, token):
    body = b'{"to": ["user:1"], "title": "which"}'

    status, _, content = send(
        server,
        f"POST {PREFIX}/notifications HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {token}",
        "Idempotency-Key: one",
        "Idempotency-Key: two",
        f"Content-Length: {len(body)}",
        body=body,
    )

    assert status == 422
    assert json.loads(content)["error"]["fields"] == {"Idempotency-Key": ["Given more than once."]}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_metrics_take_a_bearer_token_in_any_case(nobody, token, scheme):
    for given in (METRICS_TOKEN, token):
        assert nobody.get("/metrics", headers={"Authorization": f"{scheme} {given}"}).status == 200


@pytest.mark.parametrize("form", ["{}", "Basic {}", "Token {}"])
def test_metrics_take_no_other_scheme(nobody, form):
    answer = nobody.get("/metrics", headers={"Authorization": form.format(METRICS_TOKEN)})

    assert (answer.status, answer.code) == (401, "token_invalid")
