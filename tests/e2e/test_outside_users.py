"""People of other platforms: let in by tokens of their issuers, as themselves and nobody else."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import ClientSession
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select

from core.domain.identity import ChangeUser, IdentityChange
from core.domain.principals import DEFAULT_ROLES
from core.ports.log import Unit
from core.store import tables
from core.store.database import open_database
from core.store.log import SqlLog
from server.issuers import read_issuers
from tests.support.http import Answer, Api, bearer
from tests.support.outside import (
    BETA_SECRET,
    ExampleIssuer,
    beta_claims,
    beta_token,
    issuers_setting,
)
from tests.support.processes import ROOT, SECRET_KEY, ServerProcess, environment
from tests.support.stage import PASSWORD, demo_server, logged_in
from tests.support.wire import live_wire, opened_wire

STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Place:
    """A server, its database, and the issuer acme."""

    server: ServerProcess
    database_url: str
    acme: ExampleIssuer

    @property
    def url(self) -> str:
        return self.server.url

    def get(self, token: str, path: str = "me") -> Answer:
        api = Api(self.url, bearer(token))
        try:
            return api.get(path)
        finally:
            api.close()

    def me(self, token: str) -> dict[str, Any]:
        answer = self.get(token)
        assert answer.status == 200, answer
        return answer.body

    async def people(self) -> dict[str, Any]:
        """Everybody and everything that a token could bring into being, as it is stored."""
        database = open_database(self.database_url)
        try:
            return {
                table.name: sorted(
                    map(
                        repr,
                        await database.read(lambda connection, t=table: connection.execute(select(t)).all()),
                    )
                )
                for table in (tables.user, tables.project, tables.project_member, tables.membership)
            }
        finally:
            await database.close()

    async def commit(self, change: IdentityChange) -> None:
        """Make a change as an administrator's command does."""
        database = open_database(self.database_url)
        log = SqlLog(database)
        try:
            await log.commit(Unit("operator", changes=(change,)))
        finally:
            await log.close()
            await database.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("outside")
    if request.param == "sqlite":
        url = f"sqlite:///{shutil.copy(request.getfixturevalue('sqlite_demo'), folder / 'log.db')}"
    else:
        template = request.getfixturevalue("postgres_demo")
        url = request.getfixturevalue("postgres_cluster").create_database(template)
    with ExampleIssuer(folder / "issuer.log") as acme:
        env = {"ISSUERS": issuers_setting(acme)}
        with demo_server(url, folder, env=env) as server:
            yield Place(server, url, acme)


async def test_somebody_who_has_no_user_here_hears_all_that_is_theirs(place: Place):
    token = place.acme.token("17", name="安妮", role="reviewer", project=["7:reviewer", "8"])
    rooms = ["user:acme|17", "role:reviewer", "project:acme|7", "project:acme|7:reviewer", "project:acme|8"]
    async with logged_in(place.url, "admin") as admin, live_wire(place.url, token) as wire:
        assert wire.of("session")[0]["user_id"] == "acme|17"
        for number, room in enumerate(rooms, 1):
            await admin.publish(room, title=room)
            assert (await wire.wait("notification", number))[-1]["title"] == room
        await admin.publish("project:acme|8:reviewer", "project:7", "user:17", title="not theirs")
        await admin.publish("global", title="for all")
        assert (await wire.wait("notification", len(rooms) + 1))[-1]["title"] == "for all"

    me = place.me(token)
    assert (me["id"], me["username"], me["name"], me["roles"]) == ("acme|17", "acme|17", "安妮", ["reviewer"])
    assert me["projects"] == {"acme|7": ["reviewer"], "acme|8": []}
    assert set(me["rooms"]) == {*rooms, "global"}
    inbox = place.get(token, "inbox").body["items"]
    assert [item["title"] for item in inbox] == ["for all", *reversed(rooms)]


