"""A page that is kept open while the server gets another build of it."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from tests.browser.people import come_in, toasts
from tests.support.browser import Faults
from tests.support.processes import ROOT, ServerProcess
from tests.support.stage import demo_server

BUILT = ROOT / "clients" / "web" / "dist"
TASKS = re.compile(r"/assets/TasksPage-")
MISSING = "The page could not be opened"


def deploy(folder: Path) -> None:
    """Put another build into the folder: the same page, with other names for all its parts."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(BUILT, folder, ignore=shutil.ignore_patterns("*.br", "*.gz"))
    parts = {path.name: f"next-{path.name}" for path in (folder / "assets").iterdir()}
    for path in [folder / "index.html", *(folder / "assets").iterdir()]:
        text = path.read_text()
        for before, after in parts.items():
            text = text.replace(before, after)
        path.write_text(text)
    for before, after in parts.items():
        (folder / "assets" / before).rename(folder / "assets" / after)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the server's build."""
    return Path(shutil.copytree(BUILT, tmp_path / "dist"))


@pytest_asyncio.fixture(loop_scope="session")
async def sqlite_server(sqlite_demo: Path, tmp_path: Path, root: Path) -> AsyncIterator[ServerProcess]:
    database = shutil.copy(sqlite_demo, tmp_path / "log.db")
    server = demo_server(f"sqlite:///{database}", tmp_path, env={"WEB_ROOT": str(root)})
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


@pytest.fixture
def loads(faults: Faults) -> Callable[[Page], list[str]]:
    """How often a page is loaded from now on."""
    faults.allow(
        "404|ERR_INTERNET_DISCONNECTED|Failed to fetch dynamically|Refused to apply style|Unable to preload"
    )

    def watch(page: Page) -> list[str]:
        found: list[str] = []
        page.on("domcontentloaded", lambda page: found.append(page.url))
        return found

    return watch


async def test_what_the_new_build_has_no_more_is_loaded_with_the_page_where_one_wanted_to_go(
    open_page, root: Path, loads
):
    page = await come_in(open_page, "zhangsan")
    loaded = loads(page)
    deploy(root)

    await page.get_by_role("link", name="Tasks").click()

    await expect(page.get_by_role("heading", name="Tasks", exact=True)).to_be_visible()
    await expect(page).to_have_url(re.compile("/tasks$"))
    assert len(loaded) == 1


async def test_a_part_that_does_not_come_ends_nothing_and_is_asked_for_by_hand(open_page, loads):
    page = await come_in(open_page, "zhangsan")
    loaded = loads(page)
    await page.context.set_offline(True)
    await page.get_by_role("link", name="Tasks").click()
    again = toasts(page, MISSING).get_by_role("button", name="Load again")
    await again.click()
    await expect(again).to_be_visible()
    assert loaded == []

    await page.context.set_offline(False)
    await again.click()
    await expect(page.get_by_role("heading", name="Tasks", exact=True)).to_be_visible()


async def test_a_build_that_comes_back_without_its_parts_is_left_once(open_page, loads):
    page = await come_in(open_page, "zhangsan")
    loaded = loads(page)

    async def gone(route: Route) -> None:
        await route.fulfill(status=404)

    async def another(route: Route) -> None:
        await route.fulfill(body="<script type='module' src='/assets/another.js'></script>")

    await page.route(TASKS, gone)
    await page.route(re.compile(r":\d+/$"), another)
    await page.get_by_role("link", name="Tasks").click()

    await expect(toasts(page, MISSING)).to_be_visible()
    assert len(loaded) == 1
