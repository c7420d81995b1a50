"""A tab that is left open through what a bad week does to it: nothing is missing, nothing is there twice."""

import asyncio
import random
import re
from collections import Counter

import pytest
from playwright.async_api import Page, expect

from tests.browser.people import COLLECT_TOASTS, badge, live, rows
from tests.support.browser import Faults, log_in
from tests.support.processes import ServerProcess
from tests.support.proxy import TcpProxy
from tests.support.stage import logged_in

RESTARTS, CUTS = 50, 20
AWAY = "ERR_|WebSocket connection to .* failed|status of (400|503)"
# An acknowledgement that falls due between the server's close frame and the end of the connection: the engine learns
# of the first only by the second. The next connection tells the position again.
TOLD_TOO_LATE = "WebSocket is already in CLOSING or CLOSED state"

PLACES = "articles => articles.map(one => [Number(one.ariaPosInSet), one.innerText])"
AT_THE_END = "scrollY + innerHeight >= document.documentElement.scrollHeight - 1"


@pytest.mark.timeout(300)  # each of the seventy blows has deadlines of its own
async def test_a_tab_left_open_through_restarts_and_cuts_shows_everything_once(
    open_page, faults: Faults, sqlite_server: ServerProcess
):
    faults.allow(f"{AWAY}|{TOLD_TOO_LATE}")
    blows = ["restart"] * RESTARTS + ["cut"] * CUTS
    random.Random(6).shuffle(blows)
    titles = [f"number {number}" for number in range(len(blows))]
    async with TcpProxy(sqlite_server.url) as network:
        page = await open_page(f"{network.url}/tasks")
        await log_in(page, "zhangsan")
        await live(page)
        await page.evaluate(COLLECT_TOASTS)

        for number, (blow, title) in enumerate(zip(blows, titles, strict=True)):
            if blow == "restart":
                # Half of them crash: then nobody was told to come again later.
                await asyncio.to_thread(sqlite_server.kill if number % 2 else sqlite_server.stop)
                await asyncio.to_thread(sqlite_server.start)
            else:
                network.sever()
            async with logged_in(sqlite_server.url, "admin") as admin:
                await admin.publish("user:1", title=title)
            if number % 3:  # the others come while it is away still
                await live(page)

        await live(page)
        async with logged_in(sqlite_server.url, "zhangsan") as caller:
            _, counts = await caller.call("GET", "inbox/counts")
        assert counts["unseen"] == len(titles)
        await expect(badge(page)).to_have_accessible_name(
            f"Notifications, {counts['unseen']} new", timeout=15_000
        )
        toasted = Counter(await page.evaluate("window.toasted"))
        await page.get_by_role("link", name="Notifications").click()
        shown = await _titles(page)
    assert shown == titles[::-1]
    assert [toast for toast, times in toasted.items() if times > 1 and "number" in toast] == []


async def _titles(page: Page) -> list[str]:
    """What the list shows from top to bottom, scrolled through."""
    articles = rows(page)
    await expect(articles.first).to_be_visible()
    found: dict[int, str] = {}
    while True:
        for place, text in await articles.evaluate_all(PLACES):
            found[place] = re.search(r"number \d+", text)[0]
        if await page.evaluate(AT_THE_END):
            await expect(page.get_by_text("That is all")).to_be_visible()
            return [found[place] for place in sorted(found)]
        before = await page.evaluate("scrollY")
        await page.mouse.wheel(0, 400)
        await page.wait_for_function("before => scrollY > before", arg=before)