async def test_their_user_1_is_never_ours(place: Place):
    theirs = {
        sub: beta_token(sub=sub, roles=["annotator"], projects=["1"]) for sub in ("1", "|1", "~31", "user:1")
    }
    theirs["acme"] = place.acme.token("1", role="annotator", project="1:annotator")

    ids = {name: place.me(token)["id"] for name, token in theirs.items()}

    assert ids == {
        "1": "beta|1",
        "|1": "beta|~7C1",
        "~31": "beta|~7E31",
        "user:1": "beta|user~3A1",
        "acme": "acme|1",
    }
    async with (
        logged_in(place.url, "admin") as admin,
        logged_in(place.url, "zhangsan") as zhangsan,
        live_wire(place.url, theirs["acme"]) as acme,
        live_wire(place.url, zhangsan.token) as ours,
    ):
        await admin.publish("user:1", "project:1", "project:1:annotator", title="ours")
        await admin.publish("user:acme|1", "project:acme|1:annotator", title="theirs")
        await admin.publish("global", title="all")
        assert [n["title"] for n in await acme.wait("notification", 3)] == ["theirs", "theirs", "all"]
        assert [n["title"] for n in await ours.wait("notification", 4)] == ["ours", "ours", "ours", "all"]
        other = await acme.call("authenticate", {"token": zhangsan.token})
        assert other["error"]["code"] == "token_invalid"
        other = await ours.call("authenticate", {"token": theirs["1"]})
        assert other["error"]["code"] == "token_invalid"


def encoded(part: bytes | dict[str, Any]) -> bytes:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed_by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes | None) -> str:
    """What no library signs: no algorithm, or a public key for a secret."""
    signing = b".".join((encoded(header), encoded(claims)))
    signature = b"" if secret is None else hmac.new(secret, signing, hashlib.sha256).digest()
    return b".".join((signing, encoded(signature))).decode()


def refused_tokens(acme: ExampleIssuer) -> dict[str, tuple[str, str]]:
    """Tokens by what is wrong with them, and the code that says so. Each is of somebody nobody has heard of."""
    now = time.time()
    real = acme.token("refused")
    claims = jwt.decode(real, options={"verify_signature": False})
    kid = jwt.get_unverified_header(real)["kid"]
    (published,) = acme.key_set()["keys"]
    public = jwt.PyJWK(published).key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body, signature = real.split(".")

    def of_acme(key: Any = STRANGER, algorithm: str = "RS256", **headers: Any) -> str:
        return jwt.encode(claims, key, algorithm, headers={"kid": kid, **headers})

    def of_beta(**changes: Any) -> str:
        return beta_token(**{"sub": "refused", **changes})

    invalid = {
        "alg none": signed_by_hand({"alg": "none"}, claims, None),
        "alg none, with a kid": signed_by_hand({"alg": "none", "kid": kid}, claims, None),
        "alg none of beta": signed_by_hand({"alg": "none"}, beta_claims(sub="refused"), None),
        "the public key as a secret": signed_by_hand({"alg": "HS256", "kid": kid}, claims, pem),
        "the published modulus as a secret": signed_by_hand({"alg": "HS256", "kid": kid}, claims, published["n"].encode()),
        "another's key": of_acme(),
        "another's key in the header": of_acme(jwk=json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(STRANGER.public_key()))),
        "another key set in the header": of_acme(jku="http://127.0.0.1:1/keys"),
        "an algorithm that is not pinned": of_acme(algorithm="RS512"),
        "an unknown kid": of_acme(kid="unknown"),
        "no kid": jwt.encode(claims, STRANGER, "RS256"),
        "a kid that is a path": of_acme(kid="../../etc/passwd"),
        "a changed body": ".".join((head, encoded({**claims, "sub": "other"}).decode(), signature)),
        "no signature": f"{head}.{body}.",
        "beta's secret for acme": signed_by_hand({"alg": "HS256", "kid": kid}, claims, BETA_SECRET.encode()),
        "acme's name by beta": of_beta(iss=claims["iss"]),
        "our name by beta": of_beta(iss="notify", sub="1", sid="x", use="access"),
        "our secret for beta": of_beta(secret=SECRET_KEY),
        "another secret": of_beta(secret="x" * 40),
        "another algorithm of beta": of_beta(algorithm="HS512"),
        "a foreign issuer": of_beta(iss="https://evil.example"),
        "an issuer with a slash more": of_beta(iss="https://beta.example/"),
        "a list of issuers": signed_by_hand({"alg": "HS256"}, beta_claims(iss=["https://beta.example"]), BETA_SECRET.encode()),
        "another audience": of_beta(aud="another"),
        "audiences without ours": of_beta(aud=["another", "third"]),
        "not yet valid": of_beta(nbf=now + 60),
        "issued in the future": of_beta(iat=now + 60),
        **{f"no {name}": of_beta(**{name: None}) for name in ("iss", "aud", "sub", "iat", "exp")},
        **{f"{name} of a wrong type": signed_by_hand({"alg": "HS256"}, beta_claims(**{name: value}), BETA_SECRET.encode())
           for name, value in {"sub": 1, "name": 5, "roles": "admin", "projects": {"7": "x"}, "jti": 5, "aud": 5,
                               "iat": "1", "exp": [], "nbf": "x"}.items()},
        "an expiry beyond all time": of_beta(exp=1e300),
        "an iat beyond all time": of_beta(iat=-1e300),
        "an id that cannot be": of_beta(sub="x" * 130),
        "a jti that is too long": of_beta(jti="x" * 130),
        "a project that cannot be": of_beta(projects=["x" * 130]),
        "a name that cannot be stored": of_beta(name="\x00"),
        "a lone surrogate": signed_by_hand({"alg": "HS256"}, beta_claims(sub="\ud800"), BETA_SECRET.encode()),
    }  # fmt: skip
    expired = {
        "expired": of_beta(exp=now - 1),
        "expired long ago": of_beta(iat=1_600_000_000, exp=1_700_000_000),
    }
    return {name: (token, "token_invalid") for name, token in invalid.items()} | {
        name: (token, "token_expired") for name, token in expired.items()
    }


