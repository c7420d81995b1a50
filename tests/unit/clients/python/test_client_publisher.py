import contextlib

import pytest
from aiohttp import web

from clients.python import Publisher, PublishError, publisher
from clients.python.retry import Retry

ACCEPTED = {
    "id": "n1",
    "created_at": "2026-01-01T00:00:00.000Z",
    "postings": {"user:1": 12},
    "connections": 3,
    "servers": 2,
}


class Script:
    """A server that answers with what it was told, in turn: (status, body, headers), or None to hang up."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    async def handle(self, request):
        self.requests.append((request.path, dict(request.headers), await request.json()))
        answer = self.answers.pop(0)
        if answer is None:
            request.transport.abort()
            return web.Response()
        status, body, *headers = answer
        return web.json_response(body, status=status, headers=dict(headers))

    @property
    def keys(self):
        return [headers.get("Idempotency-Key") for _, headers, _ in self.requests]


@contextlib.asynccontextmanager
async def publishing(script, **options):
    runner = web.ServerRunner(web.Server(script.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with Publisher(
            f"http://127.0.0.1:{runner.addresses[0][1]}", **({"api_key": "k"} | options)
        ) as client:
            yield client
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(publisher, "RETRY", Retry(1, 2))


async def test_what_was_accepted_comes_back_typed():
    script = Script((201, ACCEPTED))
    async with publishing(script) as client:
        result = await client.publish(to=["user:1"], title="t", level="info", data={"a": 1})
    assert (result.id, result.postings, result.connections, result.servers) == ("n1", {"user:1": 12}, 3, 2)
    assert not result.duplicate
    path, headers, body = script.requests[0]
    assert path == "/api/v1/notifications"
    assert body == {"to": ["user:1"], "title": "t", "level": "info", "data": {"a": 1}}
    assert headers["Idempotency-Key"] == result.idempotency_key
    assert headers["X-API-Key"] == "k"
    assert "Authorization" not in headers


async def test_a_person_publishes_with_a_bearer_token():
    script = Script((201, ACCEPTED))
    async with publishing(script, api_key=None, token="t") as client:
        await client.publish(to=["user:1"], title="t")
    assert script.requests[0][1]["Authorization"] == "Bearer t"
    assert "X-API-Key" not in script.requests[0][1]


async def test_a_repeated_key_is_reported_as_a_duplicate():
    script = Script((200, ACCEPTED | {"connections": None, "servers": None}))
    async with publishing(script) as client:
        result = await client.publish(to=["user:1"], title="t", idempotency_key="mine")
    assert (result.duplicate, result.connections, result.idempotency_key) == (True, None, "mine")
    assert script.keys == ["mine"]


async def test_what_may_pass_is_sent_again_with_the_same_key():
    busy = {"error": {"code": "rate_limited", "message": ""}}
    script = Script(
        None,
        (503, busy, ("Retry-After", "0")),
        (429, busy, ("Retry-After", "0")),
        (502, "no json"),
        (201, ACCEPTED),
    )
    async with publishing(script) as client:
        result = await client.publish(to=["user:1"], title="t")
    assert script.keys == [result.idempotency_key] * 5


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
async def test_a_refusal_is_raised_at_once(status):
    error = {"code": "validation_failed", "message": "no", "fields": {"to.0": ["Not a room."]}}
    script = Script((status, {"error": error}))
    async with publishing(script) as client:
        with pytest.raises(PublishError) as raised:
            await client.publish(to=["x"], title="t", idempotency_key="mine")
    assert (raised.value.status, raised.value.code, raised.value.message) == (
        status,
        "validation_failed",
        "no",
    )
    assert raised.value.fields == {"to.0": ["Not a room."]}
    assert raised.value.idempotency_key == "mine"
    assert len(script.requests) == 1


async def test_it_gives_up_when_the_server_asks_for_more_time_than_there_is():
    script = Script((503, {"error": {"code": "storage_unavailable", "message": ""}}, ("Retry-After", "3600")))
    async with publishing(script) as client:
        with pytest.raises(PublishError, match="storage_unavailable"):
            await client.publish(to=["user:1"], title="t")


async def test_it_gives_up_when_the_time_is_over_and_says_that_nobody_answered():
    async with Publisher("http://127.0.0.1:9", token="t", give_up_after_s=0.05) as client:
        with pytest.raises(PublishError) as raised:
            await client.publish(to=["user:1"], title="t")
    assert (raised.value.status, raised.value.code) == (0, "unreachable")


async def test_retry_after_is_waited_for(monkeypatch):
    waits = []

    async def note(delay_s):
        waits.append(delay_s)

    script = Script(
        (429, {}, ("Retry-After", "7")),
        (429, {}, ("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")),
        (201, ACCEPTED),
    )
    async with publishing(script) as client:
        monkeypatch.setattr(publisher.asyncio, "sleep", note)
        await client.publish(to=["user:1"], title="t")
        monkeypatch.undo()
    assert waits[0] == 7
    assert waits[1] < 0.01


async def test_a_batch_is_answered_item_by_item_in_order():
    refused = {"status": 422, "error": {"code": "validation_failed", "message": "no"}}
    script = Script((200, {"results": [{"status": 201, **ACCEPTED}, refused, {"status": 200, **ACCEPTED}]}))
    async with publishing(script) as client:
        first, second, third = await client.publish_batch(
            [
                {"to": ["user:1"], "title": "a", "idempotency_key": "mine"},
                {"to": ["x"], "title": "b"},
                {"to": ["user:1"], "title": "c"},
            ]
        )
    assert (first.idempotency_key, first.duplicate) == ("mine", False)
    assert isinstance(second, PublishError)
    assert second.status == 422
    assert third.duplicate
    path, _, body = script.requests[0]
    assert path == "/api/v1/notifications/batch"
    keys = [item["idempotency_key"] for item in body["notifications"]]
    assert keys[0] == "mine"
    assert len(set(keys)) == 3


async def test_a_batch_is_sent_again_with_the_same_keys():
    script = Script(None, (200, {"results": [{"status": 201, **ACCEPTED}]}))
    async with publishing(script) as client:
        await client.publish_batch([{"to": ["user:1"], "title": "a"}])
    assert script.requests[0][2] == script.requests[1][2]


def test_a_token_and_a_key_at_once_make_no_sense():
    with pytest.raises(ValueError, match="either"):
        Publisher("http://x", token="t", api_key="k")


async def test_outside_of_its_context_it_says_how_to_use_it():
    with pytest.raises(RuntimeError, match="async with"):
        await Publisher("http://x", token="t").publish(to=["user:1"], title="t")


async def test_a_programming_error_is_not_taken_for_a_lost_connection():
    script = Script()
    async with publishing(script) as client:
        with pytest.raises(TypeError):
            await client.publish(to=["user:1"], title="t", data=object())
    assert not script.requests
