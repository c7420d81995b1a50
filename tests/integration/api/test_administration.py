"""What admins do by HTTP: the form of each route, who is refused, and what is felt at once."""

import asyncio
import re
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from api import audit, keys, people, projects, sessions
from core.domain import clock
from core.domain.identity import AdoptUser
from core.domain.ids import new_id
from core.ports.log import Unit
from tests.support.http import bearer, log_in
from tests.support.store import opened_log

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
OUTSIDE_ID = "idp~a@b+c|d"
OUTSIDE = f"users/{quote(OUTSIDE_ID, safe='')}"
PASSWORD = "a password of tests"
ZHANGSAN = {
    "id": "1",
    "username": "zhangsan",
    "name": "张三",
    "roles": ["annotator"],
    "projects": {"1": ["annotator"], "2": ["annotator"]},
    "locale": "zh-CN",
    "disabled": False,
    "issuer": None,
}


@pytest.fixture(scope="module")
def database(database_of_each_kind):
    return database_of_each_kind


@pytest.fixture(scope="module")
def outside(database):
    """A person of an outside issuer, with an id of every character that ids may have; a member of project 1."""
    claims = AdoptUser(
        user_id=OUTSIDE_ID, issuer="idp", username="outside", name="外人", roles=frozenset(),
        projects={"1": frozenset({"reviewer"})}, claims_at=clock.now(),
    )  # fmt: skip

    async def adopt():
        async with opened_log(database) as log:
            await log.commit(Unit("operator", changes=(claims,)))

    asyncio.run(adopt())
    return OUTSIDE_ID


@pytest.fixture
def make_person(admin):
    """Creates people with names of their own; the answer's body."""

    def make(**fields):
        answer = admin.post("users", {"username": f"u{new_id()}", "password": PASSWORD, **fields})
        assert answer.status == 201, answer
        return answer.body

    return make


def refused(answer, status, code, *fields):
    assert (answer.status, answer.code) == (status, code), answer
    assert set(fields) <= answer.error.get("fields", {}).keys(), answer


def trail(admin, **query):
    """The audit trail, newest first, as (action, target, details)."""
    items = admin.get("audit", query=query).body["items"]
    return [(entry["action"], entry["target"], entry["details"]) for entry in items]


def logged_in(server, person, password=PASSWORD):
    return log_in(server.url, person["username"], password)


def test_wire_people(admin):
    page = admin.get("users", query={"limit": 1})

    assert page.status == 200
    (shown,) = page.body["items"]
    assert MOMENT.fullmatch(shown["created_at"])
    assert shown == {**ZHANGSAN, "created_at": shown["created_at"]}
    assert admin.get("users/1").body == shown
    after = admin.get("users", query={"limit": 2, "cursor": page.body["next_cursor"]}).body
    assert [item["username"] for item in after["items"]] == ["lisi", "wangwu"]
    assert admin.get("users", query={"q": "王"}).body["items"][0]["id"] == "3"
    assert admin.get("users", query={"q": "nobody is called so"}).body == {"items": [], "next_cursor": None}


def test_wire_a_person_created(admin, server):
    body = {
        "username": "li.ming",
        "password": PASSWORD,
        "name": "李明",
        "roles": ["reviewer"],
        "projects": {"1": ["reviewer", "annotator"], "2": []},
        "locale": "en",
    }

    answer = admin.post("users", body)

    assert answer.status == 201
    assert answer.body == {
        "id": answer.body["id"],
        "username": "li.ming",
        "name": "李明",
        "roles": ["reviewer"],
        "projects": {"1": ["annotator", "reviewer"], "2": []},
        "locale": "en",
        "disabled": False,
        "created_at": answer.body["created_at"],
        "issuer": None,
    }
    assert admin.get(f"users/{answer.body['id']}").body == answer.body
    assert logged_in(server, answer.body)["user"]["id"] == answer.body["id"]
    refused(admin.post("users", body), 409, "username_taken")


