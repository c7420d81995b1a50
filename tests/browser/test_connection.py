"""What a page says of its connection, and that it comes back: by itself, by hand, and in another tab."""

import asyncio
import itertools
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, Request, expect

from tests.browser.people import connection, live, row, toasts
from tests.support.browser import Faults, accessible, log_in
from tests.support.processes import ServerProcess
from tests.support.proxy import TcpProxy
from tests.support.stage import demo_server, logged_in

UNREACHED = "ERR_CONNECTION_REFUSED|WebSocket connection to .* failed|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET"
LOST = "The connection to the server broke"


@pytest_asyncio.fixture(loop_scope="session")
async def sqlite_server(sqlite_demo: Path, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """Clients give up soon."""
    url = f"sqlite:///{shutil.copy(sqlite_demo, tmp_path / 'log.db')}"
    server = demo_server(
        url, tmp_path, env={"RETRY_TRIES": "3", "RETRY_FIRST_MS": "700", "RETRY_MAX_MS": "1500"}
    )
    await asyncio.to_thread(server.start)
    yield server
    if server.running:
        await asyncio.to_thread(server.stop)


async def test_a_page_counts_its_tries_then_says_that_it_is_offline_and_comes_back_by_hand(
    open_page, faults: Faults, sqlite_server: ServerProcess
):
    page = await open_page()
    await log_in(page, "zhangsan")
    await live(page)
    faults.allow(UNREACHED)

    await asyncio.to_thread(sqlite_server.kill)
    await expect(connection(page)).to_have_accessible_name(
        re.compile(r"Try [23] of 3 in \d s"), timeout=10_000
    )
    await expect(page.get_by_text(LOST)).to_be_visible()
    await accessible(page)
    await expect(connection(page)).to_have_accessible_name(re.compile("Offline"), timeout=15_000)
    await expect(page.get_by_text("You are offline")).to_be_visible()

    await asyncio.to_thread(sqlite_server.start)
    async with logged_in(sqlite_server.url, "admin") as admin:
        await admin.publish("user:1", title="while it was offline")
    await page.get_by_role("button", name="Retry now").click()
    await live(page)
    await expect(page.get_by_text(LOST)).to_have_count(0)
    await expect(page.get_by_text("Connected again, 1 notification caught up")).to_be_visible()
    await expect(row(page, "while it was offline")).to_have_count(1)


async def test_what_is_read_offline_is_read_at_the_server_when_it_is_back(
    open_page, faults: Faults, sqlite_server: ServerProcess
):
    page = await open_page()
    await log_in(page, "zhangsan")
    await live(page)
    async with logged_in(sqlite_server.url, "admin") as admin:
        await admin.publish("user:1", title="to be read")
    await expect(row(page, "to be read")).to_be_visible()
    faults.allow(UNREACHED)
    await asyncio.to_thread(sqlite_server.kill)
    await expect(connection(page)).not_to_have_accessible_name(re.compile("Online"), timeout=10_000)

    await row(page, "to be read").hover()
    await row(page, "to be read").get_by_role("button", name="Mark as read").click()
    await expect(row(page, "to be read").get_by_title("Unread", exact=True)).to_have_count(0)
    async with page.expect_response(lambda answer: answer.url.endswith("/inbox/read") and answer.ok):
        await asyncio.to_thread(sqlite_server.start)

    async with logged_in(sqlite_server.url, "zhangsan") as caller:
        assert (await caller.call("GET", "inbox/counts"))[1]["unread"] == 0
    await live(page)
    await expect(row(page, "to be read").get_by_title("Unread", exact=True)).to_have_count(0)


async def test_a_tab_goes_on_when_the_one_with_the_connection_closes(open_page, sqlite_server: ServerProcess):
    first = await open_page()
    await log_in(first, "zhangsan")
    second = await _another_tab(first)

    await first.close()

    await _hears(second, sqlite_server, "after the close")


async def test_a_tab_goes_on_when_the_one_with_the_connection_freezes(
    open_page, sqlite_server: ServerProcess
):
    first = await open_page()
    await log_in(first, "zhangsan")
    second = await _another_tab(first)

    debugger = await first.context.new_cdp_session(first)
    paused = asyncio.get_running_loop().create_future()
    debugger.once("Debugger.paused", lambda _: paused.set_result(None))
    await debugger.send("Debugger.enable")
    await debugger.send("Debugger.pause")
    await paused
    await _hears(second, sqlite_server, "after the freeze")

    await debugger.send("Debugger.resume")
    await expect(row(first, "after the freeze")).to_have_count(1, timeout=15_000)
    await _hears(first, sqlite_server, "after the thaw")
    assert [await toasts(page, "after the thaw").count() for page in (first, second)].count(1) <= 1


async def _another_tab(page: Page) -> Page:
    await live(page)
    tab: Page = await page.context.new_page()
    await tab.goto("/inbox")
    await live(tab)
    return tab


async def _hears(page: Page, server: ServerProcess, title: str) -> None:
    async with logged_in(server.url, "admin") as admin:
        await admin.publish("user:1", title=title)
    await expect(row(page, title)).to_have_count(1, timeout=20_000)


async def test_who_is_logged_out_elsewhere_is_led_to_the_login_and_back(open_page, faults: Faults):
    page = await open_page("/tasks")
    await log_in(page, "zhangsan")
    await live(page)
    tab = await _another_tab(page)
    faults.allow("status of 401")

    await tab.get_by_role("button", name=re.compile("account and settings")).click()
    await tab.get_by_role("button", name="Log out").click()

    for one in (tab, page):
        await expect(one).to_have_url(re.compile("/login"))
    await log_in(page, "zhangsan")
    await expect(page).to_have_url(re.compile("/tasks"))


_WITHOUT_WEBSOCKETS = """
    window.WebSocket = class extends WebSocket {
        constructor(url) { super(String(url).replace("/socket.io/", "/refused/")) }
    }
"""


@pytest.mark.parametrize("number", range(1, 5))
async def test_an_answer_that_is_lost_on_its_way_is_given_again(
    open_page, faults: Faults, sqlite_server: ServerProcess, number: int
):
    """Chromium sends a request again by itself, and tells nobody: whatever that poll brought is not missing."""
    faults.allow(f"{UNREACHED}|status of 404")
    async with TcpProxy(sqlite_server.url) as network:
        page = await open_page(f"{network.url}/tasks")
        await page.context.add_init_script(_WITHOUT_WEBSOCKETS)
        await log_in(page, "zhangsan")
        polls = itertools.count(1)

        def lose(request: Request) -> None:
            if "/socket.io/" in request.url and request.method == "GET" and next(polls) == number:
                network.drop_replies(after=b"GET /socket.io/")

        page.on("request", lose)
        await page.goto(f"{network.url}/tasks")
        await asyncio.wait_for(network.dropped.wait(), 10)
        await live(page)
        async with logged_in(sqlite_server.url, "admin") as admin:
            await admin.publish("user:1", title="after that")
        await expect(toasts(page, "after that")).to_have_count(1)
