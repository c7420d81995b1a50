"""Who is let in, as whom, and until when."""

import asyncio
import base64
import json
import shutil
import sys
import warnings
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from sqlalchemy import update

from core.domain import clock
from core.domain.identity import USED_AGAIN
from core.services.tokens import Tokens
from core.store import tables
from core.store.done import Done
from tests.support.http import Api, bearer, log_in
from tests.support.processes import SECRET_KEY, ServerProcess
from tests.support.store import opened

UNKNOWN_KEY = "nk_" + "x" * 43


def claims(**changes):
    """Tokens of parameters are made when tests are collected, and read when the others before have run."""
    now = datetime.now(UTC)
    return {
        "iss": "notify", "aud": "notify", "sub": "4", "sid": "login", "jti": "token", "use": "access", "iat": now,
        "exp": now + timedelta(days=1), **changes,
    }  # fmt: skip


def signed(secret=SECRET_KEY, algorithm="HS256", *, without=(), **changes):
    content = {name: value for name, value in claims(**changes).items() if name not in without}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.warnings.InsecureKeyLengthWarning)
        return jwt.encode(content, secret, algorithm=algorithm)


def unsigned(header):
    parts = (header, {**claims(), "iat": 0, "exp": 2**40})
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
    )


def refused(answer, code):
    assert (answer.status, answer.code) == (401, code), answer
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_that_is_all_right_is_taken(nobody):
    """The one that the tests below change in one thing each."""
    assert nobody.get("me", headers=bearer(signed())).body["username"] == "admin"


def test_a_token_of_a_server_whose_clock_is_a_little_ahead_is_taken(nobody):
    ahead = datetime.now(UTC) + timedelta(seconds=3)
    assert nobody.get("me", headers=bearer(signed(iat=ahead))).status == 200


PAST = datetime.now(UTC) - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "token_missing"),
        ({"Authorization": ""}, "token_missing"),
        ({"Authorization": "Bearer"}, "token_missing"),
        ({"Authorization": "Bearer  "}, "token_missing"),
        ({"X-API-Key": ""}, "token_missing"),
        (bearer("x"), "token_invalid"),
        (bearer("a.b.c"), "token_invalid"),
        (bearer("é"), "token_invalid"),
        (bearer(signed(exp=PAST)), "token_expired"),
        (bearer(signed("another secret that is long enough too")), "token_invalid"),
        (bearer(signed(algorithm="HS512")), "token_invalid"),
        (bearer(signed(aud="another")), "token_invalid"),
        (bearer(signed(aud=["notify", "another"])), "token_invalid"),
        (bearer(signed(iss="another")), "token_invalid"),
        (bearer(signed(use="refresh")), "token_invalid"),
        (bearer(signed(use=None)), "token_invalid"),
        (bearer(signed(iat=datetime.now(UTC) + timedelta(days=1))), "token_invalid"),
        (bearer(signed(sub="999")), "token_revoked"),
        *((bearer(signed(without=[name])), "token_invalid") for name in claims()),
        (bearer(unsigned({"alg": "none", "typ": "JWT"}) + "."), "token_invalid"),
        (bearer(unsigned({"alg": "NONE"}) + "."), "token_invalid"),
        (bearer(unsigned({"alg": "HS256"}) + "."), "token_invalid"),
        (bearer(unsigned({"alg": "HS256", "jwk": {"k": "eA"}}) + ".eA"), "token_invalid"),
        (bearer(UNKNOWN_KEY), "token_invalid"),
        ({"X-API-Key": UNKNOWN_KEY}, "token_invalid"),
        ({"X-API-Key": b"nk_\xff"}, "token_invalid"),
        ({"Authorization": "Basic YWRtaW46ZGVtby1wYXNzd29yZA=="}, "token_invalid"),
        ({"Authorization": f"Token {signed()}"}, "token_invalid"),
        ({"Authorization": signed()}, "token_invalid"),
        ({"Cookie": f"token={signed()}; access_token={signed()}; session={signed()}"}, "token_missing"),
    ],
)  # fmt: skip
def test_any_other_credential_is_refused_by_every_private_route(nobody, headers, code):
    for method, path in (("GET", "me"), ("POST", "notifications"), ("GET", "inbox"), ("POST", "auth/logout")):
        refused(nobody.request(method, path, headers=headers), code)