def test_wire_a_person_of_defaults(admin):
    person = admin.post("users", {"username": "plain", "password": PASSWORD}).body

    assert (person["name"], person["roles"], person["projects"]) == ("plain", [], {})
    assert person["locale"] == "zh-CN"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"username": "a b"}, "username"),
        ({"username": ""}, "username"),
        ({"username": "x" * 129}, "username"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 1001}, "password"),
        ({"name": ""}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"roles": ["nobody"]}, "roles"),
        ({"roles": "reviewer"}, "roles"),
        ({"projects": {"1": ["nobody"]}}, "roles"),
        ({"projects": {"a/b": []}}, "projects.a/b.key"),
        ({"projects": ["1"]}, "projects"),
        ({"locale": "zh-CN\n"}, "locale"),
        ({"locale": "abc-12345678-12345678"}, "locale"),
        ({"id": "1"}, "id"),
        ({"disabled": True}, "disabled"),
    ],
)
def test_what_no_person_can_be_is_refused_by_field(admin, change, field):
    before = trail(admin)

    refused(
        admin.post("users", {"username": "x", "password": PASSWORD, **change}),
        422,
        "validation_failed",
        field,
    )
    assert trail(admin) == before


def test_a_person_cannot_be_in_a_project_that_does_not_exist(admin):
    body = {"username": "x", "password": PASSWORD, "projects": {"1": [], "nowhere": []}}

    refused(admin.post("users", body), 404, "project_not_found")
    assert admin.get("users", query={"q": "x"}).body["items"] == []


def test_wire_a_person_changed(admin, make_person):
    person = make_person(name="before")

    answer = admin.patch(f"users/{person['id']}", {"name": "after", "locale": "en", "roles": ["reviewer"]})

    assert answer.status == 200
    assert answer.body == {**person, "name": "after", "locale": "en", "roles": ["reviewer"]}
    assert admin.get(f"users/{person['id']}").body == answer.body
    for body, field in (({}, "_schema"), ({"roles": ["nobody"]}, "roles"), ({"password": "short"}, "password"),
                        ({"username": "x"}, "username"), ({"disabled": 1}, "disabled"), ({"name": None}, "name")):  # fmt: skip
        refused(admin.patch(f"users/{person['id']}", body), 422, "validation_failed", field)
    assert admin.get(f"users/{person['id']}").body == answer.body


def test_wire_projects(admin):
    answer = admin.post("projects", {"id": "p.1", "name": "新项目"})

    assert answer.status == 201
    assert answer.body == {"id": "p.1", "name": "新项目", "created_at": answer.body["created_at"]}
    assert MOMENT.fullmatch(answer.body["created_at"])
    refused(admin.post("projects", {"id": "p.1", "name": "again"}), 409, "project_exists")
    refused(admin.post("projects", {"id": "a b", "name": "x"}), 422, "validation_failed", "id")
    refused(admin.post("projects", {"id": "x", "name": ""}), 422, "validation_failed", "name")
    first = admin.get("projects", query={"limit": 1}).body
    assert first["items"][0]["id"] == "1"
    rest = admin.get("projects", query={"cursor": first["next_cursor"]}).body
    assert [item["id"] for item in rest["items"]] == ["2", "p.1"]
    assert rest["next_cursor"] is None


def test_wire_members(admin, make_person):
    admin.post("projects", {"id": "team", "name": "Team"})
    person = make_person()
    place = f"projects/team/members/{person['id']}"
    member = {"id": person["id"], "username": person["username"], "name": person["name"]}

    for roles in (["reviewer", "annotator"], []):
        answer = admin.put(place, {"roles": roles})
        assert (answer.status, answer.body) == (200, {**member, "roles": sorted(roles)})
        assert admin.get("projects/team/members").body == {"items": [answer.body], "next_cursor": None}
        assert admin.get(f"users/{person['id']}").body["projects"] == {"team": sorted(roles)}
    answer = admin.delete(place)
    assert (answer.status, answer.content) == (204, b"")
    assert admin.get("projects/team/members").body["items"] == []
    refused(admin.delete(place), 404, "not_a_member")
    refused(admin.put(place, {"roles": ["nobody"]}), 422, "validation_failed", "roles")
    refused(admin.put(place, {}), 422, "validation_failed", "roles")