async def test_what_is_not_good_is_refused_everywhere_with_its_code_and_leaves_nothing(place: Place):
    before = await place.people()
    tokens = refused_tokens(place.acme)

    async with ClientSession() as http, opened_wire(place.url) as wire:
        for number, (name, (token, code)) in enumerate(tokens.items(), 1):
            headers = bearer(token)
            for method, path in (("GET", "me"), ("POST", "notifications")):
                async with http.request(
                    method, f"{place.url}/api/v1/{path}", json={}, headers=headers
                ) as answer:
                    error = (await answer.json())["error"]
                    assert (answer.status, error["code"]) == (401, code), name
                    assert BETA_SECRET not in str(error)
            await wire.connect({"token": token})
            refusal = (await wire.wait("connect_error", number))[-1]
            assert refusal == {"message": "unauthorized", "data": {"code": code}}, name
        assert set(wire.names) == {"connect_error"}

    assert await place.people() == before
    assert (
        place.me(place.acme.token("refused"))["id"] == "acme|refused"
    )  # the same, with nothing wrong with it
    assert place.me(beta_token(sub="refused"))["id"] == "beta|refused"
    log = place.server.log_path.read_text()
    assert "Traceback" not in log
    assert not any(token in log for token, _ in tokens.values())


async def test_what_an_issuer_may_do_is_taken(place: Place):
    now = time.time()
    for token in (
        beta_token(aud=["another", "notify"]),
        beta_token(nbf=now - 1, iat=int(now)),
        beta_token(iat=now + 2, nbf=now + 2, sub="ahead"),
        beta_token(jti=None, name=None),
    ):
        assert place.me(token)["id"].startswith("beta|")


async def test_an_issuer_gives_the_roles_that_it_may_give(place: Place):
    assert place.me(place.acme.token("chief", role=["admin", "reviewer"]))["roles"] == ["reviewer"]
    api = Api(place.url, bearer(beta_token(sub="chief", roles=["admin", "owner"])))
    assert api.get("me").body["roles"] == ["admin"]
    api.publish("user:beta|chief")
    api.close()


async def test_older_claims_bring_nothing_back(place: Place):
    now = time.time()
    older, newest = (
        beta_token(
            sub="moving", iat=now - 10, roles=["reviewer"], projects={"7": ["reviewer"]}, name="Before"
        ),
        beta_token(sub="moving", iat=now - 5, roles=["annotator"], projects=["8"], name="After"),
    )
    assert place.me(older)["roles"] == ["reviewer"]
    after = place.me(newest)
    again = place.me(beta_token(sub="moving", iat=now - 10, roles=["reviewer", "admin"], projects=["7"]))
    same_moment = place.me(beta_token(sub="moving", iat=now - 5, roles=["reviewer", "admin"], projects=["7"]))

    assert (after["name"], after["roles"], after["projects"]) == ("After", ["annotator"], {"beta|8": []})
    assert after == again == same_moment
    async with (
        logged_in(place.url, "admin") as admin,
        live_wire(place.url, beta_token(sub="moving", iat=now - 20, roles=["reviewer"])) as wire,
    ):
        await admin.publish("role:reviewer", "project:beta|7", title="not any more")
        await admin.publish("role:annotator", title="now")
        assert [n["title"] for n in await wire.wait("notification")] == ["now"]