def test_a_token_in_the_query_is_none(nobody):
    refused(nobody.get("me", query={"token": signed(), "access_token": signed()}), "token_missing")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_has_no_case(nobody, scheme):
    assert nobody.get("me", headers={"Authorization": f"{scheme} {signed()}"}).status == 200


def test_a_refresh_token_opens_nothing_and_an_access_token_refreshes_nothing(server, nobody):
    login = log_in(server.url, "lisi")

    refused(nobody.get("me", headers=bearer(login["refresh_token"])), "token_invalid")
    refused(nobody.post("auth/refresh", {"refresh_token": login["access_token"]}), "token_invalid")


def test_a_refresh_token_used_again_at_once_is_good_for_the_same_one(server, nobody):
    """The first answer may have been lost on its way."""
    login = log_in(server.url, "lisi")
    answers = [nobody.post("auth/refresh", {"refresh_token": login["refresh_token"]}) for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 200]
    for answer in answers:
        assert nobody.get("me", headers=bearer(answer.body["access_token"])).status == 200
    tokens = [
        jwt.decode(answer.body["refresh_token"], options={"verify_signature": False}) for answer in answers
    ]
    assert len({token["jti"] for token in tokens}) == 1


def long_ago(database):
    """All tokens that were used until now were used more than a minute ago."""

    async def move() -> None:
        async with opened(database) as opened_database:
            await opened_database.write(_used_before)

    asyncio.run(move())


def _used_before(connection) -> Done:
    before = clock.now() - USED_AGAIN - timedelta(seconds=1)
    connection.execute(update(tables.revoked_token).values(used_at=before))
    return Done()


def test_a_refresh_token_used_again_later_ends_the_login_with_all_its_tokens(server, nobody, database):
    first = log_in(server.url, "lisi")
    other = log_in(server.url, "lisi")
    second = nobody.post("auth/refresh", {"refresh_token": first["refresh_token"]}).body
    assert second["refresh_token"] != first["refresh_token"]
    for login in (first, second, other):
        assert nobody.get("me", headers=bearer(login["access_token"])).status == 200
    long_ago(database)

    refused(nobody.post("auth/refresh", {"refresh_token": first["refresh_token"]}), "token_revoked")

    for login in (first, second):
        refused(nobody.get("me", headers=bearer(login["access_token"])), "token_revoked")
        refused(nobody.post("auth/refresh", {"refresh_token": login["refresh_token"]}), "token_revoked")
    assert nobody.get("me", headers=bearer(other["access_token"])).status == 200


def test_a_chain_of_refreshes_stays_one_login(server, nobody):
    start = login = log_in(server.url, "lisi")
    for _ in range(3):
        login = nobody.post("auth/refresh", {"refresh_token": login["refresh_token"]}).body

    assert nobody.post("auth/logout", headers=bearer(login["access_token"])).status == 204

    refused(nobody.get("me", headers=bearer(start["access_token"])), "token_revoked")


def test_who_guesses_a_password_is_slowed_down_for_that_name_only(admin, nobody):
    for name in ("guessed", "another"):
        account = {"username": name, "name": name, "password": "their-own-password", "locale": "en"}
        assert admin.post("users", account).status == 201

    def log_in_as(name, password):
        return nobody.post("auth/login", {"username": name, "password": password})

    for _ in range(2):  # a right one makes up for those before
        for number in range(29):
            refused(log_in_as("guessed", f"guess {number}"), "invalid_credentials")
        assert log_in_as("guessed", "their-own-password").status == 200
    for number in range(30):
        refused(log_in_as("guessed", f"guess {number}"), "invalid_credentials")
    slowed = log_in_as("GUESSED", "their-own-password")
    assert (slowed.status, slowed.code) == (429, "rate_limited")
    assert 1 <= int(slowed.headers["Retry-After"]) <= 11
    assert log_in_as("another", "their-own-password").status == 200


