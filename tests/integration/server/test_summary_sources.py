"""Summary sources over HTTP, by platforms that answer whatever the test says."""

import asyncio
import gzip
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, ClientTimeout, web
from aiohttp.test_utils import TestServer

from core.domain.principals import User
from server import summary_sources
from server.sources import Source
from server.summary_sources import (
    FAILURES_OF_AN_OUTAGE,
    FRESH_S,
    LEFT_ALONE_S,
    MAX_BYTES,
    MAX_IN_FLIGHT,
    HttpSummarySource,
    opened_sources,
)

SECRET = "a secret that the platform and the server share"


class FakePlatform:
    """Answers `body` with `status`, and keeps every question; while `hold` is set, nobody is answered."""

    def __init__(self) -> None:
        self.answer({"tasks": {"rejected": 1}})
        self.status = 200
        self.headers: dict[str, str] = {}
        self.questions: list[tuple[dict[str, str], bytes]] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.in_flight = 0
        self.most_in_flight = 0
        self.reached = asyncio.Event()
        self.url = ""

    @property
    def asked(self) -> int:
        return len(self.questions)

    def answer(self, content: object) -> None:
        self.body = content if isinstance(content, bytes) else json.dumps(content).encode()

    async def handle(self, request: web.Request) -> web.Response:
        self.questions.append((dict(request.headers), await request.read()))
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        self.reached.set()
        await self.hold.wait()
        self.in_flight -= 1
        return web.Response(body=self.body, status=self.status, headers=self.headers)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def person(user_id: str = "1", **more) -> User:
    given = {"username": "zhangsan", "name": "张三", "roles": frozenset(), "projects": {}, "locale": "zh-CN"}
    return User(id=user_id, **(given | more))


@pytest.fixture
async def platform() -> AsyncIterator[FakePlatform]:
    platform = FakePlatform()
    application = web.Application()
    application.router.add_post("/summary", platform.handle)
    async with TestServer(application) as server:
        platform.url = str(server.make_url("/summary"))
        yield platform
        platform.hold.set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def source(platform: FakePlatform, clock: Clock) -> AsyncIterator[HttpSummarySource]:
    async with ClientSession(timeout=ClientTimeout(total=0.5), auto_decompress=False) as http:
        source = HttpSummarySource(http, Source(name="cvat", url=platform.url, secret=SECRET), clock)
        yield source
        await source.close()


async def fail(source: HttpSummarySource, times: int = FAILURES_OF_AN_OUTAGE) -> None:
    for number in range(times):
        assert await source.counters(person(f"failed-{number}")) == {}


