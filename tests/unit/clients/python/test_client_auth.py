import asyncio

import aiohttp
import pytest
from aiohttp import web

from clients.python import LoginError, login
from clients.python.auth import FixedToken, ProvidedToken, TokenSource, tokens_from

PATHS = {"/api/v1/auth/login", "/api/v1/auth/refresh"}


class AuthServer:
    """Grants numbered tokens; a refresh token is good once."""

    def __init__(self):
        self.granted = 0
        self.asked = []
        self.expires_in = 900
        self.status = None

    async def handle(self, request):
        assert request.path in PATHS
        fields = await request.json()
        self.asked.append((request.path.rpartition("/")[2], fields))
        if self.status is not None:
            return web.Response(status=self.status, text="not JSON")
        if fields not in ({"username": "u", "password": "p"}, {"refresh_token": f"r{self.granted}"}):
            error = {"code": "invalid_credentials", "message": "no"}
            return web.json_response({"error": error}, status=401)
        self.granted += 1
        return web.json_response(
            {
                "access_token": f"a{self.granted}",
                "token_type": "Bearer",
                "expires_in": self.expires_in,
                "refresh_token": f"r{self.granted}",
                "user": {"id": "1"},
            }
        )


@pytest.fixture
async def server():
    server = AuthServer()
    runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


async def test_a_login_gives_a_token_and_says_who_it_is(server):
    tokens = await login(server.url + "/", "u", "p")
    assert await tokens.token() == "a1"
    assert tokens.user == {"id": "1"}
    assert tokens.refreshable
    assert 830 < tokens.renewal_due_s() <= 840


async def test_a_wrong_password_is_refused_with_the_code_of_the_server(server):
    with pytest.raises(LoginError) as raised:
        await login(server.url, "u", "wrong")
    assert (raised.value.status, raised.value.code) == (401, "invalid_credentials")


async def test_refreshing_rotates_the_refresh_token(server):
    tokens = await login(server.url, "u", "p")
    assert [await tokens.refresh(), await tokens.refresh()] == ["a2", "a3"]
    assert [fields for _, fields in server.asked[1:]] == [{"refresh_token": "r1"}, {"refresh_token": "r2"}]


async def test_callers_at_the_same_time_share_one_renewal(server):
    tokens = await login(server.url, "u", "p")
    assert await asyncio.gather(*(tokens.refresh() for _ in range(5))) == ["a2"] * 5


async def test_a_token_that_is_due_is_renewed_when_asked_for(server):
    tokens = await login(server.url, "u", "p")
    assert await tokens.token() == "a1"
    tokens._renew_at = 0.0
    assert await tokens.token() == "a2"
    assert await tokens.token() == "a2"


async def test_a_refused_refresh_token_needs_a_new_login(server):
    tokens = await login(server.url, "u", "p")
    server.granted += 1
    with pytest.raises(LoginError, match="invalid_credentials"):
        await tokens.refresh()


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_in_trouble_is_not_a_refusal(server, status):
    server.status = status
    with pytest.raises(aiohttp.ClientError):
        await login(server.url, "u", "p")


async def test_an_answer_that_is_no_answer_is_refused(server):
    server.status = 200
    with pytest.raises(LoginError, match="unexpected"):
        await login(server.url, "u", "p")


async def test_each_form_of_a_token_is_understood():
    async def provide():
        return "provided"

    fixed, provided = tokens_from("fixed"), tokens_from(provide)
    assert isinstance(fixed, FixedToken)
    assert isinstance(provided, ProvidedToken)
    assert (await fixed.token(), fixed.refreshable, fixed.renewal_due_s()) == ("fixed", False, None)
    assert (await provided.refresh(), provided.refreshable, provided.renewal_due_s()) == (
        "provided",
        True,
        None,
    )
    source = TokenSource("http://x", {"access_token": "a", "refresh_token": "r", "expires_in": 900})
    assert tokens_from(source) is source