async def test_newer_claims_move_a_session_that_lives_by_an_older_token(place: Place):
    now = time.time()
    token = beta_token(sub="live", iat=now - 10, roles=["reviewer"], projects=["7"])
    async with logged_in(place.url, "admin") as admin, live_wire(place.url, token) as wire:
        await admin.publish("project:beta|7", title="in 7")
        await wire.wait("notification")
        assert place.me(beta_token(sub="live", iat=now - 5, projects=["8"]))["roles"] == []
        await admin.publish("project:beta|7", "role:reviewer", title="not any more")
        await wire.until(lambda: any("project:beta|8" in told["joined"] for told in wire.of("rooms")))
        assert {room for told in wire.of("rooms") for room in told["left"]} == {
            "project:beta|7",
            "role:reviewer",
        }
        await admin.publish("project:beta|8", title="in 8")
        assert [n["title"] for n in await wire.wait("notification", 2)] == ["in 7", "in 8"]


async def test_many_first_tokens_at_once_make_one_person(place: Place):
    tokens = [beta_token(sub="crowd", roles=["reviewer"], projects=["7"]) for _ in range(20)]
    async with ClientSession() as http:

        async def me(token: str) -> tuple[int, Any]:
            async with http.get(f"{place.url}/api/v1/me", headers=bearer(token)) as response:
                return response.status, await response.json()

        answers = await asyncio.gather(*map(me, tokens))

    assert {status for status, _ in answers} == {200}
    assert all(body == answers[0][1] for _, body in answers)
    assert sum("'beta|crowd'" in row for row in (await place.people())["user"]) == 1


async def test_logging_out_ends_the_one_token_and_its_sessions(place: Place):
    for named in ({}, {"jti": None}):
        mine, other = (beta_token(sub="leaver", iat=time.time() - ago, **named) for ago in (2, 1))
        padded = f"{mine}="  # the same token, as some issuers write it
        async with live_wire(place.url, mine) as ended, live_wire(place.url, other) as stays:
            assert place.me(padded)["id"] == "beta|leaver"
            api = Api(place.url, bearer(mine))
            assert api.post("auth/logout").status == 204
            await ended.until(lambda wire=ended: wire.closed)
            ending = ended.of("session")[-1]
            assert (ending["state"], ending["reason"], ending["retry"]) == ("ending", "revoked", False)
            for token in (mine, padded):
                assert place.get(token).code == "token_revoked"
            assert api.post("auth/logout").code == "token_revoked"
            api.close()
            async with opened_wire(place.url) as wire:
                await wire.connect({"token": mine})
                assert (await wire.wait("connect_error"))[0]["data"] == {"code": "token_revoked"}
            assert (await stays.call("ping", {"timestamp": 1}))["ok"] is True
            assert place.get(other).status == 200


def test_what_the_guide_says_works_as_it_stands(place: Place):
    for setting in guide_blocks("json"):
        assert read_issuers(setting, frozenset(DEFAULT_ROLES))
    start, ask = guide_blocks("sh")
    (setting,) = re.findall(r"ISSUERS='(.*?)'", start, re.DOTALL)
    assert read_issuers(setting, frozenset(DEFAULT_ROLES))
    env = environment({"ISSUER_URL": place.acme.url, "NOTIFY_URL": place.url})

    script = ["bash", "-euo", "pipefail", "-c", ask]
    done = subprocess.run(script, env=env, capture_output=True, text=True, timeout=60, check=True)

    assert '"id":"acme|17"' in done.stdout


