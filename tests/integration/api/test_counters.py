"""Pushed counters: what a platform says is waiting for people stands in their summaries, and only it can change that."""

from dataclasses import dataclass

import pytest

from tests.support.http import PASSWORD, Api, bearer, log_in

PUSH = "summary/counters"
SURROGATE = "\ud800"


@pytest.fixture(scope="module")
def database(database_of_each_kind):
    return database_of_each_kind


def waiting(api: Api) -> dict[str, int]:
    """What their summary says of work, where there is any."""
    return {name: number for name, number in api.get("summary").body["tasks"].items() if number}


@dataclass(frozen=True)
class Person:
    id: str
    api: Api

    @property
    def tasks(self) -> dict[str, int]:
        return waiting(self.api)


@pytest.fixture(scope="module")
def make_person(server, admin, caller):
    """Makes people for whom nothing waits here."""

    def make(name: str) -> Person:
        made = admin.post("users", {"username": name, "password": PASSWORD, "name": name})
        return Person(made.body["id"], caller(bearer(log_in(server.url, name)["access_token"])))

    return make


@pytest.fixture(scope="module")
def ann(make_person) -> Person:
    return make_person("ann")


@pytest.fixture(scope="module")
def bob(make_person) -> Person:
    return make_person("bob")


@pytest.fixture(scope="module")
def pushing(make_key) -> Api:
    return make_key("user:*", types=("summary.counters",))


@pytest.fixture
def platform(pushing, admin, ann, bob):
    """One that may speak of everybody; afterwards, nothing is said any more."""
    yield pushing
    for api in (admin, pushing):
        push(api, {ann.id: {}, bob.id: {}})


def push(api: Api, people) -> None:
    answer = api.put(PUSH, {"counters": people})
    assert (answer.status, answer.content) == (204, b""), answer


def test_what_is_pushed_is_in_the_summary_of_that_person_with_its_sentence(platform, ann, bob):
    push(platform, {ann.id: {"rejected": 1, "in_progress": 2}})

    summary = ann.api.get("summary").body
    assert summary["tasks"].items() >= {"rejected": 1, "in_progress": 2}.items()
    assert summary["urgent"] is True
    assert [message["text"]["zh-CN"] for message in summary["messages"]][:2] == [
        "⚠️ 您有 1 个被驳回任务，建议请您先修订",
        "📝 您有 2 个进行中的任务",
    ]
    assert bob.tasks == {}


def test_a_sender_replaces_what_it_said_itself_and_nothing_else(platform, admin, ann):
    push(platform, {ann.id: {"rejected": 1, "drafts": 4}})
    push(admin, {ann.id: {"rejected": 10}})
    assert ann.tasks == {"rejected": 11, "drafts": 4}

    push(platform, {ann.id: {"rejected": 2}})
    assert ann.tasks == {"rejected": 12}
    push(platform, {ann.id: {"rejected": 0}})
    assert ann.tasks == {"rejected": 10}
    push(admin, {ann.id: {}})
    assert ann.tasks == {}
    assert ann.api.get("summary").body["urgent"] is False


def test_whom_a_push_does_not_name_keeps_what_was_said(platform, ann, bob):
    push(platform, {ann.id: {"rejected": 1}, bob.id: {"submitted": 7}})
    push(platform, {bob.id: {}})
    push(platform, {})

    assert ann.tasks == {"rejected": 1}
    assert bob.tasks == {}


def test_500_people_that_nobody_knows_yet_can_be_spoken_of_at_once(platform):
    push(platform, {f"acme|{number}": {f"c{count}": 10**9 for count in range(20)} for number in range(500)})


def test_what_a_revoked_key_said_goes_with_it(admin, caller, ann):
    made = admin.post("keys", {"name": "gone", "rooms": ["user:*"], "types": ["*"]}).body
    push(caller({"X-API-Key": made["key"]}), {ann.id: {"rejected": 3}})
    assert ann.tasks == {"rejected": 3}

    assert admin.delete(f"keys/{made['id']}").status == 204
    assert ann.tasks == {}


@pytest.mark.parametrize(
    ("rooms", "types"),
    [
        (("user:{ann}",), ("summary.counters",)), (("project:*",), ("*",)), (("user:{ann}", "global"), ("*",)),
        (("user:*",), ("task.*",)), (("user:*",), ("summary",)),
    ],
)  # fmt: skip
def test_a_key_speaks_only_of_those_in_its_scope_and_of_all_of_them_or_none(make_key, ann, bob, rooms, types):
    key = make_key(*(room.format(ann=ann.id) for room in rooms), types=types)

    answer = key.put(PUSH, {"counters": {ann.id: {"rejected": 1}, bob.id: {}}})

    assert (answer.status, answer.code) == (403, "forbidden")
    assert ann.tasks == {}


def test_people_do_not_push_not_even_of_themselves_but_by_a_key(ann, nobody, make_key):
    body = {"counters": {ann.id: {"rejected": 1}}}

    assert ann.api.put(PUSH, body).code == "forbidden"
    assert nobody.put(PUSH, body).code == "token_missing"
    key = make_key(f"user:{ann.id}", types=("summary.*",), user=ann.id)
    push(key, {ann.id: {"rejected": 1}})
    assert ann.tasks == waiting(key) == {"rejected": 1}
    push(key, {ann.id: {}})


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
def test_what_is_not_counters_is_refused_and_nothing_of_it_is_kept(admin, ann, body):
    if isinstance(body.get("counters"), dict):
        body = body | {"counters": {ann.id: {"rejected": 1}, **body["counters"]}}

    answer = admin.put(PUSH, body)

    assert (answer.status, answer.code) == (422, "validation_failed"), answer
    assert answer.error["fields"]
    assert ann.tasks == {}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000])
def test_what_is_no_json_object_is_malformed(admin, body):
    assert admin.put(PUSH, body).code == "malformed_json"


def test_what_an_admin_pushed_goes_when_they_are_admin_no_more(admin, make_person, caller, server, ann):
    other = make_person("once-admin")
    assert admin.patch(f"users/{other.id}", {"roles": ["admin"]}).status == 200
    push(caller(bearer(log_in(server.url, "once-admin")["access_token"])), {ann.id: {"rejected": 7}})
    assert ann.tasks == {"rejected": 7}
    assert admin.patch(f"users/{other.id}", {"roles": []}).status == 200
    assert ann.tasks == {}
