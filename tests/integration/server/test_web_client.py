"""The web client's files over HTTP, behind everything that stands before them."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.http import Answer, Api, bearer
from tests.support.processes import ServerProcess

INDEX = b'<!doctype html><script type="module" src="/assets/index-a1b2c3d4.js"></script>'
SCRIPT = b"export const answer = 42;\n" * 100
SECRET = b"not for others"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build, with things beside it and in it that are none of it."""
    folder = tmp_path_factory.mktemp("web")
    root = folder / "dist"
    (root / "assets" / "fonts").mkdir(parents=True)
    (root / "index.html").write_bytes(INDEX)
    (root / "favicon.svg").write_bytes(b"<svg/>")
    (root / ".built").write_bytes(SECRET)
    (folder / "secret.txt").write_bytes(SECRET)
    assets = root / "assets"
    (assets / "index-a1b2c3d4.js").write_bytes(SCRIPT)
    (assets / "index-a1b2c3d4.js.gz").write_bytes(b"gzipped")
    (assets / "index-a1b2c3d4.js.br").write_bytes(b"brotli")
    (assets / "_plugin-vue_export-helper-B_x-9.css").write_bytes(b"a {}")
    (assets / "fonts" / "noto.woff2").write_bytes(b"wOF2")
    return root


@pytest.fixture(scope="module")
def server(
    root: Path, sqlite_demo: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    database = shutil.copy(sqlite_demo, folder / "log.db")
    env = {"WEB_ROOT": str(root), "METRICS_TOKEN": "a token of tests for metrics"}
    with ServerProcess(f"sqlite:///{database}", log_path=folder / "server.log", env=env) as running:
        yield running


@pytest.fixture(scope="module")
def browser(server: ServerProcess) -> Iterator[Api]:
    api = Api(server.url)
    yield api
    api.close()


def is_page(answer: Answer) -> bool:
    return answer.status == 200 and answer.content == INDEX


@pytest.mark.parametrize(
    "path",
    ["/", "/index.html", "/?from=mail", "/inbox", "/inbox/", "/tasks/17/history", "/apish", "/%E4%BB%BB%E5%8A%A1", "/a%20b"],
)  # fmt: skip
def test_the_page_is_at_every_path_that_a_person_may_have_in_the_address_bar(browser: Api, path: str):
    answer = browser.get(path)

    assert is_page(answer), answer
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    head = browser.request("HEAD", path)
    assert (head.status, head.content, head.headers["ETag"]) == (200, b"", answer.headers["ETag"])


@pytest.mark.parametrize(
    "path",
    [
        "/api", "/api/", "/api/v1/nope", "/api/v2/inbox", "/%61pi/v1/nope", "//api/v1/me", "/inbox//1",
        "/assets", "/assets/", "/assets/nope.js", "/assets/nope", "/assets/fonts", "/assets/../index.html",
        f"/assets/{'a' * 300}.js",
        "/nope.js", "/inbox/nope.png", "/socket.io", "/socket.io/nope", "/healthz/nope", "/readyz/", "/metrics/nope",
    ],
)  # fmt: skip
def test_everything_else_that_is_unknown_stays_not_found(browser: Api, path: str):
    answer = browser.get(path)

    assert (answer.status, answer.code) == (404, "not_found")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/.built", "/assets/.hidden", "/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt",
        "/assets/../../secret.txt", "/assets/%2e%2e/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt",
        "/assets/..%5c..%5csecret.txt", "/assets//etc/passwd", "/assets/%2fetc/passwd", "/assets/%252e%252e/secret.txt",
        "/assets/index-a1b2c3d4.js%00", "/secret%00.txt",
    ],
)  # fmt: skip
def test_nothing_outside_of_the_build_is_to_be_had(browser: Api, path: str):
    answer = browser.get(path)

    assert (answer.status, answer.code) == (404, "not_found"), answer


