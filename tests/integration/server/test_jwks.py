"""Key sets over HTTP, from issuers that answer whatever the test says."""

import asyncio
import json
from collections.abc import AsyncIterator

import jwt
import pytest
from aiohttp import ClientSession, ClientTimeout, web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from core.domain.errors import Unavailable
from server.jwks import ASK_AGAIN_S, MAX_BYTES, REFRESH_S, HttpKeys

EC_KEY = jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
RSA_KEY = jwt.algorithms.RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True)
ED_KEY = jwt.algorithms.OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True)


class FakeIssuer:
    """Publishes `body` with `status`, and counts who asks; while `hold` is set, nobody is answered."""

    def __init__(self) -> None:
        self.publish("k1")
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self.reached = asyncio.Event()
        self.url = ""

    def publish(self, *kids: str) -> None:
        self.answer({"keys": [{**EC_KEY, "kid": kid} for kid in kids]})

    def answer(self, content: object) -> None:
        self.body = content if isinstance(content, bytes) else json.dumps(content).encode()

    async def handle(self, _: web.Request) -> web.Response:
        self.asked += 1
        self.reached.set()
        await self.hold.wait()
        return web.Response(body=self.body, status=self.status, headers=self.headers)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def issuer() -> AsyncIterator[FakeIssuer]:
    issuer = FakeIssuer()
    application = web.Application()
    application.router.add_get("/keys", issuer.handle)
    async with TestServer(application) as server:
        issuer.url = str(server.make_url("/keys"))
        yield issuer
        issuer.hold.set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(issuer: FakeIssuer, clock: Clock) -> AsyncIterator[HttpKeys]:
    async with ClientSession(timeout=ClientTimeout(total=0.5)) as http:
        keys = HttpKeys(http, [issuer.url], clock)
        yield keys
        await keys.close()


async def unavailable(keys: HttpKeys, url: str, kid: str) -> Unavailable:
    with pytest.raises(Unavailable) as error:
        await keys.key(url, kid)
    assert error.value.code == "issuer_unavailable"
    return error.value


async def test_a_key_is_fetched_once_and_kept(issuer, keys):
    key = await keys.key(issuer.url, "k1")

    assert key is not None
    assert (key.key_id, key.algorithm_name) == ("k1", "ES256")
    assert await keys.key(issuer.url, "k1") is key
    assert issuer.asked == 1


async def test_all_who_wait_share_one_request_and_one_who_leaves_ends_it_for_nobody(issuer, keys):
    issuer.hold.clear()
    waiting = [asyncio.create_task(keys.key(issuer.url, "k1")) for _ in range(50)]
    await issuer.reached.wait()
    waiting[0].cancel()
    issuer.hold.set()

    found = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(found[0], asyncio.CancelledError)
    assert {key.key_id for key in found[1:]} == {"k1"}
    assert issuer.asked == 1


async def test_an_unknown_key_is_asked_for_once_in_a_while_whoever_makes_ids_up(issuer, keys, clock):
    await keys.refresh()
    for number in range(100):
        assert await keys.key(issuer.url, f"made-up-{number}") is None
    assert issuer.asked == 2

    issuer.publish("k1", "k2")
    assert await keys.key(issuer.url, "k2") is None
    clock.now += ASK_AGAIN_S
    key = await keys.key(issuer.url, "k2")
    assert key is not None
    assert issuer.asked == 3


async def test_a_rotation_right_after_the_first_fetch_is_followed_at_once(issuer, keys):
    await keys.refresh()
    issuer.publish("k2")

    assert await keys.key(issuer.url, "k2") is not None
    assert await keys.key(issuer.url, "k1") is None


async def test_a_set_is_fetched_anew_after_an_hour_and_a_withdrawn_key_is_gone(issuer, keys, clock):
    await keys.refresh()
    issuer.publish("k2")
    clock.now += REFRESH_S - 1
    await keys.refresh()
    assert issuer.asked == 1
    clock.now += 1
    await keys.refresh()

    assert issuer.asked == 2
    assert await keys.key(issuer.url, "k2") is not None
    assert await keys.key(issuer.url, "k1") is None


async def test_known_keys_are_used_while_the_issuer_is_away_and_unknown_ones_may_be_had_later(
    issuer, keys, clock
):
    await keys.refresh()
    issuer.status = 500
    issuer.publish("k2")
    clock.now += REFRESH_S
    await keys.refresh()

    assert await keys.key(issuer.url, "k1") is not None
    assert (await unavailable(keys, issuer.url, "k2")).retry_after_s == ASK_AGAIN_S
    asked = issuer.asked
    await unavailable(keys, issuer.url, "k2")
    assert issuer.asked == asked

    issuer.status = 200
    await keys.refresh()
    assert await keys.key(issuer.url, "k2") is not None
    assert await keys.key(issuer.url, "k1") is None


