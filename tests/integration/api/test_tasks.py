"""Tasks by HTTP: the form of each route, who sees and does what, imports, and how refusals read."""

import json
import re
from http.client import HTTPConnection
from urllib.parse import quote

import pytest

from core.domain.ids import new_id
from tests.support.http import bearer, log_in
from tests.support.waiting import ask_until

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PASSWORD = "a password of tests"
WANGWU = {"id": "3", "name": "王五"}
ZHANGSAN = {"id": "1", "name": "张三"}


@pytest.fixture(scope="module")
def database(database_of_each_kind):
    return database_of_each_kind


@pytest.fixture(scope="module")
def wangwu(server, caller):
    return caller(bearer(log_in(server.url, "wangwu")["access_token"]))


@pytest.fixture(scope="module")
def lead(server, caller, admin):
    """Somebody who is an admin in project 1 only, and has work there as well."""
    person = {"username": "lead", "password": PASSWORD, "projects": {"1": ["admin"]}}
    id_ = admin.post("users", person).body["id"]
    api = caller(bearer(log_in(server.url, "lead", PASSWORD)["access_token"]))
    api.id = id_
    return api


@pytest.fixture
def make(wangwu):
    """Creates tasks of project 1 that zhangsan has; the id."""

    def made(**fields):
        body = {"project": "1", "title": "第一张图", "assignee": "1", **fields}
        answer = wangwu.post("tasks", body)
        assert answer.status == 201, answer
        return answer.body["id"]

    return made


@pytest.fixture
def hand_in(make, zhangsan):
    def handed_in(**fields):
        id_ = make(**fields)
        for action in ("start", "submit"):
            assert zhangsan.post(f"tasks/{id_}/{action}").status == 200
        return id_

    return handed_in


def refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code), answer
    return answer.body["error"]


def test_a_task_is_created_and_read_in_its_documented_form(wangwu, zhangsan):
    body = {"project": "1", "title": "第一张图", "key": new_id(), "link": "/images/1", "assignee": "1"}
    answer = wangwu.post("tasks", body)
    assert answer.status == 201
    task = answer.body
    id_, created, changed = task.pop("id"), task.pop("created_at"), task.pop("changed_at")
    assert MOMENT.fullmatch(created)
    assert created == changed
    assert task == {
        "project": "1", "key": body["key"], "title": "第一张图", "link": "/images/1", "state": "assigned",
        "assignee": ZHANGSAN, "comment": None, "version": 1, "actions": ["assign"],
    }  # fmt: skip
    seen = zhangsan.get(f"tasks/{id_}").body
    (event,) = seen.pop("events")
    assert seen["actions"] == ["start", "request_skip"]
    assert MOMENT.fullmatch(event.pop("at"))
    assert event == {
        "action": "create", "by": WANGWU, "state_before": None, "state_after": "assigned", "assignee": ZHANGSAN,
        "comment": None,
    }  # fmt: skip


def test_a_task_goes_its_whole_way(wangwu, zhangsan, make):
    id_ = make()
    states = []
    for caller, action, body in (
        (zhangsan, "start", {}),
        (zhangsan, "submit", {}),
        (wangwu, "reject", {"comment": "左上角模糊"}),
        (zhangsan, "start", {}),
        (zhangsan, "submit", {"comment": "改好了"}),
        (wangwu, "approve", {}),
    ):
        answer = caller.post(f"tasks/{id_}/{action}", body)
        assert answer.status == 200, answer
        states.append((answer.body["state"], answer.body["version"], answer.body["comment"]))
    assert states == [
        ("in_progress", 2, None),
        ("submitted", 3, None),
        ("rejected", 4, "左上角模糊"),
        ("in_progress", 5, None),
        ("submitted", 6, "改好了"),
        ("approved", 7, None),
    ]
    events = wangwu.get(f"tasks/{id_}").body["events"]
    assert [event["action"] for event in events] == [
        "approve", "submit", "start", "reject", "submit", "start", "create",
    ]  # fmt: skip


