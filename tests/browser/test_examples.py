"""The client in three front ends of other origins: each shows what comes, and what is read in one is read in all."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page, expect

from tests.support.browser import Faults
from tests.support.processes import ROOT, ServerProcess
from tests.support.stage import PASSWORD, demo_server, logged_in

EXAMPLES = ROOT / "clients" / "examples"
FRONT_ENDS = ("plain", "vue", "react")


@pytest_asyncio.fixture(loop_scope="session")
async def pages_url(tmp_path: Path) -> AsyncIterator[str]:
    """Where a web server of its own shows the examples; they are built into the folder later."""
    pages = tmp_path / "pages"
    pages.mkdir()
    application = web.Application()
    application.router.add_static("/", pages)
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest_asyncio.fixture(loop_scope="session")
async def server(sqlite_demo: Path, tmp_path: Path, pages_url: str) -> AsyncIterator[ServerProcess]:
    url = f"sqlite:///{shutil.copy(sqlite_demo, tmp_path / 'log.db')}"
    server = demo_server(url, tmp_path, env={"CORS_ORIGINS": pages_url})
    await asyncio.to_thread(server.start)
    await _build(tmp_path / "pages", server.url)
    yield server
    await asyncio.to_thread(server.stop)


async def _build(folder: Path, server_url: str) -> None:
    vite = await asyncio.create_subprocess_exec(
        *("node", "node_modules/vite/bin/vite.js", "build", "--logLevel", "warn", "--outDir", str(folder)),
        cwd=EXAMPLES,
        env={"PATH": "/usr/bin:/bin", "VITE_SERVER": server_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await vite.communicate()
    assert vite.returncode == 0, output.decode()


async def test_three_front_ends_show_the_same(
    browser: Browser, faults: Faults, server: ServerProcess, pages_url: str
):
    faults.allow("status of 401")  # for the wrong password
    pages: dict[str, Page] = {}
    for name in FRONT_ENDS:
        context = await browser.new_context()
        faults.watch(context)
        pages[name] = await context.new_page()
        await pages[name].goto(f"{pages_url}/{name}.html")
        await _log_in(pages[name])

    async with logged_in(server.url, "admin") as admin:
        for title in ("first", "<b>second</b>"):
            await admin.publish("user:1", title=title)
    for page in pages.values():
        await expect(page.get_by_role("heading", level=1)).to_have_text("2 unread")
        await expect(page.get_by_role("listitem").first).to_contain_text("<b>second</b>")

    await pages["plain"].get_by_role("listitem").filter(has_text="first").get_by_role("button").click()
    for page in pages.values():
        await expect(page.get_by_role("heading", level=1)).to_have_text("1 unread")
    await pages["react"].get_by_role("button", name="Mark all as read").click()
    for page in pages.values():
        await expect(page.get_by_role("heading", level=1)).to_have_text("0 unread")
        await expect(page.get_by_role("button", name="Mark as read")).to_have_count(0)

    for page in pages.values():
        await page.reload()
        await expect(page.get_by_role("status")).to_have_text("live")
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("User name")).to_be_visible()
        await page.context.close()


async def _log_in(page: Page) -> None:
    await page.get_by_label("User name").fill("zhangsan")
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).not_to_be_empty()
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("status")).to_have_text("live")