def test_wire_keys(admin, caller):
    body = {"name": "robot", "rooms": ["user:*", "project:1"], "types": ["task.*"], "user_id": "2",
            "expires_at": "2100-01-01T08:00:00+08:00"}  # fmt: skip

    answer = admin.post("keys", body)

    assert answer.status == 201
    shown = answer.body
    key = shown.pop("key")
    assert shown == {
        **body,
        "id": shown["id"],
        "created_at": shown["created_at"],
        "expires_at": "2100-01-01T00:00:00.000Z",
        "revoked_at": None,
    }
    assert admin.get("keys", query={"limit": 1}).body["items"] == [shown]
    program = caller({"X-API-Key": key})
    assert program.get("me").body["id"] == "2"
    assert program.publish("user:1", type="task.done")
    refused(
        program.post("notifications", {"to": ["global"], "title": "x", "type": "task.done"}), 403, "forbidden"
    )

    for _ in range(2):
        assert admin.delete(f"keys/{shown['id']}").status == 204
        refused(program.get("me"), 401, "token_revoked")
    (revoked,) = admin.get("keys", query={"limit": 1}).body["items"]
    assert MOMENT.fullmatch(revoked.pop("revoked_at"))
    assert revoked == {name: value for name, value in shown.items() if name != "revoked_at"}


def test_wire_a_key_of_defaults(admin):
    key = admin.post("keys", {"name": "robot", "rooms": []}).body

    assert (key["types"], key["user_id"], key["expires_at"]) == (["*"], None, None)


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"rooms": ["projekt:*"]}, 422, "validation_failed", "rooms"),
        ({"rooms": ["user:1", "role:nobody"]}, 422, "validation_failed", "rooms"),
        ({"rooms": ["*:1"]}, 422, "validation_failed", "rooms"),
        ({"rooms": [""]}, 422, "validation_failed", "rooms.0"),
        ({"rooms": None}, 422, "validation_failed", "rooms"),
        ({"types": ["x" * 101]}, 422, "validation_failed", "types.0"),
        ({"name": ""}, 422, "validation_failed", "name"),
        ({"expires_at": "2000-01-01T00:00:00Z"}, 422, "validation_failed", "expires_at"),
        ({"expires_at": "2100-01-01"}, 422, "validation_failed", "expires_at"),
        ({"key": "nk_mine"}, 422, "validation_failed", "key"),
        ({"user_id": "nobody"}, 404, "user_not_found", None),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(admin, change, status, code, field):
    before = admin.get("keys").body["items"]

    answer = admin.post("keys", {"name": "robot", "rooms": ["*"], **change})

    refused(answer, status, code, *([field] if field else []))
    assert admin.get("keys").body["items"] == before


def test_wire_audit(admin):
    admin.post("projects", {"id": "audited", "name": "Audited"})

    answer = admin.get("audit", query={"limit": 1})

    (entry,) = answer.body["items"]
    assert re.fullmatch(r"\d+", entry.pop("id"))
    assert abs((datetime.now(UTC) - datetime.fromisoformat(entry.pop("at"))).total_seconds()) < 60
    assert entry == {
        "actor_id": "4",
        "sender": "user:4",
        "action": "project.created",
        "target": "project:audited",
        "details": {"name": "Audited"},
    }
    older = admin.get("audit", query={"limit": 1, "cursor": answer.body["next_cursor"]}).body["items"]
    assert older[0]["target"] != "project:audited"
    assert [entry[1] for entry in trail(admin, target="project:audited")] == ["project:audited"]
    assert trail(admin, actor="1") == []


@pytest.mark.parametrize("path", ["users", "projects", "projects/1/members", "keys", "sessions", "audit"])
@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=%00", "cursor=%F0%9F", "nonsense=1", "cursor="])  # fmt: skip
def test_a_page_that_there_cannot_be_is_refused(admin, path, query):
    refused(admin.get(f"{path}?{query}"), 422, "validation_failed", query.partition("=")[0])


MEMBERS = next(r for r in projects.ROUTES if (r.method, r.path.split("/")[-1]) == ("GET", "members"))
ADMIN_ROUTES = tuple(
    (route.method, route.path)
    for module in (people, projects, keys, sessions, audit)
    for route in module.ROUTES
    if route is not MEMBERS
)
BODIES = {
    "/users": {"username": "made.by.nobody", "password": PASSWORD},
    "/users/{user}": {"name": "changed"},
    "/projects": {"id": "made.by.nobody", "name": "x"},
    "/projects/{project}/members/{user}": {"roles": ["reviewer"]},
    "/keys": {"name": "made by nobody", "rooms": ["*"]},
}