def test_a_skip_is_asked_for_and_decided(wangwu, zhangsan, make):
    id_ = make()
    assert zhangsan.post(f"tasks/{id_}/skip", {"comment": "空白"}).body["state"] == "skip_pending"
    assert wangwu.post(f"tasks/{id_}/skip/reject").body["state"] == "assigned"
    assert zhangsan.post(f"tasks/{id_}/skip").body["state"] == "skip_pending"
    assert wangwu.post(f"tasks/{id_}/skip/approve").body["state"] == "skipped"


def test_the_second_reviewer_is_told_who_was_first(wangwu, admin, hand_in):
    id_ = hand_in()
    assert wangwu.post(f"tasks/{id_}/approve", {"version": 3}).status == 200
    error = refused(admin.post(f"tasks/{id_}/reject", {"version": 3, "comment": "x"}), 409, "task_conflict")
    details = error["details"]
    assert MOMENT.fullmatch(details.pop("at"))
    assert details == {"action": "approve", "by": WANGWU, "state": "approved", "version": 4}


def test_rejecting_asks_for_a_reason(wangwu, hand_in):
    id_ = hand_in()
    for body in ({}, {"comment": ""}, {"comment": "  "}, {"comment": None}, {"comment": "x" * 1_001}):
        error = refused(wangwu.post(f"tasks/{id_}/reject", body), 422, "validation_failed")
        assert list(error["fields"]) == ["comment"]
    assert wangwu.get(f"tasks/{id_}").body["state"] == "submitted"


def test_nobody_reviews_their_own_work(lead, wangwu):
    id_ = wangwu.post("tasks", {"project": "1", "title": "x", "assignee": lead.id}).body["id"]
    for action in ("start", "submit"):
        assert lead.post(f"tasks/{id_}/{action}").status == 200
    assert lead.get(f"tasks/{id_}").body["actions"] == []
    refused(lead.post(f"tasks/{id_}/approve"), 403, "own_work")
    assert wangwu.post(f"tasks/{id_}/approve").status == 200


def test_a_project_is_none_of_the_business_of_those_who_review_elsewhere(lead, admin, lisi, hand_in):
    theirs = hand_in()
    elsewhere = admin.post("tasks", {"project": "2", "title": "x", "assignee": "1"}).body["id"]
    for caller, id_ in ((lead, elsewhere), (lisi, theirs)):
        refused(caller.get(f"tasks/{id_}"), 404, "task_not_found")
        refused(caller.post(f"tasks/{id_}/approve"), 404, "task_not_found")
        assert id_ not in {task["id"] for task in caller.get("tasks", query={"limit": 100}).body["items"]}
    assert theirs in {task["id"] for task in lead.get("tasks", query={"limit": 100}).body["items"]}
    refused(lead.post("tasks", {"project": "2", "title": "x"}), 404, "project_not_found")
    refused(lisi.post("tasks", {"project": "1", "title": "x"}), 403, "forbidden")


def test_lists_are_filtered_and_paged(wangwu, make):
    word = new_id()
    ids = [make(title=f"{word} {number}") for number in range(5)]
    found, cursor = [], None
    while True:
        query = {"q": word, "project": "1", "state": "assigned", "assignee": "1", "limit": 2}
        page = wangwu.get("tasks", query={**query, **({"cursor": cursor} if cursor else {})}).body
        found += [task["id"] for task in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == ids
    for nothing in ({"state": "approved"}, {"assignee": "2"}, {"project": "2"}, {"key": "none"}):
        assert wangwu.get("tasks", query={"q": word, **nothing}).body["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"state": "done"}, "state"),
        ({"assignee": "a b"}, "assignee"),
        ({"cursor": "x"}, "cursor"),
        ({"limit": "0"}, "limit"),
        ({"x": "1"}, "x"),
    ],
)
def test_bad_questions_are_refused(wangwu, query, field):
    error = refused(wangwu.get("tasks", query=query), 422, "validation_failed")
    assert list(error["fields"]) == [field]


