"""Nobody but an admin is ever given what is somebody else's, whatever they name."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.application import ROUTES
from tests.support.http import PASSWORD, bearer, log_in

PROJECTS = ("1", "2", "3")
ROLES = ("annotator", "reviewer", "admin")
ROOMS = (
    *(f"user:{number}" for number in range(1, 7)),
    *(f"role:{role}" for role in ROLES),
    *(f"project:{project}" for project in PROJECTS),
    *(f"project:{project}:{role}" for project in PROJECTS for role in ROLES),
    "global",
)
PLACEHOLDER = re.compile(r"{(\w+)(?::(?:[^{}]|{[^{}]*})+)?}")


def rooms_of(user_id, role, projects):
    """The rooms of the demo's people, spelled out once more."""
    own = [f"user:{user_id}", f"role:{role}", "global"]
    return {*own, *(room for p in projects for room in (f"project:{p}", f"project:{p}:{role}"))}


def titles_in(answer):
    return re.findall(r"for ([^;]*);", answer.content.decode())


class Curious:
    """Somebody who asks for anything; in no answer may there be a title that is for other rooms than their `own`."""

    def __init__(self, api, own, scope=()):
        self.api = api
        self.own = own
        self.scope = scope
        self.shown = set()
        self.reads = 200 if own else 403

    def ask(self, method, path, status, **options):
        answer = self.api.request(method, path, **options)
        assert answer.status == status, answer
        for title in titles_in(answer):
            assert self.own.intersection(title.split()), title
            self.shown.add(title)
        return answer.body if answer.content else {}

    def inbox(self, parameter, value):
        body = self.ask("GET", "inbox", self.reads, query={parameter: value, "limit": 100})
        for item in body.get("items", ()):
            assert set(item["rooms"]) <= self.own

    def one(self, id_, rooms):
        due = self.own & rooms
        status = 200 if due else 404 if self.own else 403
        body = self.ask("PATCH", f"inbox/{id_}", status, body={"seen": True})
        assert set(body.get("rooms", ())) == due
        self.ask("GET", f"notifications/{id_}", 404)
        self.ask("PATCH", f"notifications/{id_}", 404, body={"title": "mine"})
        self.ask("DELETE", f"notifications/{id_}", 404)

    def presence(self, room):
        self.ask("GET", "presence", 200 if {room} & {*self.own, *self.scope} else 403, query={"rooms": room})

    def mark(self, room):
        body = self.ask("POST", "inbox/read", self.reads, body={"through": {room: 1}})
        assert set(body.get("position", ())) <= self.own

    def numbers(self, path):
        body = self.ask("GET", path, self.reads)
        assert {*body.get("position", ()), *body.get("missed", {}).get("by_room", ())} <= self.own


@pytest.fixture(scope="module")
def database(database_of_each_kind):
    return database_of_each_kind


@pytest.fixture(scope="module")
def callers(server, caller, admin, make_key):
    admin.post("projects", {"id": "3", "name": "of nobody else"})
    body = {
        "username": "newcomer",
        "password": PASSWORD,
        "roles": ["reviewer"],
        "projects": {"3": ["reviewer"]},
    }
    newcomer = admin.post("users", body).body["id"]

    def person(name):
        return caller(bearer(log_in(server.url, name)["access_token"]))

    scope = ("user:2",)
    return {
        "annotator": Curious(person("zhangsan"), rooms_of("1", "annotator", "12")),
        "reviewer": Curious(person("wangwu"), rooms_of("3", "reviewer", "12")),
        "newcomer": Curious(person("newcomer"), rooms_of(newcomer, "reviewer", "3")),
        "key of a person": Curious(make_key(*scope, user="2"), rooms_of("2", "annotator", "12"), scope),
        "key of an admin": Curious(make_key(*scope, user="4"), rooms_of("4", "admin", "12"), scope),
        "key of nobody": Curious(make_key(*scope), set(), scope),
    }


@pytest.fixture(scope="module")
def published(callers, admin):
    """Notifications whose title names their rooms, by id: one to each room, and some to several."""
    assert callers  # who joins later is due nothing of this
    several = [("user:1", "user:2"), ("project:3", "role:admin"), ("user:6", "project:2:reviewer")]
    return {
        admin.publish(*rooms, title=f"for {' '.join(rooms)};", thread=f"thread:{rooms[0]}"): set(rooms)
        for rooms in (*((room,) for room in ROOMS), *several)
    }


def test_whatever_is_asked_for_nothing_that_is_not_due_is_given(callers, published, admin):
    rooms = st.sampled_from(ROOMS)
    questions = st.one_of(
        st.tuples(st.just(Curious.inbox), st.just("room"), rooms),
        st.tuples(st.just(Curious.inbox), st.just("project"), st.sampled_from(PROJECTS)),
        st.tuples(st.just(Curious.inbox), st.just("thread"), rooms.map(lambda room: f"thread:{room}")),
        st.tuples(st.just(Curious.inbox), st.just("q"), st.sampled_from((*ROOMS, "for", ";"))),
        st.sampled_from(list(published.items())).map(lambda entry: (Curious.one, *entry)),
        st.tuples(st.just(Curious.presence), rooms),
        st.tuples(st.just(Curious.mark), rooms),
        st.tuples(st.just(Curious.numbers), st.sampled_from(("summary", "inbox", "inbox/counts"))),
    )

    @settings(
        max_examples=120,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(sorted(callers)), questions)
    def check(name, question):
        method, *arguments = question
        method(callers[name], *arguments)

    check()

    assert len(set().union(*(caller.shown for caller in callers.values()))) > 15, (
        "too little was shown to see"
    )
    for id_ in published:
        assert titles_in(admin.get(f"notifications/{id_}")), "somebody changed what is not theirs"


@pytest.mark.usefixtures("published")
def test_the_routes_of_admins_give_others_nothing_whomever_they_name(callers, admin):
    routes = [route for route in ROUTES if "For admins." in route.summary]
    assert len(routes) > 10
    before = admin.get("audit", query={"limit": 1}).body
    ids = st.sampled_from((*"1234567", "newcomer", "idp~1", "01ARZ3NDEKTSV4RRFFQ69G5FAV"))
    bodies = st.sampled_from(
        (
            {"name": "x"},
            {"roles": ["admin"]},
            {"username": "x", "password": "long enough"},
            {"id": "x", "name": "x"},
            {"name": "x", "rooms": ["*"]},
        )
    )

    @settings(
        max_examples=80,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(sorted(callers)), st.sampled_from(routes), ids, bodies)
    def check(name, route, id_, body):
        given = {} if route.body is None else {"body": body}
        answer = callers[name].api.request(
            route.method, PLACEHOLDER.sub(id_, route.path).lstrip("/"), **given
        )
        # Before it is looked at who is asking: a body that is none (422), an id that cannot be one (404).
        assert answer.status in ({403, 422} if given else {403, 404}), (name, route.path, answer)
        assert set(answer.body) == {"error"}

    check()

    assert admin.get("audit", query={"limit": 1}).body == before