def guide_blocks(language: str) -> list[str]:
    guide = (ROOT / "docs" / "outside-users.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)


async def test_a_fresh_token_renews_a_session(place: Place):
    async with live_wire(place.url, beta_token(sub="renewer", exp=time.time() + 60)) as wire:
        answer = await wire.call("authenticate", {"token": beta_token(sub="renewer", exp=time.time() + 600)})
        assert answer["ok"] is True
        assert 590 <= answer["expires_in"] <= 600


async def test_all_tokens_of_before_are_void_once_all_logins_were_ended(place: Place):
    now = time.time()
    before, unseen = (beta_token(sub="ended", iat=now - ago) for ago in (20, 10))
    assert place.me(before)["roles"] == []
    await place.commit(ChangeUser(user_id="beta|ended", end_logins=True))

    assert place.get(unseen).code == "token_revoked"
    assert place.me(beta_token(sub="ended", iat=time.time() + 1))["id"] == "beta|ended"


async def test_one_whose_account_is_closed_stays_out_whatever_their_issuer_says(place: Place):
    assert place.me(beta_token(sub="closed", iat=time.time() - 10))["roles"] == []
    await place.commit(ChangeUser(user_id="beta|closed", disabled=True))
    before = await place.people()

    for iat in (time.time() - 20, time.time(), time.time() + 4):
        token = beta_token(sub="closed", iat=iat, roles=["admin"], projects=["9"])
        assert place.get(token).code == "token_revoked"
    assert await place.people() == before


async def test_outside_people_have_no_password_here(place: Place):
    assert place.me(beta_token(sub="locked"))["username"] == "beta|locked"
    local = next(row for row in (await place.people())["user"] if "'zhangsan'" in row)
    password_hash = next(part for part in local.split("'") if part.startswith("$argon2"))
    await place.commit(ChangeUser(user_id="beta|locked", password_hash=password_hash))
    api = Api(place.url)
    for password in (PASSWORD, "x"):
        answer = api.post("auth/login", {"username": "beta|locked", "password": password})
        assert (answer.status, answer.code) == (401, "invalid_credentials")
    api.close()


@pytest.fixture
def acme(tmp_path: Path) -> Iterator[ExampleIssuer]:
    with ExampleIssuer(tmp_path / "issuer.log") as acme:
        yield acme


@pytest.fixture
def own_database(sqlite_demo: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(sqlite_demo, tmp_path / 'log.db')}"


async def test_keys_are_followed_when_they_change_and_go_on_when_their_issuer_is_away(
    acme: ExampleIssuer, own_database: str, tmp_path: Path
):
    with demo_server(own_database, tmp_path, env={"ISSUERS": issuers_setting(acme)}) as server:
        place = Place(server, own_database, acme)
        before = acme.token("17")
        assert place.me(acme.token("17"))["id"] == "acme|17"
        assert acme.times_asked == 1
        acme.rotate()
        after, unused = acme.token("17"), acme.token("18")
        assert place.me(after)["id"] == "acme|17"
        assert place.me(before)["id"] == "acme|17"
        assert acme.times_asked == 2

        claims = jwt.decode(after, options={"verify_signature": False})
        api = Api(server.url)
        for number in range(50):
            forged = jwt.encode(claims, STRANGER, "RS256", headers={"kid": f"made-up-{number}"})
            assert api.get("me", headers=bearer(forged)).code == "token_invalid"
        api.close()
        assert acme.times_asked == 2

        await asyncio.to_thread(acme.stop)
        assert place.me(unused)["id"] == "acme|18"
        async with live_wire(server.url, unused) as wire:
            assert wire.of("session")[0]["user_id"] == "acme|18"


async def test_while_no_key_was_ever_had_a_client_is_asked_to_come_again(
    acme: ExampleIssuer, own_database: str, tmp_path: Path
):
    token = acme.token("17")
    await asyncio.to_thread(acme.stop)
    with demo_server(own_database, tmp_path, env={"ISSUERS": issuers_setting(acme)}) as server:
        place = Place(server, own_database, acme)
        answer = place.get(token)
        assert (answer.status, answer.code) == (503, "issuer_unavailable")
        assert answer.headers["Retry-After"] == "10"
        async with opened_wire(server.url) as wire:
            await wire.connect({"token": token})
            await wire.until(lambda: wire.closed)
            assert wire.packets == []
        assert place.me(beta_token())["id"] == "beta|17"
        async with logged_in(server.url, "zhangsan") as zhangsan:
            assert zhangsan.user["id"] == "1"
