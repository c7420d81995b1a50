"""Several server processes behind HAProxy and nginx, with the files of deploy/ as they are shipped."""

import asyncio
import http.client
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from clients.python import Publisher
from tests.support.balancers import PORTS, Balancer, HaProxy, Nginx
from tests.support.http import Api
from tests.support.listeners import check_shown, javascript_listener, python_listeners
from tests.support.postgres import PostgresCluster
from tests.support.processes import ServerProcess
from tests.support.redis_server import RedisServer
from tests.support.stage import PASSWORD, Caller, Recorder, demo_server, log_in, logged_in, until

BALANCERS = {"haproxy": HaProxy, "nginx": Nginx}
SERVERS = 3
PAUSE_S = 0.02
"""Between two requests of one that asks all the time: without it, the last one gets nothing of a busy processor."""


def named_servers(database_url: str, folder: Path, number: int, **options: Any) -> list[ServerProcess]:
    """Servers with the names that they have in the shipped files."""
    servers = []
    for name in PORTS[:number]:
        (folder / str(name)).mkdir()
        env = {"SERVER_NAME": str(name), "TRUST_PROXY": "1"}
        servers.append(demo_server(database_url, folder / str(name), env=env, **options))
    return servers


@pytest.fixture(scope="module")
def servers(
    postgres_cluster: PostgresCluster, postgres_demo: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ServerProcess]]:
    url = postgres_cluster.create_database(postgres_demo)
    servers = named_servers(url, tmp_path_factory.mktemp("servers"), SERVERS)
    for server in servers:
        server.start()
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def running(servers: list[ServerProcess]) -> list[ServerProcess]:
    """All of them, whatever a test before has stopped."""
    for server in servers:
        if not server.running:
            server.start()
    return servers


@pytest.fixture(params=BALANCERS)
def balancer(
    request: pytest.FixtureRequest, running: list[ServerProcess], tmp_path: Path
) -> Iterator[Balancer]:
    with BALANCERS[request.param](tmp_path, [server.port for server in running]) as balancer:
        yield balancer


@pytest.fixture
async def people(balancer: Balancer) -> AsyncIterator[tuple[Caller, Caller]]:
    async with logged_in(balancer.url, "admin") as admin, logged_in(balancer.url, "zhangsan") as zhangsan:
        yield admin, zhangsan


@asynccontextmanager
async def listening(
    balancer: Balancer, caller: Caller, folder: Path, python: Sequence[str], javascript: str
) -> AsyncIterator[list[Any]]:
    """Our clients by these transports, and the official JavaScript client twice: by one transport, and by default."""
    javascripts = [
        javascript_listener(balancer.url, caller.token, folder, options)
        for options in ({"transports": [javascript]}, {})
    ]
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(python_listeners(balancer.url, caller.token, python))
        yield [*ours, *[await stack.enter_async_context(theirs) for theirs in javascripts]]


async def sessions(server: ServerProcess, admin: Caller) -> dict[str, str]:
    """The sessions on one server, with their transports."""
    headers = {"Authorization": f"Bearer {admin.token}"}
    async with ClientSession(headers=headers) as http, http.get(f"{server.url}/api/v1/sessions") as response:
        return {session["id"]: session["transport"] for session in (await response.json())["items"]}