@pytest.fixture(scope="module")
def others(nobody, zhangsan, server, caller, make_key):
    wangwu = caller(bearer(log_in(server.url, "wangwu")["access_token"]))
    return {
        "nobody": (nobody, 401, "token_missing"),
        "annotator": (zhangsan, 403, "forbidden"),
        "reviewer": (wangwu, 403, "forbidden"),
        "key": (make_key("*"), 403, "forbidden"),
        "admin's key": (make_key("*", user="4"), 403, "forbidden"),
    }


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
def test_only_admins_get_anything_from_the_routes_of_admins(admin, others, make_person, method, path):
    key = admin.post("keys", {"name": "k", "rooms": []}).body["id"]
    place = re.sub(r":(?:[^{}]|{[^{}]*})+}", "}", path)
    person = make_person(projects={"1": []})
    given = place.format(user=person["id"], project="1", key=key, session="x" * 20).lstrip("/")
    body = {"body": BODIES[place]} if method in ("POST", "PUT", "PATCH") else {}
    before = trail(admin)

    for name, (api, status, code) in others.items():
        answer = api.request(method, given, **body)
        assert (name, answer.status, answer.code) == (name, status, code)

    assert trail(admin) == before
    answer = admin.request(method, given, **body)
    expected = {"GET": 200, "POST": 201, "PUT": 200, "PATCH": 200, "DELETE": 204}[method]
    assert answer.status == (404 if "session" in place and method == "DELETE" else expected)


def test_who_reviews_a_project_sees_who_is_in_it(admin, others):
    admin.post("projects", {"id": "elsewhere", "name": "Elsewhere"})
    everybody = admin.get("projects/1/members").body
    for name, (api, status, code) in others.items():
        answer = api.get("projects/1/members")
        if name == "reviewer":
            assert answer.body == everybody
            refused(api.get("projects/elsewhere/members"), 404, "project_not_found")
        else:
            refused(answer, status, code)


def test_what_is_not_there_is_said_by_its_name(admin):
    for answer, code in (
        (admin.get("users/nobody"), "user_not_found"),
        (admin.patch("users/nobody", {"name": "x"}), "user_not_found"),
        (admin.patch("users/nobody", {"password": PASSWORD}), "user_not_found"),
        (admin.get("projects/nowhere/members"), "project_not_found"),
        (admin.put("projects/nowhere/members/1", {"roles": []}), "project_not_found"),
        (admin.delete("projects/nowhere/members/1"), "project_not_found"),
        (admin.put("projects/1/members/nobody", {"roles": []}), "user_not_found"),
        (admin.delete("projects/1/members/nobody"), "user_not_found"),
        (admin.delete("projects/1/members/outside"), "user_not_found"),
        (admin.delete(f"keys/{new_id()}"), "key_not_found"),
        (admin.delete("sessions/unknown"), "session_not_found"),
        (admin.get("users/-1"), "not_found"),
        (admin.get("users/a%2Fb"), "not_found"),
        (admin.get("users/%00"), "not_found"),
        (admin.get("users/%ED%A0%80"), "not_found"),
        (admin.get(f"users/{quote('张三')}"), "not_found"),
        (admin.delete("keys/x"), "not_found"),
    ):
        refused(answer, 404, code)


def test_admins_cannot_lock_themselves_out(admin):
    before = admin.get("users/4").body

    for change in ({"disabled": True}, {"roles": []}, {"roles": ["reviewer"], "name": "x"}):
        refused(admin.patch("users/4", change), 409, "own_account")

    assert admin.get("users/4").body == before
    assert admin.patch("users/4", {"disabled": False, "roles": ["admin"]}).status == 200


def test_people_of_an_outside_issuer_are_found_and_disabled_here_and_changed_there(admin, outside):
    assert admin.get(OUTSIDE).body["id"] == outside
    for literal in (f"users/{outside}", f"users/{quote(outside, safe='~@+')}"):
        assert admin.get(literal).body["issuer"] == "idp"
    member = f"projects/1/members/{quote(outside, safe='')}"

    for answer in (
        admin.patch(OUTSIDE, {"roles": ["admin"]}),
        admin.patch(OUTSIDE, {"password": PASSWORD}),
        admin.patch(OUTSIDE, {"roles": [], "disabled": True}),
        admin.put(member, {"roles": ["reviewer"]}),
        admin.delete(member),
    ):
        refused(answer, 409, "outside_user")

    assert admin.patch(OUTSIDE, {"disabled": True, "locale": "en"}).body["disabled"] is True
    shown = admin.patch(OUTSIDE, {"disabled": False}).body
    assert (shown["disabled"], shown["roles"], shown["locale"]) == (False, [], "en")
    assert shown["projects"] == {"1": ["reviewer"]}


