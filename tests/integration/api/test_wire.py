"""Every route by example: what is asked, and exactly what is answered."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.api.conftest import METRICS_TOKEN
from tests.support.http import PASSWORD, bearer, log_in

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
ZHANGSAN = {
    "id": "1",
    "username": "zhangsan",
    "name": "张三",
    "roles": ["annotator"],
    "projects": {"1": ["annotator"], "2": ["annotator"]},
    "locale": "zh-CN",
}
ADMIN = {"id": "4", "name": "管理员"}
ROOMS = [
    "user:1",
    "role:annotator",
    "project:1",
    "project:1:annotator",
    "project:2",
    "project:2:annotator",
    "global",
]
FULL = {
    "type": "task.submitted",
    "level": "warning",
    "urgent": True,
    "title": "任务待审核",
    "content": "请看",
    "data": {"task_id": 17, "nested": [1.5, None, {"深": "值"}]},
    "link": "/tasks/17",
    "expires_at": "2100-01-01T08:00:00.123456+08:00",
}


@pytest.fixture
def clean(zhangsan):
    """The inbox of zhangsan with everything read and archived that came before."""
    for item in zhangsan.get("inbox", query={"limit": 100}).body["items"]:
        zhangsan.patch(f"inbox/{item['id']}", {"archived": True})
    return zhangsan


def items(api, **query):
    answer = api.get("inbox", query=query)
    assert answer.status == 200, answer
    return [item["id"] for item in answer.body["items"]]


def test_who_may_publish_no_more_may_take_back_and_not_change(admin, caller, server):
    body = {"username": "former", "password": PASSWORD, "roles": ["admin"]}
    former_id = admin.post("users", body).body["id"]
    former = caller(bearer(log_in(server.url, "former")["access_token"]))
    id_ = former.publish("global", title="said as an admin")
    assert former.patch(f"notifications/{id_}", {"title": "changed"}).status == 200
    admin.patch(f"users/{former_id}", {"roles": ["annotator"]})

    refused = former.patch(f"notifications/{id_}", {"title": "changed again"})

    assert (refused.status, refused.code) == (403, "forbidden")
    assert former.get(f"notifications/{id_}").body["title"] == "changed"
    assert former.delete(f"notifications/{id_}").status == 204


def test_wire_login(nobody):
    answer = nobody.post("auth/login", {"username": "zhangsan", "password": "demo-password"})

    assert answer.status == 200
    body = answer.body
    assert body.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "user"}
    assert (body["token_type"], body["expires_in"], body["user"]) == ("Bearer", 900, ZHANGSAN)
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("username", ["zhangsan", "nobody"])
def test_wire_login_says_not_what_was_wrong(nobody, username):
    answer = nobody.post("auth/login", {"username": username, "password": "wrong"})

    assert (answer.status, answer.code) == (401, "invalid_credentials")
    assert answer.error["message"] == "Wrong username or password."


def test_wire_refresh_gives_what_login_gives(nobody):
    first = nobody.post("auth/login", {"username": "zhangsan", "password": "demo-password"}).body

    second = nobody.post("auth/refresh", {"refresh_token": first["refresh_token"]})

    assert second.status == 200
    assert second.body.keys() == first.keys()
    assert second.body["user"] == ZHANGSAN
    assert nobody.get("me", headers=bearer(second.body["access_token"])).status == 200


def test_wire_logout_answers_nothing(nobody):
    token = nobody.post("auth/login", {"username": "lisi", "password": "demo-password"}).body["access_token"]

    answer = nobody.post("auth/logout", headers=bearer(token))

    assert (answer.status, answer.content) == (204, b"")
    assert nobody.get("me", headers=bearer(token)).code == "token_revoked"


def test_wire_me(zhangsan):
    answer = zhangsan.get("me")

    assert answer.status == 200
    assert answer.body == {**ZHANGSAN, "rooms": ROOMS}


def test_wire_publish_created_repeated_and_in_conflict(admin):
    body = {"to": ["user:1", "project:2:reviewer"], "thread": "task:17", "settles": False, **FULL}
    key = {"Idempotency-Key": "wire-1"}

    created = admin.post("notifications", body, headers=key)
    repeated = admin.post("notifications", {**body, "to": body["to"][::-1]}, headers=key)
    conflict = admin.post("notifications", {**body, "title": "else"}, headers=key)

    assert created.status == 201
    assert created.body.keys() == {"id", "created_at", "postings", "connections", "servers"}
    assert ID.fullmatch(created.body["id"])
    assert MOMENT.fullmatch(created.body["created_at"])
    assert created.body["postings"].keys() == {"user:1", "project:2:reviewer"}
    assert all(offset >= 1 for offset in created.body["postings"].values())
    assert (created.body["connections"], created.body["servers"]) == (0, 0)
    assert repeated.status == 200
    assert repeated.body == created.body
    assert (conflict.status, conflict.code) == (409, "idempotency_conflict")


def test_wire_the_key_of_another_sender_is_another_key(admin, make_key):
    program = make_key("user:*")
    body, key = {"to": ["user:1"], "title": "mine"}, {"Idempotency-Key": "shared"}

    answers = [api.post("notifications", body, headers=key) for api in (admin, program, program)]

    assert [answer.status for answer in answers] == [201, 201, 200]
    assert answers[0].body["id"] != answers[1].body["id"] == answers[2].body["id"]


def test_wire_batch_each_entry_for_itself(admin):
    good = {"to": ["user:1"], "title": "in a batch", "idempotency_key": "batch-1"}
    entries = [
        good,
        {"to": ["user:1"]},
        good,
        {**good, "title": "else"},
        {"to": ["global"], "title": "no key"},
        7,
    ]

    answer = admin.post("notifications/batch", {"notifications": entries})

    assert answer.status == 200
    assert answer.body.keys() == {"results"}
    first, invalid, repeated, conflict, other, number = answer.body["results"]
    assert first.keys() == {"status", "id", "created_at", "postings", "connections", "servers"}
    assert sorted((first["status"], repeated["status"])) == [200, 201]
    assert repeated["id"] == first["id"]
    assert invalid["status"] == 422
    assert invalid["error"]["code"] == "validation_failed"
    assert invalid["error"]["fields"].keys() == {"title"}
    assert (conflict["status"], conflict["error"]["code"]) == (409, "idempotency_conflict")
    assert other["status"] == 201
    assert number["status"] == 422


def test_wire_get_update_retract(admin, zhangsan):
    id_ = admin.publish("user:1", "global", thread="task:9", settles=True, **FULL)

    sent = admin.get(f"notifications/{id_}")
    assert sent.status == 200
    assert MOMENT.fullmatch(sent.body["created_at"])
    assert sent.body == {
        **FULL,
        "id": id_,
        "to": ["global", "user:1"],
        "thread": "task:9",
        "settles": True,
        "actor": ADMIN,
        "created_at": sent.body["created_at"],
        "expires_at": "2100-01-01T00:00:00.123Z",
        "retracted_at": None,
    }

    changes = {"title": "新", "content": "", "data": {}, "link": None, "level": "error", "expires_at": None}
    updated = admin.patch(f"notifications/{id_}", changes)
    assert updated.status == 200
    assert updated.body == {**sent.body, **changes}
    assert zhangsan.patch(f"inbox/{id_}", {"seen": True}).body["title"] == "新"

    retracted = admin.delete(f"notifications/{id_}")
    assert (retracted.status, retracted.content) == (204, b"")
    assert admin.delete(f"notifications/{id_}").status == 204
    body = admin.get(f"notifications/{id_}").body
    assert MOMENT.fullmatch(body["retracted_at"])
    assert (body["title"], body["content"], body["data"], body["link"]) == ("", "", {}, None)
    assert admin.patch(f"notifications/{id_}", {"title": "again"}).code == "notification_retracted"
    assert zhangsan.patch(f"inbox/{id_}", {"seen": True}).status == 404


def test_wire_a_notification_is_its_senders_and_the_admins(admin, zhangsan, make_key):
    program, other = make_key("user:*"), make_key("*")
    id_ = program.publish("user:1", title="from a program")

    for stranger in (zhangsan, other):
        for method, body in (("GET", None), ("PATCH", {"title": "mine now"}), ("DELETE", None)):
            given = () if body is None else (body,)
            answer = stranger.request(method, f"notifications/{id_}", *given)
            assert (answer.status, answer.code) == (404, "not_found"), (method, answer)

    assert program.get(f"notifications/{id_}").body["actor"] is None
    assert program.patch(f"notifications/{id_}", {"title": "changed"}).body["title"] == "changed"
    assert admin.delete(f"notifications/{id_}").status == 204


def test_wire_inbox_item_and_page(admin, clean):
    id_ = admin.publish("user:1", "project:2", thread="task:30", **FULL)

    page = clean.get("inbox", query={"unread": "true"})

    assert page.status == 200
    body = page.body
    assert body.keys() == {"items", "next_cursor", "unread", "version", "epoch", "position"}
    assert body["next_cursor"] is None
    assert body["unread"] == 1
    assert body["position"].keys() == set(ROOMS)
    (item,) = body["items"]
    assert item == {
        **FULL,
        "id": id_,
        "room": "user:1",
        "rooms": ["project:2", "user:1"],
        "offset": body["position"]["user:1"],
        "actor": ADMIN,
        "thread": {"key": "task:30", "count": 1, "open": True, "settled_by": None},
        "created_at": item["created_at"],
        "expires_at": "2100-01-01T00:00:00.123Z",
        "seen_at": None,
        "read_at": None,
        "archived_at": None,
    }


def test_wire_inbox_filters(admin, clean):
    start = clean.get("inbox/counts").body
    plain = admin.publish("user:1", type="a.b", title="100% sure_thing")
    in_project = admin.publish("project:1:annotator", type="a.c", level="error", content="needle 针")
    in_thread = [admin.publish("project:2", thread="t:1", title=f"n{n}") for n in range(2)]
    everything = [in_thread[1], in_project, plain]

    assert items(clean) == everything
    assert items(clean, type="a.b") == [plain]
    assert items(clean, level="error") == [in_project]
    assert items(clean, room="user:1") == [plain]
    assert items(clean, room="project:9") == []
    assert items(clean, project="1") == [in_project]
    assert items(clean, thread="t:1") == in_thread[::-1]
    assert items(clean, q="针") == [in_project]
    assert items(clean, q="NEEDLE") == [in_project]
    assert items(clean, q="100%") == [plain]
    assert items(clean, q="sure_") == [plain]
    assert items(clean, q="%") == [plain]
    assert items(clean, q="_") == [plain]

    clean.patch(f"inbox/{plain}", {"read": True})
    assert items(clean, unread="true") == [in_thread[1], in_project]
    assert items(clean, unread="false") == [plain]
    assert items(clean, todo="true") == [in_thread[1]]
    assert items(clean, todo="false") == [in_project, plain]
    clean.patch(f"inbox/{plain}", {"archived": True})
    assert items(clean) == [in_thread[1], in_project]
    assert items(clean, archived="true", type="a.b") == [plain]

    counts = clean.get("inbox/counts")
    assert counts.status == 200
    assert counts.body.keys() == {"all", "unread", "unseen", "todo", "archived", "by_type", "version"}
    assert {name: counts.body[name] for name in ("all", "unread", "unseen", "todo", "by_type")} == {
        "all": 2,
        "unread": 2,
        "unseen": 2,
        "todo": 1,
        "by_type": {"a.c": 1, "message": 1},
    }
    assert counts.body["archived"] == min(start["archived"] + 1, 100)
    assert counts.body["version"] > start["version"]


def test_wire_inbox_cursor_walks_through_everything_once(admin, clean):
    sent = [admin.publish("user:1", title=f"{n}") for n in range(5)]

    seen, cursor = [], {}
    while True:
        page = clean.get("inbox", query={"limit": 2, **cursor}).body
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}

    assert seen == sent[::-1]


def test_wire_receipts_of_one_item(admin, clean):
    id_ = admin.publish("user:1")
    times = ("seen_at", "read_at", "archived_at")

    archived = clean.patch(f"inbox/{id_}", {"archived": True})
    assert archived.status == 200
    assert all(MOMENT.fullmatch(archived.body[name]) for name in times)

    taken = clean.patch(f"inbox/{id_}", {"seen": True, "read": False, "archived": False}).body
    assert [taken[name] is not None for name in times] == [True, False, False]

    assert clean.patch("inbox/01ARZ3NDEKTSV4RRFFQ69G5FAV", {"seen": True}).code == "not_found"


def test_wire_an_item_of_others_is_not_there(admin, clean):
    id_ = admin.publish("user:2")

    assert clean.patch(f"inbox/{id_}", {"read": True}).status == 404
    assert clean.post("inbox/read", {"ids": [id_]}).body["unread"] == 0


def test_wire_read_by_ids_through_a_position_and_all(admin, clean):
    ids = [admin.publish("user:1") for _ in range(4)]
    offset = clean.get("inbox").body["position"]["user:1"]

    by_id = clean.post("inbox/read", {"ids": [ids[3], "no such id"]})
    through = clean.post("inbox/read", {"through": {"user:1": offset - 2, "user:2": 9, "no room": 1}})
    everything = clean.post("inbox/read", {"all": True})

    assert [answer.status for answer in (by_id, through, everything)] == [200, 200, 200]
    assert by_id.body.keys() == {"unread", "unseen", "version"}
    assert [answer.body["unread"] for answer in (by_id, through, everything)] == [3, 1, 0]
    assert by_id.body["version"] < through.body["version"] < everything.body["version"]


@pytest.mark.parametrize(("name", "given"), [("seen", 1), ("read", 2), ("archive", 3)])
def test_wire_each_receipt_is_given_to_many(admin, clean, name, given):
    ids = [admin.publish("user:1") for _ in range(3)]

    marked = clean.post(f"inbox/{name}", {"ids": ids[:2]})

    assert (marked.status, marked.body["unseen"]) == (200, 1)
    for id_, times in zip(ids, (given, given, 0), strict=True):
        item = clean.patch(
            f"inbox/{id_}", {"archived": False} if name != "archive" else {"seen": bool(times)}
        ).body
        assert sum(item[at] is not None for at in ("seen_at", "read_at", "archived_at")) == times


def test_wire_expired_is_not_shown(admin, clean):
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    id_ = admin.publish("user:1", expires_at=past)

    assert items(clean) == []
    assert clean.patch(f"inbox/{id_}", {"seen": True}).status == 404
    assert admin.get(f"notifications/{id_}").status == 200
    assert admin.patch(f"notifications/{id_}", {"title": "again"}).code == "notification_expired"
    assert admin.delete(f"notifications/{id_}").status == 204


def test_wire_summary(admin, clean):
    admin.publish("user:1", urgent=True)

    answer = clean.get("summary")

    assert answer.status == 200
    body = answer.body
    assert body.keys() == {
        "epoch", "recovered", "position", "since", "missed", "unread", "version", "tasks", "projects", "oldest",
        "urgent", "messages",
    }  # fmt: skip
    missed = body["missed"]
    assert missed.keys() == {"total", "capped", "by_type", "by_room", "urgent", "latest"}
    assert (body["recovered"], body["since"], body["unread"], body["tasks"]) == (
        True, None, 1, {"in_progress": 0, "rejected": 0},
    )  # fmt: skip
    assert (body["projects"], body["oldest"]) == ({}, None)
    assert missed["total"] >= 1
    assert missed["urgent"] >= 1
    assert 1 <= len(missed["latest"]) <= 5
    assert missed["latest"][0] == clean.get("inbox").body["items"][0]
    assert body["position"].keys() == set(ROOMS)
    for message in body["messages"]:
        assert message.keys() == {"level", "text"}
        assert message["text"].keys() == {"zh-CN", "en"}


def test_wire_presence(admin, zhangsan, make_key):
    answer = admin.get("presence", query={"rooms": "user:1,project:7,role:reviewer,global"})

    nothing = {"online": False, "connections": 0}
    assert answer.status == 200
    assert answer.body == {
        "rooms": dict.fromkeys(["user:1", "project:7", "role:reviewer", "global"], nothing)
    }
    assert zhangsan.get("presence", query={"rooms": ",".join(ROOMS)}).status == 200
    assert zhangsan.get("presence", query={"rooms": "user:1,user:2"}).code == "forbidden"
    program = make_key("project:*")
    assert program.get("presence", query={"rooms": "project:7"}).status == 200
    assert program.get("presence", query={"rooms": "user:1"}).code == "forbidden"


def test_wire_health(nobody):
    assert nobody.get("/healthz").body == {"status": "ok"}
    ready = nobody.get("/readyz")
    assert (ready.status, ready.body["status"]) == (200, "ok")


def test_wire_metrics_are_for_admins_and_holders_of_the_token(nobody, admin, zhangsan):
    for answer, status, code in (
        (nobody.get("/metrics"), 401, "token_missing"),
        (zhangsan.get("/metrics"), 403, "forbidden"),
        (nobody.get("/metrics", headers=bearer("wrong")), 401, "token_invalid"),
        (nobody.get("/metrics", headers={"Authorization": b"Bearer \xff"}), 401, "token_invalid"),
    ):
        assert (answer.status, answer.code) == (status, code)

    for answer in (admin.get("/metrics"), nobody.get("/metrics", headers=bearer(METRICS_TOKEN))):
        assert answer.status == 200
        assert answer.headers.get_content_type() == "text/plain"
        assert b"\nnotify_log_units_total " in answer.content


def test_wire_metrics_count_what_is_refused_by_route(admin, nobody):
    nobody.get("me")
    admin.get(f"notifications/{'0' * 26}")
    admin.get("no-such-thing/1")
    metrics = admin.get("/metrics").content.decode()

    assert 'method="GET",route="/api/v1/me",status="401"' in metrics
    assert 'method="GET",route="/api/v1/notifications/{id}",status="404"' in metrics
    assert 'method="GET",route="none",status="404"' in metrics
    assert "no-such-thing" not in metrics


def test_wire_a_request_keeps_its_id_if_it_is_one(nobody):
    kept = nobody.get("me", headers={"X-Request-ID": "abc-1.2_3"})
    assert kept.headers["X-Request-ID"] == kept.error["request_id"] == "abc-1.2_3"

    for given in ("", "a b", "x" * 65, "<script>", b"\xff", "é"):
        made = nobody.get("me", headers={"X-Request-ID": given})
        assert ID.fullmatch(made.headers["X-Request-ID"])
        assert made.error["request_id"] == made.headers["X-Request-ID"]