@pytest.mark.parametrize("id_", ["0", "-1", "1e3", "x", "1234567890", "99999999999999999999", "٣"])
def test_what_cannot_be_a_task_is_not_found(wangwu, id_):
    assert wangwu.get(f"tasks/{quote(id_)}").status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"project": "1"}, "title"),
        ({"title": "x"}, "project"),
        ({"project": "1", "title": "x" * 301}, "title"),
        ({"project": "1", "title": "a\x00b"}, "title"),
        ({"project": "1", "title": "\ud800"}, "title"),
        ({"project": "1", "title": "x", "key": "a b"}, "key"),
        ({"project": "1", "title": "x", "link": "javascript:alert(1)"}, "link"),
        ({"project": "1", "title": "x", "assignee": "99"}, "assignee"),
        ({"project": "1", "title": "x", "state": "approved"}, "state"),
    ],
)
def test_bad_tasks_are_refused(wangwu, body, field):
    answer = wangwu.post("tasks", body)
    error = refused(answer, 422, "validation_failed")
    assert list(error["fields"]) == [field]


@pytest.mark.parametrize("version", [0, -1, "3", 1.5, True, 2**60])
def test_a_version_is_a_whole_number(wangwu, hand_in, version):
    error = refused(wangwu.post(f"tasks/{hand_in()}/approve", {"version": version}), 422, "validation_failed")
    assert list(error["fields"]) == ["version"]


def test_many_are_given_to_one_person_who_hears_of_it_once(wangwu, lisi, make):
    ids = [make(assignee=None) for _ in range(3)]
    head = lisi.get("inbox").body["position"]["user:2"]
    answer = wangwu.post("tasks/assign", {"ids": [*ids, "999999999", ids[0]], "assignee": "2"})
    assert answer.status == 200
    results = {result["id"]: result for result in answer.body["results"]}
    assert {id_: result["status"] for id_, result in results.items()} == {
        **dict.fromkeys(ids, 200),
        "999999999": 404,
    }
    assert results[ids[0]]["task"]["assignee"] == {"id": "2", "name": "李四"}
    assert results["999999999"]["error"]["code"] == "task_not_found"
    inbox = lisi.get("inbox").body
    assert inbox["position"]["user:2"] == head + 1
    assert inbox["items"][0]["title"] == "3 个新任务"
    assert inbox["items"][0]["data"]["task_ids"] == [int(id_) for id_ in ids]


@pytest.mark.parametrize("ids", [[], ["x"], [1], ["0"], "1", ["1"] * 501])
def test_bad_lists_of_tasks_are_refused(wangwu, ids):
    refused(wangwu.post("tasks/assign", {"ids": ids, "assignee": "2"}), 422, "validation_failed")


def test_rows_are_imported_or_refused_one_by_one(wangwu):
    known = new_id()
    wangwu.post("tasks", {"project": "1", "title": "x", "key": known})
    rows = [
        {"title": "a", "key": new_id()}, {"title": ""}, "x", {"title": "b", "key": known}, {"title": "c", "x": 1},
        {"title": "d", "assignee": "99"}, {"title": "e", "assignee": "2"},
    ]  # fmt: skip
    answer = wangwu.post("tasks/import", {"project": "1", "tasks": rows})
    assert answer.status == 200
    told = answer.body
    errors = {entry["row"]: entry["error"]["code"] for entry in told.pop("errors")}
    assert told == {"total": 7, "done": 7, "created": 2, "failed": 5}
    assert errors == {
        2: "validation_failed", 3: "validation_failed", 4: "task_exists", 5: "validation_failed",
        6: "validation_failed",
    }  # fmt: skip