async def test_a_question_says_who_is_meant_and_is_signed_with_its_moment(platform, source):
    roles = frozenset({"reviewer", "annotator"})
    projects = {"7": frozenset({"reviewer", "admin"}), "8": frozenset()}

    assert await source.counters(person("1", roles=roles, projects=projects)) == {"rejected": 1}

    ((headers, body),) = platform.questions
    assert json.loads(body) == {
        "user_id": "1",
        "username": "zhangsan",
        "roles": ["annotator", "reviewer"],
        "projects": {"7": ["admin", "reviewer"], "8": []},
    }
    assert headers["Content-Type"] == "application/json"
    timestamp = headers["X-Notify-Timestamp"]
    assert abs(int(timestamp) - time.time()) < 60
    signed = hmac.new(SECRET.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Notify-Signature"] == f"sha256={signed}"


async def test_an_answer_holds_for_one_person_and_for_five_seconds(platform, source, clock):
    await source.counters(person("1"))
    platform.answer({"tasks": {"rejected": 2}})
    clock.now += FRESH_S - 0.1

    assert await source.counters(person("1")) == {"rejected": 1}
    assert await source.counters(person("2")) == {"rejected": 2}
    assert platform.asked == 2
    clock.now += 0.1
    assert await source.counters(person("1")) == {"rejected": 2}


async def test_all_who_wait_share_one_question_and_one_who_leaves_ends_it_for_nobody(platform, source):
    platform.hold.clear()
    waiting = [asyncio.create_task(source.counters(person("1"))) for _ in range(50)]
    await platform.reached.wait()
    waiting[0].cancel()
    platform.hold.set()

    found = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [{"rejected": 1}] * 49
    assert platform.asked == 1


async def test_beyond_twenty_questions_at_once_none_is_asked(platform, source):
    platform.hold.clear()
    waiting = [asyncio.create_task(source.counters(person(str(number)))) for number in range(MAX_IN_FLIGHT)]
    await asyncio.sleep(0)

    assert await source.counters(person("one more")) == {}
    platform.hold.set()
    assert await asyncio.gather(*waiting) == [{"rejected": 1}] * MAX_IN_FLIGHT
    assert (platform.asked, source.asked, source.spared) == (MAX_IN_FLIGHT, MAX_IN_FLIGHT, 1)
    assert platform.most_in_flight <= MAX_IN_FLIGHT
    assert await source.counters(person("one more")) == {"rejected": 1}


async def test_only_so_many_answers_are_kept_the_newest(platform, source, monkeypatch):
    monkeypatch.setattr(summary_sources, "MAX_REMEMBERED", 3)
    for user_id in ("1", "2", "3", "4"):
        await source.counters(person(user_id))

    for user_id in ("2", "3", "4"):
        await source.counters(person(user_id))
    assert platform.asked == 4
    await source.counters(person("1"))
    assert platform.asked == 5


async def test_one_who_does_not_answer_in_time_says_nothing(platform, source):
    platform.hold.clear()
    started = time.monotonic()

    assert await source.counters(person()) == {}
    assert time.monotonic() - started < 5
    assert (source.asked, source.failed) == (1, 1)


async def test_one_whose_answer_does_not_end_in_time_says_nothing():
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"tasks": ')
        await never.wait()
        return response

    never = asyncio.Event()
    application = web.Application()
    application.router.add_post("/summary", trickle)
    async with TestServer(application) as server, ClientSession(timeout=ClientTimeout(total=0.2)) as http:
        url = str(server.make_url("/summary"))
        assert (
            await HttpSummarySource(http, Source(name="a", url=url, secret=SECRET)).counters(person()) == {}
        )
        never.set()


async def test_nobody_at_the_address_says_nothing():
    async with opened_sources([Source(name="a", url="http://127.0.0.1:1/", secret=SECRET)]) as (source,):
        assert await source.counters(person()) == {}
        assert source.failed == 1


async def test_a_platform_that_fails_is_left_alone_and_then_tried_by_one_question(platform, source, clock):
    platform.status = 500
    await fail(source)
    asked = platform.asked
    platform.status = 200

    clock.now += LEFT_ALONE_S - 0.1
    assert await source.counters(person()) == {}
    assert (platform.asked, source.spared) == (asked, 1)

    clock.now += 0.1
    platform.hold.clear()
    platform.reached.clear()
    trying = asyncio.create_task(source.counters(person("1")))
    await platform.reached.wait()
    assert await source.counters(person("2")) == {}
    platform.hold.set()
    assert await trying == {"rejected": 1}
    assert platform.asked == asked + 1
    assert await source.counters(person("2")) == {"rejected": 1}


async def test_one_that_still_fails_is_left_alone_again(platform, source, clock):
    platform.status = 500
    await fail(source)
    for _ in range(3):
        clock.now += LEFT_ALONE_S
        asked = platform.asked
        await fail(source, 5)
        assert platform.asked == asked + 1


async def test_failures_that_are_not_in_a_row_are_no_outage(platform, source):
    for number in range(FAILURES_OF_AN_OUTAGE * 2):
        platform.status = 404
        await fail(source, 1)
        platform.status = 200
        assert await source.counters(person(str(number))) == {"rejected": 1}


async def test_an_outage_is_logged_once_and_so_is_its_end_without_anything_personal(
    platform, source, clock, caplog
):
    caplog.set_level(logging.DEBUG, logger="server.summary_sources")
    platform.status = 500
    for _ in range(3):
        await fail(source)
        clock.now += LEFT_ALONE_S
    platform.status = 200
    await source.counters(person())

    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO"]
    assert "cvat: status 500" in caplog.text
    for secret in ("failed-", "zhangsan", "张三", SECRET, platform.url):
        assert secret not in caplog.text


ODD = [
    b"", b"{", b"\xff", b"null", b"[]", b"5", b"{}", b"NaN", b'{"tasks": {"rejected": NaN}}', {"tasks": None}, {"tasks": []}, {"tasks": 1},
    *({"tasks": {"rejected": odd}} for odd in (-1, 1.5, 1.0, "1", True, None, [], 10**9 + 1)),
    *({"tasks": {odd: 1}} for odd in ("", "A", "a b", "a-b", "a" * 33, "ä", "a\x00")),
    {"tasks": {f"c{number}": 1 for number in range(21)}},
    b" " * MAX_BYTES + b'{"tasks": {}}', b'{"tasks":' * 1_000, b"[" * 16_000,
]  # fmt: skip


async def test_what_are_no_counters_is_nothing_and_a_failure(platform, source, clock):
    for number, odd in enumerate(ODD):
        platform.answer(odd)
        assert await source.counters(person(f"odd-{number}")) == {}, odd
        assert source.failed == number + 1, odd
        clock.now += LEFT_ALONE_S


async def test_what_else_an_answer_says_is_for_others(platform, source):
    platform.answer({"tasks": {"rejected": 0, "x" * 32: 10**9}, "version": 2})

    assert await source.counters(person()) == {"rejected": 0, "x" * 32: 10**9}


async def test_few_bytes_never_become_many(platform, source):
    platform.answer(gzip.compress(b'{"tasks": {"rejected": 1}}' + b" " * 10_000_000))
    platform.headers = {"Content-Encoding": "gzip"}

    assert await source.counters(person()) == {}
    assert platform.questions[0][0]["Accept-Encoding"] == "identity"


async def test_a_redirect_is_not_followed(platform, source):
    platform.status, platform.headers = 307, {"Location": platform.url}

    assert await source.counters(person()) == {}
    assert platform.asked == 1


async def test_closing_gives_up_what_is_under_way(platform, source):
    platform.hold.clear()
    waiting = asyncio.create_task(source.counters(person()))
    await platform.reached.wait()

    await source.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
