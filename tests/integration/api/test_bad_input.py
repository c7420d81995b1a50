"""Whatever is sent: refused with a stable code, the field named, nothing stored, and the server goes on."""

import json
import re
import socket
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SURROGATE, NUL = "\ud800", "a\x00b"
BAD_TEXTS = (SURROGATE, "x\udfffy", NUL, "\x00")
WRONG_TYPES = (0, 1, 1.5, True, [], {}, ["x"], {"a": 1})
NO_STRINGS = (None, *WRONG_TYPES)
GOOD = {"to": ["user:1"], "title": "good"}
BAD_ROOMS = (
    "", "user:", "user:-1", "user:a b", "user:1 ", "user:1\n", "USER:1", "role:nobody", "role:", "role:Admin",
    "projekt:1", "project:", "project::reviewer", "project:1:nobody", "project:1:", "global:1", "Global", "*",
    "user:*", "user:" + "x" * 129, "user:张三", "room", SURROGATE, NUL, *NO_STRINGS,
)  # fmt: skip


@pytest.fixture(scope="module")
def database(database_of_each_kind):
    return database_of_each_kind


@pytest.fixture
def nothing_stored(admin):
    """The test stores nothing: no unit of work reaches the log."""

    def committed() -> bytes:
        return re.search(rb"^notify_log_units_total (.*)$", admin.get("/metrics").content, re.MULTILINE)[1]

    before = committed()
    yield
    assert committed() == before


@pytest.fixture(autouse=True, scope="module")
def no_traceback(server):
    yield
    assert "Traceback" not in server.log_path.read_text()


def refused(answer, status, code, *fields):
    assert (answer.status, answer.code) == (status, code), answer
    if fields:
        assert set(fields) <= answer.error.get("fields", {}).keys(), answer
    assert "Traceback" not in answer.content.decode()
    assert len(answer.content) < 50_000


def invalid(answer, *fields):
    refused(answer, 422, "validation_failed", *fields)