def send(server, path, data, token, **headers):
    host = server.url.removeprefix("http://")
    connection = HTTPConnection(host, timeout=30)
    try:
        connection.request("POST", f"/api/v1/{path}", data, {**bearer(token), **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def token(server):
    return log_in(server.url, "wangwu")["access_token"]


def test_a_csv_file_is_imported_with_news_of_how_far_it_is(server, token, lisi):
    before = lisi.get("inbox").body["position"]["user:2"]
    mark = new_id()
    lines = [
        "﻿title,key,assignee",
        *(f'"图 {n}, {mark}",{mark}-{n},{2 if n % 2 else ""}' for n in range(1_200)),
    ]
    status, kind, body = send(
        server, "tasks/import?project=1", "\r\n".join(lines).encode(), token,
        **{"Content-Type": "text/csv", "Accept": "application/x-ndjson"},
    )  # fmt: skip
    told = [json.loads(line) for line in body.splitlines()]
    assert (status, kind) == (200, "application/x-ndjson")
    done = [line["done"] for line in told]
    assert len(done) >= 3
    assert done == sorted(done)
    assert told[-1] == {"total": 1200, "done": 1200, "created": 1200, "failed": 0, "errors": []}
    assert all("errors" not in line for line in told[:-1])
    assert lisi.get("inbox").body["position"]["user:2"] - before == 2, "600 tasks, by 500 at most"


@pytest.mark.parametrize(
    ("data", "project"),
    [
        (b"title,x\na,b\n", "1"),
        (b"title,title\na,b\n", "1"),
        (b"title\n" + b"x\n" * 10_001, "1"),
        (b"", "1"),
        (b"title\n", "1"),
        (b"\xff\xfe", "1"),
        (b'title\n"x', "1"),
        (b"title\nx\n", None),
    ],
)
def test_what_is_no_file_of_tasks_is_refused(server, token, data, project):
    path = "tasks/import" + (f"?project={project}" if project else "")
    status, _, body = send(server, path, data, token, **{"Content-Type": "text/csv"})
    assert (status, json.loads(body)["error"]["code"]) == (422, "validation_failed")


def test_rows_with_too_many_cells_are_refused_for_themselves(server, token):
    status, _, body = send(
        server, "tasks/import?project=1", b"title\nx,y,z\nok\n", token, **{"Content-Type": "text/csv"}
    )
    told = json.loads(body)
    assert (status, told["created"], [entry["row"] for entry in told["errors"]]) == (200, 1, [1])


def test_what_is_far_too_long_is_refused_before_any_of_it_is_looked_at(lisi, wangwu):
    rows = [1] * 10_001
    for caller in (lisi, wangwu):
        error = refused(
            caller.post("tasks/import", {"project": "1", "tasks": rows}), 422, "validation_failed"
        )
        assert error["fields"] == {"tasks": ["Length must be between 1 and 10000."]}
    many = {f"x{number}": 1 for number in range(10_001)}
    error = refused(wangwu.put("summary/counters", {"counters": many}), 422, "validation_failed")
    assert error["fields"] == {"counters": ["Longer than maximum length 500."]}
    error = refused(wangwu.post("tasks", many), 422, "validation_failed")
    assert "fields" not in error


def test_a_file_of_who_may_not_import_is_not_read(server):
    token = log_in(server.url, "lisi")["access_token"]
    status, _, body = send(
        server, "tasks/import?project=1", b"\xff\xfe", token, **{"Content-Type": "text/csv"}
    )
    assert (status, json.loads(body)["error"]["code"]) == (403, "forbidden")


def test_who_does_not_wait_for_the_end_has_their_rows_imported_all_the_same(server, token, wangwu):
    mark = new_id()
    rows = [{"title": f"{mark} {number}"} for number in range(3_000)]
    body = json.dumps({"project": "1", "tasks": rows}).encode()
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    headers = {**bearer(token), "Content-Type": "application/json", "Accept": "application/x-ndjson"}
    connection.request("POST", "/api/v1/tasks/import", body, headers)
    answer = connection.getresponse()
    assert answer.readline()
    connection.close()
    answer.close()

    ask_until(lambda: wangwu.get("tasks", query={"q": f"{mark} 2999"}).body["items"], bool)
    assert not [line for line in server.lines if "Traceback" in line or "[error" in line]


def test_an_import_into_a_project_of_others_is_refused_as_a_whole(lisi, lead):
    rows = [{"title": "x"}]
    refused(lisi.post("tasks/import", {"project": "1", "tasks": rows}), 403, "forbidden")
    refused(lead.post("tasks/import", {"project": "2", "tasks": rows}), 404, "project_not_found")


def test_a_key_does_what_its_scope_and_its_person_may(make_key, hand_in):
    id_ = hand_in()
    nobody = make_key("project:1", types=("task.*",))
    refused(nobody.get("tasks"), 403, "forbidden")
    narrow = make_key("project:2", types=("task.*",), user="3")
    refused(narrow.post(f"tasks/{id_}/approve"), 403, "forbidden")
    typed = make_key("project:1", types=("task.create",), user="3")
    refused(typed.post(f"tasks/{id_}/approve"), 403, "forbidden")
    assert typed.post("tasks", {"project": "1", "title": "x"}).status == 201
    assert make_key("project:1", types=("task.approve",), user="3").post(f"tasks/{id_}/approve").status == 200


def test_the_summary_counts_what_waits_for_each(wangwu, zhangsan, lead, admin, hand_in):
    id_ = hand_in()
    assert wangwu.post(f"tasks/{id_}/reject", {"comment": "x"}).status == 200
    mine = zhangsan.get("summary").body
    assert mine["tasks"].keys() == {"in_progress", "rejected"}
    assert mine["tasks"]["rejected"] == 1
    assert mine["urgent"]
    assert mine["messages"][0]["text"]["zh-CN"] == "⚠️ 您有 1 个被驳回任务，建议请您先修订"
    assert mine["oldest"]["id"] == id_
    zhangsan.post(f"tasks/{id_}/start")
    assert zhangsan.get("summary").body["tasks"] == {"in_progress": 1, "rejected": 0}
    zhangsan.post(f"tasks/{id_}/submit")
    elsewhere = admin.post("tasks", {"project": "2", "title": "x", "assignee": "1"}).body["id"]
    zhangsan.post(f"tasks/{elsewhere}/skip")
    here, there = lead.get("summary").body, admin.get("summary").body
    assert "2" not in here["projects"]
    assert there["projects"]["2"] == {"submitted": 0, "skip_pending": 1}
    assert here["tasks"]["submitted"] == here["projects"]["1"]["submitted"] >= 1
    assert there["tasks"]["skip_pending"] >= 1
    assert there["oldest"]["state"] in ("submitted", "skip_pending")


def test_who_has_left_a_project_is_told_nothing_of_their_tasks_there(admin, caller, server, wangwu):
    person = {"username": "leaver", "password": PASSWORD, "projects": {"1": ["annotator"]}}
    id_ = admin.post("users", person).body["id"]
    leaver = caller(bearer(log_in(server.url, "leaver", PASSWORD)["access_token"]))
    task = wangwu.post("tasks", {"project": "1", "title": "SECRET", "assignee": id_}).body["id"]
    for action in ("start", "submit"):
        assert leaver.post(f"tasks/{task}/{action}").status == 200
    wangwu.post(f"tasks/{task}/reject", {"comment": "SECRET"})
    assert leaver.get("summary").body["tasks"]["rejected"] == 1
    assert admin.delete(f"projects/1/members/{id_}").status == 204
    summary = leaver.get("summary").body
    assert (summary["tasks"], summary["oldest"]) == ({"in_progress": 0, "rejected": 0}, None)
    refused(leaver.get(f"tasks/{task}"), 404, "task_not_found")
    assert leaver.get("tasks").body["items"] == []


def test_ones_own_work_is_not_ones_own_to_review(lead, wangwu):
    before = lead.get("summary").body["tasks"]["submitted"]
    task = wangwu.post("tasks", {"project": "1", "title": "x", "assignee": lead.id}).body["id"]
    for action in ("start", "submit"):
        assert lead.post(f"tasks/{task}/{action}").status == 200
    assert lead.get("summary").body["tasks"]["submitted"] == before
    assert wangwu.post(f"tasks/{task}/approve").status == 200