def test_disabling_ends_every_token_and_key_at_once_and_enabling_brings_none_back(
    admin, nobody, server, make_person, make_key
):
    person = make_person()
    login, second = logged_in(server, person), logged_in(server, person)
    key = make_key("*", user=person["id"])
    headers = [bearer(login["access_token"]), bearer(second["access_token"])]
    for given in headers:
        assert nobody.get("me", headers=given).status == 200
    assert key.get("me").status == 200

    assert admin.patch(f"users/{person['id']}", {"disabled": True}).body["disabled"] is True

    for given in headers:
        refused(nobody.get("me", headers=given), 401, "token_revoked")
    refused(key.get("me"), 401, "token_revoked")
    refused(nobody.post("auth/refresh", {"refresh_token": login["refresh_token"]}), 401, "token_revoked")
    credentials = {"username": person["username"], "password": PASSWORD}
    refused(nobody.post("auth/login", credentials), 401, "invalid_credentials")
    assert admin.patch(f"users/{person['id']}", {"disabled": False}).body["disabled"] is False
    for given in headers:
        refused(nobody.get("me", headers=given), 401, "token_revoked")
    refused(nobody.post("auth/refresh", {"refresh_token": login["refresh_token"]}), 401, "token_revoked")
    assert nobody.post("auth/login", credentials).status == 200
    assert key.get("me").status == 200


def test_a_refresh_that_is_refused_for_the_person_uses_no_token_up(admin, nobody, server, make_person):
    person = make_person()
    login = logged_in(server, person)
    admin.patch(f"users/{person['id']}", {"disabled": True})

    def units():
        return re.search(rb"^notify_log_units_total (.*)$", admin.get("/metrics").content, re.MULTILINE)[1]

    before = units()
    refused(nobody.post("auth/refresh", {"refresh_token": login["refresh_token"]}), 401, "token_revoked")
    assert units() == before
    admin.patch(f"users/{person['id']}", {"disabled": False})
    before = units()
    refused(nobody.post("auth/refresh", {"refresh_token": login["refresh_token"]}), 401, "token_revoked")
    assert units() == before


def test_a_new_password_ends_every_login(admin, nobody, server, make_person):
    person = make_person()
    login = logged_in(server, person)
    assert nobody.get("me", headers=bearer(login["access_token"])).status == 200

    assert admin.patch(f"users/{person['id']}", {"password": "another password"}).status == 200

    refused(nobody.get("me", headers=bearer(login["access_token"])), 401, "token_revoked")
    refused(nobody.post("auth/refresh", {"refresh_token": login["refresh_token"]}), 401, "token_revoked")
    old = nobody.post("auth/login", {"username": person["username"], "password": PASSWORD})
    refused(old, 401, "invalid_credentials")
    assert logged_in(server, person, "another password")["user"]["id"] == person["id"]


def test_roles_and_projects_are_what_they_are_from_the_next_request_on(admin, server, caller, make_person):
    person = make_person()
    api = caller(bearer(logged_in(server, person)["access_token"]))
    own = [f"user:{person['id']}", "global"]
    assert api.get("me").body["rooms"] == own
    refused(api.get("users"), 403, "forbidden")

    admin.patch(f"users/{person['id']}", {"roles": ["admin"]})
    assert api.get("users").status == 200
    admin.patch(f"users/{person['id']}", {"roles": []})
    refused(api.get("users"), 403, "forbidden")
    admin.put(f"projects/1/members/{person['id']}", {"roles": ["reviewer"]})
    assert api.get("me").body["rooms"] == [own[0], "project:1", "project:1:reviewer", "global"]
    admin.delete(f"projects/1/members/{person['id']}")
    assert api.get("me").body["rooms"] == own