def dumps(value) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "path",
    ["notifications", "notifications/batch", "inbox/read", "inbox/archive", "auth/login", "auth/refresh"],
)
@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nope", b"{'to': 1}", b'{"to"', b"\xff\xfe\xff", b"\x00", b"[]", b"7", b"null", b'"text"', b"true",
        b"NaN", b"[" * 30_000, b'{"a":' * 6_000, b'{"a":' + b"9" * 5_000 + b"}",
        b'{"data":{"a":' + b"[" * 15_000 + b"]" * 15_000 + b"}}",
    ],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_what_is_no_json_object_is_malformed(admin, path, body):
    refused(admin.post(path, body), 400, "malformed_json")


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("path", ["notifications", "auth/login"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_what_is_packed_is_not_unpacked(admin, path, encoding):
    packed = zlib.compress(b'{"to":["user:1"],"title":"' + b"x" * (5 << 20) + b'"}')

    refused(admin.post(path, packed, headers={"Content-Encoding": encoding}), 415, "unsupported_media_type")


@pytest.mark.usefixtures("nothing_stored")
def test_bodies_over_the_limit_are_too_large(admin, caller):
    title = b'{"to":["user:1"],"title":"' + b"x" * (5 << 20) + b'"}'

    refused(admin.post("notifications", title), 413, "too_large")
    assert caller({}).get("/healthz").status == 200


@pytest.mark.parametrize("path", ["auth/login", "auth/refresh"])
def test_who_has_no_token_may_send_little(nobody, path):
    refused(nobody.post(path, b'{"password":"' + b"x" * (70 << 10) + b'"}'), 413, "too_large")


@pytest.mark.usefixtures("nothing_stored")
def test_a_body_that_breaks_off_hurts_nobody(admin, server):
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")

    assert admin.get("me").status == 200


def wrong_fields():  # noqa: C901, PLR0912 - a table, written by its columns
    for field, longest in {
        "title": 300,
        "content": 10_000,
        "type": 100,
        "thread": 200,
        "link": 2_000,
    }.items():
        for value in (*WRONG_TYPES, *BAD_TEXTS, "/" + "x" * longest, "x" * (1 << 20)):
            yield field, value
    for field in ("title", "content", "type", "level", "urgent", "settles", "data", "to"):
        yield field, None
    for field in ("title", "type", "thread", "link"):
        yield field, ""
    for value in (0, 1, "yes", "true", "on", [], {}, 1.0):
        yield "urgent", value
        yield "settles", value
    for value in ("fatal", "INFO", "", "info\n", *WRONG_TYPES, *BAD_TEXTS):
        yield "level", value
    for value in ("task..x", ".task", "1task", "task submitted", "task\n", "任务"):
        yield "type", value
    for value in (
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x",
        "vbscript:x", "file:///etc/passwd", "//evil.example", "/\\evil.example", "\\\\evil", "ftp://x", "tasks/1", "http:",
        "https://", "https://a b", "/a b", "/tasks\n", "https://a\x00b",
    ):  # fmt: skip
        yield "link", value
    for value in (
        "2026-01-01T00:00:00", "2026-01-01", "10000-01-01T00:00:00Z", "99999-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-W01-1T00:00:00Z", "soon", "",
        "2026-01-01T00:00:00+99:99", "٢٠٢٦-01-01T00:00:00Z", *WRONG_TYPES, *BAD_TEXTS, "9" * 10_000,
    ):  # fmt: skip
        yield "expires_at", value
    for value in ([], "x", 1, True, *({"a": bad} for bad in BAD_TEXTS), *({bad: 1} for bad in BAD_TEXTS)):
        yield "data", value
    for value in (float("nan"), float("inf"), -float("inf"), 2**64, -(2**63) - 1, 10**400, "x" * 40_000):
        yield "data", {"a": {"b": [1, value]}}
    for value in BAD_TEXTS:
        yield "data", {"a": {"b": [1, {"c": value}]}}
    deep = 1
    for _ in range(17):
        deep = [deep]
    yield "data", {"a": deep}
    for value in ([], "user:1", {}, 1, ["user:1"] * 101, ["user:1"] * 10_000, [["user:1"]]):
        yield "to", value


@pytest.mark.usefixtures("nothing_stored")
def test_a_wrong_field_is_named(admin):
    for field, value in wrong_fields():
        answer = admin.post("notifications", dumps({**GOOD, field: value}))
        assert (answer.status, answer.code) == (422, "validation_failed"), (field, str(value)[:80], answer)
        named = {name.split(".")[0] for name in answer.error["fields"]}
        assert named == {field}, (field, str(value)[:80], answer)


@pytest.mark.usefixtures("nothing_stored")
def test_a_wrong_room_is_named_by_its_place(admin):
    for room in BAD_ROOMS:
        invalid(admin.post("notifications", dumps({"title": "x", "to": ["user:1", room]})), "to.1")

    hundred = admin.post("notifications", dumps({"title": "x", "to": ["nowhere"] * 100}))
    invalid(hundred, "to.0", "to.99")
    ten_thousand = admin.post("notifications", dumps({"title": "x", "to": ["nowhere"] * 10_000}))
    assert ten_thousand.error["fields"] == {"to": ["Length must be between 1 and 100."]}


@pytest.mark.usefixtures("nothing_stored")
def test_numbers_beyond_floats_are_refused_where_they_stand(admin):
    for literal in (b"1e400", b"-1e400", b"NaN", b"Infinity", b"-Infinity", b"1" + b"0" * 400):
        invalid(
            admin.post("notifications", b'{"to":["user:1"],"title":"x","data":{"n":%s}}' % literal), "data"
        )


@pytest.mark.usefixtures("nothing_stored")
def test_missing_and_unknown_fields_are_named_printably(admin):
    invalid(admin.post("notifications", {}), "to", "title")
    invalid(admin.post("notifications", {**GOOD, "sender": "user:2"}), "sender")
    invalid(admin.post("notifications", {**GOOD, "actor": {"id": "2"}}), "actor")
    invalid(admin.post("notifications", b'{"to":["user:1"],"title":"x","\\ud800":1}'), "\\ud800")
    long = admin.post("notifications", dumps({**GOOD, "x" * 100_000: 1}))
    invalid(long, "x" * 100)
    invalid(admin.post("notifications", dumps({**GOOD, **{f"field{n}": n for n in range(10_000)}})))


@pytest.mark.usefixtures("nothing_stored")
def test_only_a_thread_can_be_settled(admin):
    invalid(admin.post("notifications", {**GOOD, "settles": True}), "thread")
    invalid(admin.post("notifications", {**GOOD, "settles": True, "thread": None}), "thread")


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "é", b"\xff", b"a\x80", "a\tb"])
def test_an_idempotency_key_is_printable_and_short(admin, key):
    invalid(admin.post("notifications", GOOD, headers={"Idempotency-Key": key}), "Idempotency-Key")