def test_assets_are_kept_for_ever_and_other_files_are_asked_for_again(browser: Api):
    for path, kind, cache in (
        ("assets/index-a1b2c3d4.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        ("assets/_plugin-vue_export-helper-B_x-9.css", "text/css; charset=utf-8", "public, max-age=31536000, immutable"),
        ("assets/fonts/noto.woff2", "font/woff2", "public, max-age=31536000, immutable"),
        ("favicon.svg", "image/svg+xml; charset=utf-8", "no-cache"),
    ):  # fmt: skip
        answer = browser.get(f"/{path}")
        assert (answer.status, answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (
            200,
            kind,
            cache,
        )
        again = browser.get(f"/{path}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status, again.content, again.headers["Cache-Control"]) == (304, b"", cache)


@pytest.mark.parametrize(
    ("accepted", "encoding", "content"),
    [
        ("gzip, deflate, br, zstd", "br", b"brotli"),
        ("gzip", "gzip", b"gzipped"),
        ("identity", None, SCRIPT),
    ],
)
def test_an_asset_comes_as_the_browser_can_read_it(browser: Api, accepted: str, encoding, content):
    answer = browser.get("/assets/index-a1b2c3d4.js", headers={"Accept-Encoding": accepted})

    assert answer.headers["Content-Encoding"] == encoding
    assert answer.content == content
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"


def test_scripts_run_from_this_server_only_and_nobody_frames_the_page(browser: Api):
    for path in ("/", "/favicon.svg", "/assets/index-a1b2c3d4.js"):
        headers = browser.get(path).headers
        policy = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
        assert policy.get("script-src", "'self'") == "'self'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


def test_a_new_build_is_seen_though_times_and_sizes_of_files_are_the_same(browser: Api, root: Path):
    index = root / "index.html"
    before = browser.get("/").headers["ETag"]
    times = index.stat()
    assert browser.get("/", headers={"If-None-Match": before}).status == 304
    assert browser.get("/", headers={"If-None-Match": f"W/{before}"}).status == 304
    newer = INDEX.replace(b"a1b2c3d4", b"e5f6a7b8")
    try:
        index.write_bytes(newer)
        os.utime(index, ns=(times.st_atime_ns, times.st_mtime_ns))
        answer = browser.get("/", headers={"If-None-Match": before})
        assert (answer.status, answer.content) == (200, newer)
    finally:
        index.write_bytes(INDEX)


def test_without_a_build_one_line_says_how_to_get_it_until_it_is_there(browser: Api, root: Path):
    away = root.rename(root.with_name("away"))
    try:
        answer = browser.get("/")
        assert (answer.status, answer.headers.get_content_type()) == (404, "text/plain")
        assert answer.content.count(b"\n") == 1
        assert b"`make web`" in answer.content
        assert browser.get("/inbox").code == "not_found"
    finally:
        away.rename(root)
    assert is_page(browser.get("/"))


def test_pages_are_only_read(browser: Api):
    for path in ("/", "/inbox", "/assets/index-a1b2c3d4.js"):
        answer = browser.post(path, {})
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}
    assert browser.post("/api/v1/nope", {}).code == "not_found"
    assert browser.get("/api/v1/auth/login").code == "method_not_allowed"


def test_a_name_that_was_rebound_to_the_server_gets_no_page(browser: Api):
    for path in ("/", "/inbox", "/assets/index-a1b2c3d4.js"):
        assert browser.get(path, headers={"Host": "evil.example"}).code == "host_not_allowed"


def test_all_pages_are_one_route_in_the_metrics(browser: Api):
    for number in range(3):
        browser.get(f"/person/{number}")
        browser.get(f"/file{number}.js")

    text = browser.get("/metrics", headers=bearer("a token of tests for metrics")).content.decode()

    routes = set(re.findall(r'notify_http_requests_total\{.*?route="(.*?)"', text))
    assert routes <= {"/{page}", "/{file}", "/metrics", "/healthz", "/readyz", "/api/v1/auth/login", "none"}