def test_logging_out_ends_this_login_only(server, nobody):
    mine, other = log_in(server.url, "lisi"), log_in(server.url, "lisi")

    assert nobody.post("auth/logout", headers=bearer(mine["access_token"])).status == 204

    refused(nobody.get("me", headers=bearer(mine["access_token"])), "token_revoked")
    refused(nobody.post("auth/refresh", {"refresh_token": mine["refresh_token"]}), "token_revoked")
    refused(nobody.post("auth/logout", headers=bearer(mine["access_token"])), "token_revoked")
    assert nobody.get("me", headers=bearer(other["access_token"])).status == 200
    assert nobody.post("auth/refresh", {"refresh_token": other["refresh_token"]}).status == 200


def test_an_unknown_user_costs_as_much_as_a_wrong_password(sqlite_demo, tmp_path):
    """By the processor time of the server: the wall's says little on a busy machine."""
    database = shutil.copy(sqlite_demo, tmp_path / "log.db")
    # Not forked: those hash at a cost that cannot be measured.
    unforked = (sys.executable, "-u", "-m", "server", "serve")
    with (
        ServerProcess(f"sqlite:///{database}", log_path=tmp_path / "server.log", command=unforked) as server,
        closing(Api(server.url)) as nobody,
    ):
        admin = bearer(log_in(server.url, "admin")["access_token"])
        account = {"username": "known", "name": "Known", "password": "their-own-password", "locale": "en"}
        assert nobody.post("users", account, headers=admin).status == 201

        def cost(username):
            before = ticks_of(server.pid)
            login = {"username": username, "password": "wrong"}
            refused(nobody.post("auth/login", login), "invalid_credentials")
            return ticks_of(server.pid) - before

        cost("nobody")  # the hash of nobody is made once
        known, unknown = cost("known"), cost("nobody")

    assert known / 2 < unknown < known * 2, (known, unknown)


def ticks_of(pid):
    """The processor time that a process has used, in the ticks of the system."""
    _, _, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    user, system = fields.split()[11:13]
    return int(user) + int(system)


def test_a_key_of_no_one_publishes_in_its_scope_and_reads_nothing(make_key):
    program = make_key("user:*", "project:7", types=("task.*",))

    assert program.publish("user:1", "project:7", type="task.done")
    for body in (
        {"to": ["global"], "type": "task.done"},
        {"to": ["user:1", "project:8"], "type": "task.done"},
        {"to": ["project:7:reviewer"], "type": "task.done"},
        {"to": ["user:1"], "type": "chat"},
        {"to": ["user:1"]},
    ):
        answer = program.post("notifications", {"title": "x", **body})
        assert (answer.status, answer.code) == (403, "forbidden"), body
    for path in ("me", "inbox", "inbox/counts", "summary"):
        answer = program.get(path)
        assert (answer.status, answer.code) == (403, "forbidden"), path
    refused(program.post("auth/logout"), "token_invalid")
    answer = program.get("/metrics")
    assert answer.status == 401


def test_a_key_of_a_person_reads_as_them_and_publishes_only_in_its_scope(make_key, admin):
    theirs, admins = make_key("user:2", user="1"), make_key("user:2", user="4")
    id_ = admin.publish("user:1")

    assert theirs.get("me").body["username"] == "zhangsan"
    assert theirs.get("inbox").body["items"][0]["id"] == id_
    assert theirs.publish("user:2")
    for key in (theirs, admins):  # not even the key of an admin goes beyond its scope
        assert key.post("notifications", {"to": ["user:1"], "title": "x"}).code == "forbidden"
    assert admins.get(f"notifications/{id_}").code == "not_found"


def test_people_who_are_no_admins_publish_nothing(zhangsan):
    for room in ("user:1", "user:2", "global", "project:1"):
        assert zhangsan.post("notifications", {"to": [room], "title": "x"}).code == "forbidden"
    batch = zhangsan.post("notifications/batch", {"notifications": [{"to": ["user:1"], "title": "x"}]})
    assert batch.body["results"][0]["error"]["code"] == "forbidden"


def test_an_access_token_lives_a_quarter_of_an_hour_and_a_refresh_token_thirty_days(server):
    login = log_in(server.url, "lisi")

    for name, use, lifetime_s in (("access_token", "access", 900), ("refresh_token", "refresh", 30 * 86_400)):
        token = Tokens(SECRET_KEY).verify(login[name], use)
        left = (token.expires_at - datetime.now(UTC)).total_seconds()
        assert lifetime_s - 30 < left <= lifetime_s
    assert login["expires_in"] == 900