@pytest.mark.usefixtures("nothing_stored")
def test_batches_are_refused_as_a_whole_only_for_their_own_form(admin):
    for body in ({}, {"notifications": []}, {"notifications": {}}, {"notifications": [GOOD] * 501}):
        invalid(admin.post("notifications/batch", body), "notifications")

    entries = [
        7,
        [],
        "x",
        {},
        {**GOOD, "title": SURROGATE},
        {**GOOD, "idempotency_key": "a b"},
        {**GOOD, SURROGATE: 1},
    ]
    answer = admin.post("notifications/batch", dumps({"notifications": entries}))
    assert answer.status == 200
    assert [result["status"] for result in answer.body["results"]] == [422] * len(entries)
    assert answer.body["results"][4]["error"]["fields"].keys() == {"title"}


@pytest.mark.usefixtures("nothing_stored")
def test_receipts_and_marks_say_exactly_what_they_mean(zhangsan):
    some = "inbox/01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for body, field in (
        ({}, "_schema"), ({"seen": 1}, "seen"), ({"read": "yes"}, "read"), ({"archived": None}, "archived"),
        ({"deleted": True}, "deleted"),
    ):  # fmt: skip
        invalid(zhangsan.patch(some, body), field)
    for body, field in (
        ({}, "_schema"), ({"all": False}, "all"), ({"all": 1}, "all"), ({"ids": []}, "ids"), ({"ids": ["x"] * 501}, "ids"),
        ({"ids": [NUL]}, "ids.0"), ({"ids": [SURROGATE]}, "ids.0"), ({"ids": [1]}, "ids.0"), ({"ids": "x"}, "ids"),
        ({"all": True, "ids": ["x"]}, "_schema"), ({"through": []}, "through"),
        ({"through": {"user:1": -1}}, "through.user:1.value"), ({"through": {"user:1": True}}, "through.user:1.value"),
        ({"through": {"user:1": 1.5}}, "through.user:1.value"), ({"through": {"user:1": 2**63}}, "through.user:1.value"),
        ({"through": {"user:1": "1"}}, "through.user:1.value"), ({"through": {NUL: 1}}, f"through.{NUL}.key"),
        ({"through": {SURROGATE: 1}}, "through.\\ud800.key"), ({"through": {f"r{n}": 1 for n in range(1_001)}}, "through"),
    ):  # fmt: skip
        invalid(zhangsan.post("inbox/read", dumps(body)), field)


@pytest.mark.usefixtures("nothing_stored")
def test_changes_of_a_notification_are_checked_like_it(admin):
    path = "notifications/01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for body, field in (
        ({}, "_schema"), ({"title": ""}, "title"), ({"title": SURROGATE}, "title"), ({"data": {"a": NUL}}, "data"),
        ({"link": "javascript:x"}, "link"), ({"urgent": True}, "urgent"), ({"to": ["user:2"]}, "to"), ({"level": None}, "level"),
        ({"expires_at": "2026-01-01T00:00:00"}, "expires_at"),
    ):  # fmt: skip
        invalid(admin.patch(path, dumps(body)), field)


