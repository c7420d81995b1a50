"""What pages in browsers may do: those of other origins, of names that were rebound to us, and those with cookies."""

import asyncio
import json
import socket

import pytest
from aiohttp import ClientSession

from realtime.manager import build_socket_server
from tests.support.http import PREFIX, bearer, log_in
from tests.support.processes import ServerProcess

APP = "https://app.example"
EVIL = "https://evil.example"
HANDSHAKES = {
    "polling": ("/socket.io/?EIO=4&transport=polling", {}),
    "websocket": (
        "/socket.io/?EIO=4&transport=websocket",
        {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    ),
}
GREETED = {"polling": 200, "websocket": 101}


@pytest.fixture(scope="module")
def server(database, tmp_path_factory):
    """In the place of the usual one: with origins and hosts."""
    env = {
        "CORS_ORIGINS": f"{APP},http://localhost:5173",
        "ALLOWED_HOSTS": "notify.example,.internal.example",
        "HEROKU_APP_DEFAULT_DOMAIN_NAME": "notify-1234.herokuapp.com",
    }
    with ServerProcess(database, log_path=tmp_path_factory.mktemp("server") / "log", env=env) as running:
        yield running


@pytest.fixture(scope="module")
def plain_server(database, tmp_path_factory):
    """One to which nothing was told of origins and hosts: that must not mean all."""
    with ServerProcess(database, log_path=tmp_path_factory.mktemp("plain") / "log") as running:
        yield running


@pytest.fixture(params=["server", "plain_server"])
def either_server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def token(server):
    return log_in(server.url, "admin")["access_token"]


def send(server, path, headers, method="GET", version="1.1"):
    """The status, the headers by lower-case name, and the beginning of the body. `Host` is that of the headers."""
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        reader = client.makefile("rb")
        status = int(reader.readline().split()[1])
        given = {}
        while line := reader.readline().strip():
            name, _, value = line.decode().partition(":")
            given[name.lower()] = value.strip()
        body = b"" if status == 101 else reader.read(int(given.get("content-length", 0)))
    return status, given, body


def shake_hands(server, transport, **headers):
    path, upgrade = HANDSHAKES[transport]
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return send(server, path, {"Host": f"127.0.0.1:{server.port}", **upgrade, **given})


@pytest.mark.parametrize("transport", HANDSHAKES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": APP},
        {"Origin": "http://127.0.0.1:{port}"},
        {"Origin": "http://notify.example", "Host": "notify.example"},
        {"Origin": "https://notify.example", "Host": "notify.example", "X_Forwarded_Proto": "https"},
        {"Origin": "https://notify-1234.herokuapp.com", "Host": "notify-1234.herokuapp.com", "X_Forwarded_Proto": "https,http"},
        {"Origin": APP, "Host": "a.internal.example:8443"},
    ],
    ids=str,
)  # fmt: skip
def test_a_socket_opens_to_allowed_origins_and_to_the_servers_own(server, transport, headers):
    given = {name: value.format(port=server.port) for name, value in headers.items()}

    status, answered, _ = shake_hands(server, transport, **given)

    assert status == GREETED[transport]
    assert "set-cookie" not in answered
    assert "access-control-allow-credentials" not in answered
    if transport == "polling":
        assert answered.get("access-control-allow-origin") == given.get("Origin")


@pytest.mark.parametrize("transport", HANDSHAKES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "*"},
        {"Origin": "HTTPS://APP.EXAMPLE"},
        {"Origin": "http://app.example"},
        {"Origin": "https://app.example:444"},
        {"Origin": "https://app.example.evil"},
        {"Origin": "https://evil.example/https://app.example"},
        {"Origin": f"{APP}, {EVIL}"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": EVIL, "X_Forwarded_Host": "evil.example"},
        {"Origin": EVIL, "X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "https"},
    ],
    ids=str,
)
def test_a_socket_does_not_open_to_another_origin(either_server, transport, headers):
    given = {name: value.format(port=either_server.port) for name, value in headers.items()}

    status, answered, _ = shake_hands(either_server, transport, **given)

    assert status == 400
    assert "access-control-allow-origin" not in answered


@pytest.mark.parametrize("forwarded", ["http", "https", "*"])
@pytest.mark.parametrize("host", ["localhost:8000", None])
@pytest.mark.parametrize("origins", [(), (APP,), (APP, "http://localhost:5173")], ids=len)
def test_the_origin_check_always_has_a_list_and_never_everybody_on_it(origins, host, forwarded):
    engine = build_socket_server(cors_origins=origins).eio
    environ = {"wsgi.url_scheme": forwarded, "HTTP_ORIGIN": EVIL, "HTTP_X_FORWARDED_HOST": "evil.example"}

    allowed = engine._cors_allowed_origins(environ | ({"HTTP_HOST": host} if host else {}))

    assert engine.cors_allowed_origins != [], "the library takes an empty list for everybody"
    assert {*origins} < {*allowed}
    assert "*" not in allowed
    assert not [origin for origin in allowed if "evil" in origin]