def test_the_page_comes_as_the_servers_gave_it(balancer: Balancer):
    browser = Api(balancer.url, {"Accept-Encoding": "gzip, deflate, br"})
    page = browser.get("/tasks/17")
    assert (page.status, page.headers["Cache-Control"]) == (200, "no-cache")
    assert page.headers["Content-Security-Policy"]
    assert browser.get("/", headers={"If-None-Match": page.headers["ETag"]}).status == 304
    (path,) = re.findall(r'src="(/assets/[^"]+\.js)"', page.content.decode())
    script = browser.get(path)
    assert (script.status, script.headers["Content-Encoding"]) == (200, "br")
    assert "immutable" in script.headers["Cache-Control"]
    browser.close()


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_clients_of_one_address_are_served_by_all_servers(
    balancer: Balancer,
    servers: list[ServerProcess],
    people: tuple[Caller, Caller],
    tmp_path: Path,
    transport: str,
):
    admin, zhangsan = people
    before = [await sessions(server, admin) for server in servers]
    async with listening(balancer, zhangsan, tmp_path, [transport] * 5, transport) as listeners:
        accepted = [(await admin.publish("user:1", title=f"{number}"))["id"] for number in range(10)]
        for listener in listeners:
            await listener.until_shown("9")
            check_shown(listener.shown, accepted)
        used: list[str] = []
        for server, old in zip(servers, before, strict=True):
            here = await sessions(server, admin)
            assert here.keys() - old.keys(), "one server has nobody"
            used += [here[id_] for id_ in here.keys() - old.keys()]
        assert len(used) == 7
        assert used.count(transport) >= 6


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_whoever_loses_their_server_comes_back_by_another_and_is_whole(
    balancer: Balancer,
    servers: list[ServerProcess],
    people: tuple[Caller, Caller],
    tmp_path: Path,
    end: str,
):
    admin, zhangsan = people
    transports = ["websocket", "polling"] * 2
    async with (
        listening(balancer, zhangsan, tmp_path, transports, "polling") as listeners,
        Publisher(balancer.url, token=admin.token) as publisher,
    ):
        accepted: list[str] = []

        async def publish(number: int) -> None:
            for _ in range(number):
                accepted.append((await publisher.publish(to=["user:1"], title=f"{len(accepted)}")).id)

        await publish(20)
        for server in servers[:2]:  # only one is left at the end
            await asyncio.gather(asyncio.to_thread(getattr(server, end)), publish(20))
        await publish(20)
        for listener in listeners:
            await listener.until_shown(f"{len(accepted) - 1}")
            check_shown(listener.shown, accepted)


async def test_no_request_fails_while_servers_are_stopped_and_started_in_turn(
    balancer: Balancer, servers: list[ServerProcess], people: tuple[Caller, Caller]
):
    """Nobody tries again here: whatever goes wrong with a server is the balancer's business."""
    admin, zhangsan = people
    over = asyncio.Event()
    answered = Recorder()
    failures: list[str] = []
    published = ("notifications", 201)

    async def ask(caller: Caller, method: str, path: str, body: Any = None) -> None:
        async with ClientSession(headers={"Authorization": f"Bearer {caller.token}"}) as http:
            while not over.is_set():
                async with http.request(method, f"{balancer.url}/api/v1/{path}", json=body) as response:
                    text = await response.text()
                    answered.append((path, response.status))
                    if not response.ok:
                        failures.append(f"{method} {path}: {response.status} {text}")
                await asyncio.sleep(PAUSE_S)

    async def more_published() -> None:
        before = answered.count(published)
        await until(lambda: failures or answered.count(published) >= before + 20)

    login = {"username": "zhangsan", "password": PASSWORD}
    async with asyncio.TaskGroup() as asking:
        for _ in range(4):
            asking.create_task(ask(admin, "POST", "notifications", {"to": ["user:1"], "title": "x"}))
            asking.create_task(ask(zhangsan, "GET", "me"))
        asking.create_task(ask(zhangsan, "POST", "auth/login", login))
        try:
            for server in servers:
                assert await asyncio.to_thread(server.stop) == 0
                await more_published()
                await asyncio.to_thread(server.start)
                await more_published()
        finally:
            over.set()
    assert not failures
    assert set(answered) == {published, ("me", 200), ("auth/login", 200)}


def test_it_is_ready_as_long_as_one_server_is(balancer: Balancer, servers: list[ServerProcess]):
    for server in servers[:2]:
        server.kill()
    api = Api(balancer.url)
    assert [api.get("/readyz").status for _ in range(6)] == [200] * 6
    api.close()