@pytest.mark.usefixtures("nothing_stored")
def test_query_parameters_are_exact_and_given_once(zhangsan):
    for query, field in (
        ("unread=1", "unread"), ("unread=yes", "unread"), ("unread=TRUE", "unread"), ("archived=", "archived"),
        ("level=fatal", "level"), ("room=projekt:1", "room"), ("room=user:-1", "room"), ("type=%00", "type"), ("q=a%00", "q"),
        ("limit=0", "limit"), ("limit=101", "limit"), ("limit=-1", "limit"), ("limit=1.0", "limit"), ("limit=1_0", "limit"),
        ("limit=%D9%A3", "limit"), ("limit=" + "9" * 5_000, "limit"), ("limit=%2B5", "limit"), ("limit=5%20", "limit"),
        ("cursor=x", "cursor"), ("cursor=" + "0" * 26 + "%0A", "cursor"), ("q=" + "x" * 201, "q"), ("order=asc", "order"),
        ("limit=1&limit=2", "limit"), ("unread=true&unread=true", "unread"), ("%00=1", "\x00"),
    ):  # fmt: skip
        invalid(zhangsan.get(f"inbox?{query}"), field)
    for query in ("", "rooms=", "rooms=user:1,", "rooms=user:1,projekt:1", "rooms=user:1&rooms=user:1",
                  "rooms=" + ",".join(f"user:{n}" for n in range(101))):  # fmt: skip
        invalid(zhangsan.get(f"presence?{query}"), "rooms")


def test_sql_in_filters_is_only_text(admin, zhangsan):
    admin.publish("user:1", title="untouched ' \" \\ % _ ; --", thread="a'b")
    for text in ("' OR '1'='1", "'; DROP TABLE posting; --", '" OR 1=1', "\\\\", "\\'", "%' --", "1) UNION SELECT 1 --", "$1", ":x",
                 "?", "{}", "%s", "%(x)s", "🙂", "_%"):  # fmt: skip
        for name in ("type", "project", "thread", "q"):
            answer = zhangsan.get("inbox", query={name: text})
            assert (answer.status, answer.body["items"]) == (200, []), (name, text, answer)
    assert len(zhangsan.get("inbox", query={"q": "' \" \\ % _ ; --"}).body["items"]) == 1
    assert len(zhangsan.get("inbox", query={"thread": "a'b"}).body["items"]) == 1


def test_an_id_that_cannot_be_one_is_not_found(admin):
    for id_ in ("a%2Fb", "%00", "%ED%A0%80", "%FF", "%27%20OR%201=1--", "%0A", "..%2F", "x" * 7_000, "0" * 26 + "%0A",
                "01ARZ3NDEKTSV4RRFFQ69G5FA%C3%89", "%7Bid%7D", "", "a/b"):  # fmt: skip
        for method, path, body in (
            ("GET", "notifications", ()), ("DELETE", "notifications", ()), ("PATCH", "notifications", ({"title": "x"},)),
            ("PATCH", "inbox", ({"seen": True},)),
        ):  # fmt: skip
            refused(admin.request(method, f"{path}/{id_}", *body), 404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing.txt",
        "/assets/nothing",
        "/api",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v2/me",
        "/api/v1/me/",
        "//api/v1/me",
    ],
)
def test_unknown_paths_are_not_found(admin, path):
    refused(admin.get(path), 404, "not_found")


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "DELETE", "PROPFIND", "PURGE"])
def test_other_methods_are_told_the_right_ones(admin, method):
    for path, allowed in (
        ("me", {"GET"}),
        ("notifications/batch", {"POST"}),
        *((f"inbox/{name}", {"POST"}) for name in ("seen", "read", "archive")),
        ("inbox/counts", {"GET"}),
    ):
        answer = admin.request(method, path)
        refused(answer, 405, "method_not_allowed")
        assert set(answer.headers["Allow"].split(",")) == allowed


def test_head_is_no_method_of_ours(admin):
    answer = admin.request("HEAD", "me")

    assert (answer.status, answer.headers["Allow"], answer.content) == (405, "GET", b"")


def test_a_body_with_get_is_ignored(admin):
    assert admin.request("GET", "me", {"a": 1}).status == 200
    assert admin.request("GET", "me", b"\xff{").status == 200