@pytest.mark.parametrize(
    "path", [f"{PREFIX}/me", f"{PREFIX}/openapi.json", "/metrics", "/nothing", *(path for path, _ in HANDSHAKES.values())]
)  # fmt: skip
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "app.example.evil", "127.0.0.1@evil", ""]
)
def test_a_name_that_was_rebound_to_the_server_is_misdirected(either_server, token, path, host):
    name = host.format(port=either_server.port)
    upgrade = HANDSHAKES["websocket"][1] if "websocket" in path else {}
    headers = {
        **upgrade,
        **bearer(token),
        "Host": name,
        "Origin": f"http://{name}",
        "X-Forwarded-Host": "localhost",
    }

    status, answered, body = send(either_server, path, headers)

    error = json.loads(body)["error"]
    assert (status, error["code"]) == (421, "host_not_allowed")
    assert "ALLOWED_HOSTS" in error["message"]
    assert error["request_id"] == answered["x-request-id"]
    assert "evil" not in body.decode()
    assert "access-control-allow-origin" not in answered


@pytest.mark.parametrize(
    "host",
    ["app.example", "APP.example:1", "localhost:9", "a.localhost", "[::1]:80", "notify-1234.herokuapp.com."],
)
def test_hosts_of_origins_and_of_the_platform_need_no_telling(server, host):
    assert send(server, f"{PREFIX}/openapi.json", {"Host": host})[0] == 200


def test_what_has_no_host_is_refused_and_health_is_open_to_every_balancer(server):
    assert send(server, f"{PREFIX}/openapi.json", {}, version="1.0")[0] == 421
    for path in ("/healthz", "/readyz"):
        assert send(server, path, {"Host": "10-0-0-1.evil.example"})[0] == 200
        assert send(server, path, {}, version="1.0")[0] == 200


def test_of_two_hosts_none_is_believed(server):
    lines = [f"GET {PREFIX}/openapi.json HTTP/1.1", "Host: localhost", "Host: evil.example", "", ""]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall("\r\n".join(lines).encode())
        assert client.recv(100).split()[1] in (b"400", b"421")


PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,idempotency-key",
}


@pytest.mark.parametrize("path", ["notifications", "inbox/01J00000000000000000000000", "no/such/thing"])
def test_a_page_of_an_allowed_origin_may_ask_and_then_call(nobody, path):
    answer = nobody.request("OPTIONS", path, headers={"Origin": APP, **PREFLIGHT})

    assert (answer.status, answer.content) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert answer.headers["Vary"] == "Origin"
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert allowed == {"authorization", "content-type", "idempotency-key", "x-api-key", "x-request-id"}
    methods = {name.strip() for name in answer.headers["Access-Control-Allow-Methods"].split(",")}
    assert methods == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_page_of_an_allowed_origin_reads_answers_and_refusals(nobody, admin):
    answers = [
        admin.get("me", headers={"Origin": APP}),
        admin.post("notifications", {"to": ["user:4"], "title": "x"}, headers={"Origin": APP}),
        nobody.get("me", headers={"Origin": APP}),
        admin.post("notifications", {}, headers={"Origin": APP}),
        admin.get("no/such/thing", headers={"Origin": APP}),
        admin.post("me", headers={"Origin": APP}),
    ]

    task = {"project": "1", "tasks": [{"title": "x"}]}
    in_lines = {"Origin": APP, "Accept": "application/x-ndjson"}
    answers.append(admin.post("tasks/import", task, headers=in_lines))

    assert [answer.status for answer in answers] == [200, 201, 401, 422, 404, 405, 200]
    for answer in answers:
        assert answer.headers.get_all("Access-Control-Allow-Origin") == [APP]
        assert answer.headers["Vary"] == "Origin"
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", [EVIL, "null", "*", "https://app.example.evil", "HTTPS://APP.EXAMPLE", "", None]
)
def test_a_page_of_another_origin_reads_nothing(nobody, admin, origin):
    headers = {} if origin is None else {"Origin": origin}
    preflight = nobody.request("OPTIONS", "notifications", headers={**headers, **PREFLIGHT})
    assert preflight.status == 405

    for answer in (preflight, admin.get("me", headers=headers), nobody.get("me", headers=headers)):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert answer.headers["Vary"] == "Origin", "or a cache would give it to the others"


def in_cookies(token):
    names = ("token", "access_token", "refresh_token", "session", "jwt", "io")
    return {"Cookie": "; ".join([*(f"{name}={token}" for name in names), f"Authorization=Bearer {token}"])}


def in_query(token):
    return f"token={token}&access_token={token}&auth={token}&api_key={token}"


def test_a_token_in_a_cookie_or_in_the_address_says_nothing_over_http(nobody, token):
    for path in ("me", "inbox", "/metrics"):
        answer = nobody.get(f"{path}?{in_query(token)}", headers=in_cookies(token))
        assert (answer.status, answer.code) == (401, "token_missing")
    login = nobody.post("auth/login", {"username": "admin", "password": "demo-password"})
    assert login.status == 200
    assert "Set-Cookie" not in login.headers


async def test_a_token_in_a_cookie_or_in_the_address_opens_no_session(server, token):
    address = f"{server.url}/socket.io/?EIO=4&transport=websocket&{in_query(token)}"
    for claim in ("40", "40{}"):
        async with ClientSession() as http, http.ws_connect(address, headers=in_cookies(token)) as opened:
            assert (await opened.receive_str()).startswith("0")
            await opened.send_str(claim)
            async with asyncio.timeout(10):
                refusal = await opened.receive_str()
            assert json.loads(refusal.removeprefix("44"))["data"] == {"code": "token_missing"}
