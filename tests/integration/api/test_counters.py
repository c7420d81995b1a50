"""Pushed counters: what a platform says is waiting for people stands in their summaries, and only it can change that."""

import pytest

from tests.support.http import Api

PUSH = "summary/counters"
SURROGATE = "\ud800"


@pytest.fixture(scope="module")
def database(database_of_each_kind):
    return database_of_each_kind


@pytest.fixture(scope="module")
def pushing(make_key) -> Api:
    return make_key("user:*", types=("summary.counters",))


@pytest.fixture
def platform(pushing, admin):
    """One that may speak of everybody; afterwards, nothing is said any more."""
    yield pushing
    for api in (admin, pushing):
        push(api, {"1": {}, "2": {}})


def push(api: Api, people) -> None:
    answer = api.put(PUSH, {"counters": people})
    assert (answer.status, answer.content) == (204, b""), answer


def tasks(api: Api):
    return api.get("summary").body["tasks"]


def test_what_is_pushed_is_in_the_summary_of_that_person_with_its_sentence(platform, zhangsan, lisi):
    push(platform, {"1": {"rejected": 1, "in_progress": 2}})

    summary = zhangsan.get("summary").body
    assert summary["tasks"] == {"rejected": 1, "in_progress": 2}
    assert summary["urgent"] is True
    assert [message["text"]["zh-CN"] for message in summary["messages"]][:2] == [
        "⚠️ 您有 1 个被驳回任务，建议请您先修订",
        "📝 您有 2 个进行中的任务",
    ]
    assert tasks(lisi) == {}


def test_a_sender_replaces_what_it_said_itself_and_nothing_else(platform, admin, zhangsan):
    push(platform, {"1": {"rejected": 1, "drafts": 4}})
    push(admin, {"1": {"rejected": 10}})
    assert tasks(zhangsan) == {"rejected": 11, "drafts": 4}

    push(platform, {"1": {"rejected": 2}})
    assert tasks(zhangsan) == {"rejected": 12}
    push(platform, {"1": {"rejected": 0}})
    assert tasks(zhangsan) == {"rejected": 10}
    push(admin, {"1": {}})
    assert tasks(zhangsan) == {}
    assert zhangsan.get("summary").body["urgent"] is False


def test_whom_a_push_does_not_name_keeps_what_was_said(platform, zhangsan, lisi):
    push(platform, {"1": {"rejected": 1}, "2": {"submitted": 7}})
    push(platform, {"2": {}})
    push(platform, {})

    assert tasks(zhangsan) == {"rejected": 1}
    assert tasks(lisi) == {}


def test_500_people_that_nobody_knows_yet_can_be_spoken_of_at_once(platform):
    push(platform, {f"acme|{number}": {f"c{count}": 10**9 for count in range(20)} for number in range(500)})


def test_what_a_revoked_key_said_goes_with_it(admin, caller, zhangsan):
    made = admin.post("keys", {"name": "gone", "rooms": ["user:*"], "types": ["*"]}).body
    push(caller({"X-API-Key": made["key"]}), {"1": {"rejected": 3}})
    assert tasks(zhangsan) == {"rejected": 3}

    assert admin.delete(f"keys/{made['id']}").status == 204
    assert tasks(zhangsan) == {}


@pytest.mark.parametrize(
    ("rooms", "types"),
    [
        (("user:1",), ("summary.counters",)), (("project:*",), ("*",)), (("user:1", "global"), ("*",)),
        (("user:*",), ("task.*",)), (("user:*",), ("summary",)),
    ],
)  # fmt: skip
def test_a_key_speaks_only_of_those_in_its_scope_and_of_all_of_them_or_none(make_key, zhangsan, rooms, types):
    answer = make_key(*rooms, types=types).put(PUSH, {"counters": {"1": {"rejected": 1}, "2": {}}})

    assert (answer.status, answer.code) == (403, "forbidden")
    assert tasks(zhangsan) == {}


def test_people_do_not_push_not_even_of_themselves_but_by_a_key(zhangsan, nobody, make_key):
    body = {"counters": {"1": {"rejected": 1}}}

    assert zhangsan.put(PUSH, body).code == "forbidden"
    assert nobody.put(PUSH, body).code == "token_missing"
    key = make_key("user:1", types=("summary.*",), user="1")
    push(key, {"1": {"rejected": 1}})
    assert tasks(zhangsan) == tasks(key) == {"rejected": 1}
    push(key, {"1": {}})


NAMES = ("", "A", "1a", "a-b", "a b", "a.b", "_a", "a" * 33, "ä", "a\n", SURROGATE, "a\x00")
VALUES = (-1, 10**9 + 1, 1.0, 1.5, "1", True, None, [], {}, 10**400)
IDS = ("", "a b", "user:1", "x" * 129, "张三", "*", SURROGATE, "1\x00")
NO_MAPS = (None, 1, "x", [], True)


@pytest.mark.parametrize(
    "body",
    [
        {}, *({"counters": odd} for odd in NO_MAPS), *({"counters": {"1": odd}} for odd in NO_MAPS),
        {"counters": {}, "more": 1}, {"counter": {}},
        *({"counters": {"1": {name: 1}}} for name in NAMES),
        *({"counters": {"1": {"rejected": value}}} for value in VALUES),
        *({"counters": {id_: {"rejected": 1}}} for id_ in IDS),
        {"counters": {str(number): {} for number in range(501)}},
        {"counters": {"1": {f"c{number}": 1 for number in range(21)}}},
    ],
    ids=lambda body: repr(body)[:60],
)  # fmt: skip
def test_what_is_not_counters_is_refused_and_nothing_of_it_is_kept(admin, zhangsan, lisi, body):
    if isinstance(body.get("counters"), dict) and "1" in body["counters"]:
        body = {"counters": {"2": {"rejected": 1}, **body["counters"]}}

    answer = admin.put(PUSH, body)

    assert (answer.status, answer.code) == (422, "validation_failed"), answer
    assert answer.error["fields"]
    assert (tasks(zhangsan), tasks(lisi)) == ({}, {})


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000])
def test_what_is_no_json_object_is_malformed(admin, body):
    assert admin.put(PUSH, body).code == "malformed_json"