@pytest.mark.parametrize("data", [b"NONSENSE / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n",
                                  b"GET /api/v1/me HTTP/1.1\r\nA B: c\r\n\r\n"])  # fmt: skip
def test_what_is_no_http_is_told_so_in_json(server, data):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(data)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))

    head, _, content = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert json.loads(content)["error"].keys() == {"code", "message", "request_id"}
    assert json.loads(content)["error"]["code"] == "malformed_request"


def test_lines_that_are_too_long_are_refused_and_not_repeated(server, caller):
    for path, headers in (
        ("me", {"Authorization": "Bearer secret" + "x" * 20_000}),
        ("me", {"X-API-Key": "secret" + "x" * 20_000}),
        (f"inbox?q=secret{'x' * 20_000}", {}),
    ):
        answer = caller(headers).get(path)
        refused(answer, 400, "malformed_request")
        assert b"secret" not in answer.content
    assert "secret" not in server.log_path.read_text()
    assert caller({"Authorization": "Bearer " + "x" * 7_000}).get("me").code == "token_invalid"


# Bodies that are nearly right: one or more fields of a good one replaced by anything.
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)
rooms = st.sampled_from(
    ["user:1", "global", "project:1", "project:1:reviewer", "role:admin", "user:", "role:x"]
)
near_bodies = st.fixed_dictionaries(
    {
        "to": st.lists(rooms, max_size=3) | json_values,
        "title": st.text(st.characters(), max_size=310) | json_values,
    },
    optional={
        "type": st.from_regex(r"[a-z.]{1,9}") | json_values,
        "level": st.sampled_from(["info", "error"]) | json_values,
        "urgent": json_values,
        "settles": st.booleans() | json_values,
        "content": json_values,
        "data": st.dictionaries(st.text(st.characters(), max_size=5), json_values, max_size=4) | json_values,
        "link": st.from_regex(r"(https?://|/)[^\s]*") | json_values,
        "thread": st.text(st.characters(), max_size=210) | json_values,
        "expires_at": st.datetimes(timezones=st.timezones()).map(str) | json_values,
        "x": json_values,
    },
)
targets = st.sampled_from([
    ("POST", "notifications"), ("POST", "notifications/batch"), ("PATCH", "notifications/01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    ("PATCH", "inbox/01ARZ3NDEKTSV4RRFFQ69G5FAV"), ("POST", "inbox/read"), ("POST", "auth/refresh"),
])  # fmt: skip
bodies = st.one_of(
    near_bodies.map(dumps),
    near_bodies.map(lambda body: dumps({"notifications": [body]})),
    json_values.map(dumps),
    st.dictionaries(
        st.sampled_from(["seen", "read", "ids", "all", "through", "title", "refresh_token"]), json_values
    ).map(dumps),
    st.binary(max_size=50),
)
keys = st.none() | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=10)


def test_no_body_breaks_the_server(admin, database):
    @settings(
        max_examples=300 if "sqlite" in database else 100,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(target=targets, body=bodies, key=keys)
    def check(target, body, key):
        answer = admin.request(*target, body, headers={} if key is None else {"Idempotency-Key": key})
        assert answer.status in {200, 201, 400, 401, 403, 404, 409, 422}, answer
        assert answer.body  # JSON, whatever it says
        if answer.status >= 400:
            assert answer.error

    check()

    id_ = admin.publish("user:1", title="still here", data={"ok": True})
    assert admin.get(f"notifications/{id_}").body["title"] == "still here"


def test_what_was_accepted_can_be_read_by_those_it_is_for(admin, zhangsan):
    """Runs after the many bodies: none of them poisons an inbox."""
    for api in (admin, zhangsan):
        cursor, seen = {}, 0
        while cursor is not None:
            page = api.get("inbox", query={"limit": 100, **cursor})
            assert page.status == 200, page
            seen += len(page.body["items"])
            cursor = {"cursor": page.body["next_cursor"]} if page.body["next_cursor"] else None
        assert seen >= (1 if api is zhangsan else 0)
        assert api.get("summary").status == 200
