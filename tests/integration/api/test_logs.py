"""The log at its default level says what happened, never who said what, nor by which token."""

import sqlite3
from contextlib import closing

import pytest

from tests.support.http import PASSWORD, bearer, log_in
from tests.support.store import sqlite_path

MARK = "unmistakable"
TEXT = f"{MARK} 不可误认"


@pytest.fixture(scope="module")
def secrets(server, admin, zhangsan, nobody, make_key):
    """Every route was used, well and badly; what was sent and given meanwhile, and must not be logged."""
    login = log_in(server.url, "wangwu")
    refreshed = nobody.post("auth/refresh", {"refresh_token": login["refresh_token"]}).body
    headers = bearer(refreshed["access_token"])
    body = {
        "to": ["user:1"],
        "title": TEXT,
        "content": TEXT,
        "data": {"a": TEXT},
        "link": f"/{MARK}",
        "thread": TEXT,
    }
    answers = [
        nobody.post("auth/login", {"username": MARK, "password": MARK}),
        nobody.post("auth/login", {"username": "zhangsan", "password": MARK}),
        nobody.get("me", headers={"Authorization": f"Bearer {MARK}", "X-Request-ID": MARK}),
        nobody.get("me", headers={"X-API-Key": f"nk_{MARK}"}),
        nobody.get("me", headers={"Authorization": f"Bearer {MARK}" + "x" * 20_000}),
        nobody.get(f"inbox?q={MARK}{'x' * 20_000}"),
        nobody.post("auth/refresh", {"refresh_token": login["refresh_token"] + MARK}),
        admin.post("notifications", body, headers={"Idempotency-Key": MARK}),
        admin.post("notifications", {**body, "title": 7}, headers={"Idempotency-Key": MARK}),
        admin.post("notifications", {**body, "title": "x"}, headers={"Idempotency-Key": MARK}),
        admin.post("notifications", f'{{"{MARK}'.encode()),
        admin.post("notifications/batch", {"notifications": [body, {MARK: MARK}]}),
        make_key("user:2").post("notifications", body),
        admin.post("users", {"username": MARK, "password": f"{MARK} {PASSWORD}", "name": TEXT}),
        admin.post("users", {"username": MARK, "password": f"{MARK} {PASSWORD}", "name": TEXT}),
        admin.post("keys", {"name": TEXT, "rooms": [MARK]}),
        admin.post("keys", {"name": TEXT, "rooms": ["user:1"]}),
        admin.post("projects", {"id": MARK, "name": TEXT}),
        admin.get("users", query={"q": TEXT}),
        *(admin.get(path) for path in ("projects", "projects/1/members", "keys", "sessions", "audit")),
        zhangsan.get("inbox", query={"q": TEXT}),
        zhangsan.get("inbox", query={"level": MARK}),
        zhangsan.post("inbox/read", {"all": True}),
        zhangsan.get(f"{MARK}/unknown"),
        zhangsan.request("TRACE", f"inbox?q={MARK}"),
        *(zhangsan.get(path) for path in ("me", "inbox", "inbox/counts", "summary", "presence?rooms=user:1")),
        *(nobody.get(path) for path in ("/healthz", "/readyz", "/metrics", "openapi.json")),
    ]
    id_ = answers[7].body["id"]
    answers += [
        admin.get(f"notifications/{id_}"),
        admin.patch(f"notifications/{id_}", {"title": TEXT}),
        zhangsan.patch(f"inbox/{id_}", {"read": True}),
        admin.delete(f"notifications/{id_}"),
        nobody.post("auth/logout", headers=headers),
    ]
    assert {200, 201, 204, 400, 401, 403, 404, 405, 409, 422} == {answer.status for answer in answers}
    tokens = [pair[name] for pair in (login, refreshed) for name in ("access_token", "refresh_token")]
    return [
        *tokens,
        MARK,
        "不可误认",
        PASSWORD,
        "zhangsan",
        "wangwu",
        "张三",
        "王五",
        "管理员",
        "nk_",
        "Bearer",
        "eyJ",
    ]


def test_no_token_name_or_text_is_logged_by_any_route(server, secrets):
    log = server.log_path.read_text()

    assert "服务已启动" in log
    assert [secret for secret in secrets if secret in log] == []


@pytest.mark.usefixtures("secrets")
def test_refusals_are_no_lines_in_the_log_but_those_of_logins(server):
    """One line an event: whoever sends nonsense cannot fill the disk. Logins are slow, and their lines few."""
    refused = [line for line in server.log_path.read_text().splitlines() if "登录被拒绝" in line]
    assert [line.rpartition(" ")[2] for line in refused] == ["address=127.0.0.1"] * 2
    assert len(server.log_path.read_text().splitlines()) < 10


@pytest.mark.usefixtures("secrets")
def test_metrics_hold_no_token_name_or_text(admin):
    metrics = admin.get("/metrics").content.decode()

    for secret in (MARK, "zhangsan", "张三", "user:1"):
        assert secret not in metrics


def test_what_the_database_refuses_is_logged_without_what_was_said(server, admin, database):
    refuse = "CREATE TRIGGER refuse BEFORE INSERT ON notification BEGIN SELECT RAISE(ABORT, 'refused'); END"
    with closing(sqlite3.connect(sqlite_path(database))) as file:
        file.execute(refuse)

        answer = admin.post("notifications", {"to": ["user:1"], "title": TEXT, "data": {"a": TEXT}})

        file.execute("DROP TRIGGER refuse")
    assert (answer.status, answer.code) == (500, "internal_error")
    log = server.log_path.read_text()
    assert "refused" in log
    assert "INSERT INTO notification" in log
    assert MARK not in log