async def test_servers_that_are_gone_since_a_moment_fail_no_request(
    running: list[ServerProcess], tmp_path: Path
):
    """Three of four, and no check has told the balancer so: then, a request must not be tried with them alone."""

    async def ask(http: ClientSession, url: str) -> None:
        for _ in range(50):
            async with http.get(f"{url}/healthz") as response:
                statuses[response.status] += 1

    for number, kind in enumerate(BALANCERS.values()):
        statuses: Counter[int] = Counter()
        (tmp_path / str(number)).mkdir()
        with kind(tmp_path / str(number), [running[0].port]) as balancer:
            async with ClientSession() as http, asyncio.TaskGroup() as asking:
                for _ in range(10):
                    asking.create_task(ask(http, balancer.url))
        assert statuses == {200: 500}, kind


def test_a_failed_login_is_logged_by_the_address_that_the_balancer_saw(
    balancer: Balancer, servers: list[ServerProcess]
):
    for server in servers[1:]:
        server.stop()
    connection = http.client.HTTPConnection(
        "127.0.0.1", balancer.port, timeout=10, source_address=("127.0.0.7", 0)
    )
    before = len(servers[0].lines)
    body = json.dumps({"username": "zhangsan", "password": "wrong"})
    headers = {"Content-Type": "application/json", "X-Forwarded-For": "192.0.2.66"}
    connection.request("POST", "/api/v1/auth/login", body, headers)
    assert connection.getresponse().status == 401
    connection.close()
    number = servers[0].wait_for_log("登录被拒绝", after=before)
    assert servers[0].lines[number - 1].endswith(" address=127.0.0.7")


async def test_slow_headers_are_cut_by_the_balancer(servers: list[ServerProcess], tmp_path: Path):
    async def wait_for_the_cut(balancer: Balancer) -> float:
        began = asyncio.get_running_loop().time()
        reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port)
        writer.write(b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        async with asyncio.timeout(20):
            await reader.read()
        writer.close()
        return asyncio.get_running_loop().time() - began

    ports = [server.port for server in servers]
    with HaProxy(tmp_path, ports) as haproxy, Nginx(tmp_path, ports) as nginx:
        for took_s in await asyncio.gather(wait_for_the_cut(haproxy), wait_for_the_cut(nginx)):
            assert 5 < took_s < 15


async def test_with_redis_stopped_logins_and_publishes_still_pass(
    postgres_cluster: PostgresCluster, postgres_demo: str, redis_server: RedisServer, tmp_path: Path
):
    url = postgres_cluster.create_database(postgres_demo)
    servers = named_servers(url, tmp_path, 2, redis_url=redis_server.url)
    async with AsyncExitStack() as stack:
        for server in servers:
            await asyncio.to_thread(server.start)
            stack.push_async_callback(asyncio.to_thread, server.stop)
        balancer = stack.enter_context(HaProxy(tmp_path, [server.port for server in servers]))
        http = await stack.enter_async_context(ClientSession())
        zhangsan = await log_in(http, balancer.url, "zhangsan")
        listeners = [
            listener
            for server in servers
            for listener in await stack.enter_async_context(
                python_listeners(server.url, zhangsan.token, ["websocket"])
            )
        ]
        await asyncio.to_thread(redis_server.stop)
        for server in servers:
            await until_degraded(http, server)
        accepted = []
        for number in range(10):
            admin = await log_in(http, balancer.url, "admin")
            accepted.append((await admin.publish("user:1", title=f"{number}"))["id"])
            async with http.get(f"{balancer.url}/readyz") as response:
                assert (response.status, (await response.json())["status"]) == (200, "degraded")
        for listener in listeners:
            await listener.until_shown("9")
            check_shown(listener.shown, accepted)


async def until_degraded(http: ClientSession, server: ServerProcess) -> None:
    """Until the server itself has noticed; health has no event to wait for."""
    async with asyncio.timeout(20):
        while True:
            async with http.get(f"{server.url}/readyz") as response:
                if (await response.json())["checks"]["redis"] == "unreachable":
                    return