async def test_an_issuer_that_never_answered_makes_it_pass_by_itself(issuer, keys, clock):
    issuer.status = 503
    await keys.refresh()
    await unavailable(keys, issuer.url, "k1")
    issuer.status = 200
    await unavailable(keys, issuer.url, "k1")
    clock.now += ASK_AGAIN_S

    assert await keys.key(issuer.url, "k1") is not None


async def test_one_who_does_not_answer_in_time_is_away(issuer, keys):
    issuer.hold.clear()

    await unavailable(keys, issuer.url, "k1")


async def test_nobody_at_the_address_is_away():
    async with ClientSession() as http:
        nowhere = "http://127.0.0.1:1/keys"
        await unavailable(HttpKeys(http, [nowhere]), nowhere, "k1")


ODD = [
    b"", b"{", b"\xff", b"null", b"[]", b"5", b"{}", {"keys": []}, {"keys": {}}, {"keys": [1, None, []]}, {"keys": "k1"},
    {"keys": [EC_KEY]}, {"keys": [{**EC_KEY, "kid": 5}]}, {"keys": [{**EC_KEY, "kid": ["k1"]}]},
    {"keys": [{**EC_KEY, "kid": "k1", "use": "enc"}]}, {"keys": [{"kid": "k1"}]},
    *({"keys": [{**EC_KEY, "kid": "k1", name: odd}]} for name in ("kty", "crv", "x") for odd in (5, [], {}, "?", "none")),
    *({"keys": [{**EC_KEY, "kid": "k1", "alg": odd}]} for odd in (5, ["ES256"], {"ES256": 1}, "?", "none", "HS256")),
    *({"keys": [{**RSA_KEY, "kid": "k1", name: odd}]} for name in ("n", "e") for odd in (None, 5, [], {}, "?", "", "AA")),
    *({"keys": [{**RSA_KEY, "kid": "k1", "d": odd}]} for odd in (5, [], "AQAB")),
    *({"keys": [{**RSA_KEY, "kid": "k1", "d": "AQAB", "p": "Aw", "q": "Aw", "dp": "Aw", "dq": "Aw", "qi": odd}]} for odd in ("Aw", 5)),
    *({"keys": [{**ED_KEY, "kid": "k1", name: odd}]} for name in ("crv", "x") for odd in (5, [], {}, "?", "")),
    {"keys": [{**EC_KEY, "kid": "k1", "crv": "secp256k1"}]}, {"keys": [{"kty": "oct", "k": 5, "kid": "k1"}]},
    b" " * MAX_BYTES + b"{}", b'{"keys":' * 50_000,
]  # fmt: skip


async def test_what_is_no_key_set_takes_nothing_away(issuer, keys, clock):
    await keys.refresh()
    for odd in ODD:
        issuer.answer(odd)
        clock.now += REFRESH_S
        await keys.refresh()

        assert await keys.key(issuer.url, "k1") is not None, odd
        clock.now += ASK_AGAIN_S
        await unavailable(keys, issuer.url, "k2")


async def test_keys_that_are_not_understood_are_left_out_of_the_others(issuer, keys):
    issuer.answer(
        {
            "keys": [
                {**EC_KEY, "kid": "for secrets", "use": "enc"},
                {"kty": "quantum", "kid": "new"},
                {**EC_KEY, "kid": "nothing", "alg": "none"},
                5,
                {**RSA_KEY, "kid": "r", "use": "sig", "alg": "PS256"},
                {**ED_KEY, "kid": "e"},
            ]
        }
    )

    for kid, algorithm in (
        ("for secrets", None),
        ("new", None),
        ("nothing", None),
        ("r", "PS256"),
        ("e", "EdDSA"),
    ):
        key = await keys.key(issuer.url, kid)
        assert (key and key.algorithm_name) == algorithm


async def test_a_redirect_is_not_followed(issuer, keys):
    issuer.status, issuer.headers = 302, {"Location": issuer.url}

    await unavailable(keys, issuer.url, "k1")
    assert issuer.asked == 1


async def test_closing_gives_up_what_is_under_way(issuer, keys):
    issuer.hold.clear()
    waiting = asyncio.create_task(keys.key(issuer.url, "k1"))
    await issuer.reached.wait()

    await keys.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