def test_logging_out_everywhere_ends_every_login_and_is_in_the_trail(admin, nobody, server, make_person):
    person = make_person()
    first, second, third = (logged_in(server, person) for _ in range(3))

    def log_out(login, *body):
        return nobody.post("auth/logout", *body, headers=bearer(login["access_token"]))

    refused(log_out(first, {"all": 1}), 422, "validation_failed", "all")
    refused(log_out(first, {"everything": True}), 422, "validation_failed", "everything")
    refused(log_out(first, [True]), 400, "malformed_json")
    assert log_out(first, {"all": False}).status == 204
    refused(log_out(first), 401, "token_revoked")
    assert nobody.get("me", headers=bearer(third["access_token"])).status == 200

    assert log_out(second, {"all": True}).status == 204

    for login in (second, third):
        refused(nobody.get("me", headers=bearer(login["access_token"])), 401, "token_revoked")
        refused(nobody.post("auth/refresh", {"refresh_token": login["refresh_token"]}), 401, "token_revoked")
    assert nobody.get("me", headers=bearer(logged_in(server, person)["access_token"])).status == 200
    assert trail(admin, actor=person["id"]) == [("user.logged_out", f"user:{person['id']}", {})]


def test_a_key_cannot_log_its_person_out(make_key, nobody, server):
    login = log_in(server.url, "lisi")

    refused(make_key("*", user="2").post("auth/logout", {"all": True}), 401, "token_invalid")

    assert nobody.get("me", headers=bearer(login["access_token"])).status == 200


def test_every_change_is_in_the_trail_once_and_no_secret_is(admin, server, make_person):
    person = make_person(roles=["annotator"], projects={"1": ["annotator"]})
    user = f"user:{person['id']}"
    secret = "a very secret password"
    key = admin.post("keys", {"name": "robot", "rooms": ["user:*"], "user_id": person["id"]}).body
    for answer in (
        admin.patch(f"users/{person['id']}", {"name": "新名字", "roles": []}),
        admin.patch(f"users/{person['id']}", {"password": secret}),
        admin.patch(f"users/{person['id']}", {"disabled": True}),
        admin.patch(f"users/{person['id']}", {"disabled": False}),
        admin.put(f"projects/2/members/{person['id']}", {"roles": ["reviewer"]}),
        admin.delete(f"projects/2/members/{person['id']}"),
        admin.delete(f"keys/{key['id']}"),
    ):
        assert answer.status in (200, 204), answer

    assert trail(admin, target=user) == [
        ("user.enabled", user, {"disabled": False}),
        ("user.disabled", user, {"disabled": True}),
        ("user.changed", user, {"password": "changed"}),
        ("user.changed", user, {"name": "新名字", "roles": []}),
        (
            "user.created",
            user,
            {"username": person["username"], "roles": ["annotator"], "projects": {"1": ["annotator"]}},
        ),
    ]
    assert trail(admin, target="project:2")[:2] == [
        ("project.member_removed", "project:2", {"user": person["id"]}),
        ("project.member_set", "project:2", {"user": person["id"], "roles": ["reviewer"]}),
    ]
    name = f"key:{key['id']}"
    assert trail(admin, target=name) == [
        ("key.revoked", name, {"name": "robot"}),
        (
            "key.created",
            name,
            {"name": "robot", "rooms": ["user:*"], "types": ["*"], "user": person["id"], "expires_at": None},
        ),
    ]
    whole = admin.get("audit", query={"limit": 100}).content.decode()
    for hidden in (secret, PASSWORD, key["key"], "nk_", "argon2", "eyJ"):
        assert hidden not in whole
    log = server.log_path.read_text()
    for hidden in (secret, PASSWORD, "nk_", "新名字", person["username"], "Traceback"):
        assert hidden not in log


def test_what_the_operator_did_is_in_the_trail_too(admin, make_key):
    make_key("user:1")

    (entry,) = admin.get("audit", query={"limit": 1}).body["items"]
    assert (entry["actor_id"], entry["sender"], entry["action"]) == (None, "operator", "key.created")
    assert trail(admin, target="user:1")[-1] == (
        "user.created",
        "user:1",
        {
            "username": "zhangsan",
            "roles": ["annotator"],
            "projects": {"1": ["annotator"], "2": ["annotator"]},
        },
    )
    assert ("project.created", "project:1", {"name": "示例项目一"}) in trail(admin, target="project:1")
