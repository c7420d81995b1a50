"""A server lets go of what is old by itself, and says so nowhere but where it is asked."""

from contextlib import closing

import pytest

from tests.support.http import Api, bearer, log_in
from tests.support.stage import demo_server
from tests.support.waiting import ask_until

KEPT_S = 3.0


@pytest.fixture
def server(demo_url, tmp_path):
    env = {"RETENTION_DAYS": f"{KEPT_S / 86_400:.8f}", "RETENTION_CHECK_S": "0.1"}
    with demo_server(demo_url, tmp_path, env=env) as server:
        yield server


def caller(server, username: str) -> Api:
    return Api(server.url, bearer(log_in(server.url, username)["access_token"]))


def counter(admin: Api, name: str) -> int:
    lines = admin.get("/metrics").content.decode().splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith(f"{name} "))


def test_what_is_old_vanishes_from_the_inbox_and_the_room_goes_on(server):
    with closing(caller(server, "admin")) as admin, closing(caller(server, "zhangsan")) as zhangsan:
        first = admin.publish("user:1", "global", key="k", expires_at="2020-01-01T00:00:00Z", title="over")
        second = admin.publish("user:1", thread="task:1")
        assert [item["id"] for item in zhangsan.get("inbox").body["items"]] == [second]

        ask_until(lambda: counter(admin, "notify_cleared_total"), lambda cleared: cleared == 1)
        ask_until(lambda: zhangsan.get("inbox").body["items"], lambda items: items == [])
        ask_until(lambda: counter(admin, "notify_pruned_total"), lambda pruned: pruned == 3)

        body = zhangsan.get("inbox").body
        assert (body["unread"], body["position"]["user:1"]) == (0, 2)
        for gone in (first, second):
            assert admin.get(f"notifications/{gone}").status == 404
            assert admin.patch(f"notifications/{gone}", {"title": "x"}).status == 404
            assert admin.delete(f"notifications/{gone}").status == 404
        answer = admin.post(
            "notifications", {"to": ["user:1"], "title": "new"}, headers={"Idempotency-Key": "k"}
        )
        assert (answer.status, answer.body["postings"]) == (201, {"user:1": 3})
        assert [item["title"] for item in zhangsan.get("inbox").body["items"]] == ["new"]
