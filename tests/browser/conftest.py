import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, StorageState

from tests.browser.people import OpenPage
from tests.support.browser import CHROMIUM, Faults, chromium, screenshot
from tests.support.processes import ServerProcess
from tests.support.stage import Caller, logged_in

HERE = Path(__file__).parent
_FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One loop for all tests here, that of the one browser."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One for each worker."""
    if CHROMIUM is None and "CI" not in os.environ:
        pytest.skip("no Chromium on this machine")
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def faults() -> AsyncIterator[Faults]:
    """What went wrong in the pages of the test; at its end nothing may have, but what it allowed."""
    found = Faults()
    yield found
    assert not found.found, "\n".join(["in the page:", *found.found])


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(
    request: pytest.FixtureRequest, browser: Browser, faults: Faults, sqlite_server: ServerProcess
) -> AsyncIterator[OpenPage]:
    """Opens a page of the server, each on a device of its own: nothing is shared with the pages before.

    With a username, that person has logged in there before. Options are those of Playwright's `new_context`. A further tab of the device: `page.context.new_page()`. When the
    test fails, each device leaves a picture.
    """
    pages: list[Page] = []
    async with AsyncExitStack() as stack:

        async def open_page(path: str = "/", username: str | None = None, **options: Any) -> Page:
            kept = username and await _login_kept(sqlite_server.url, username)
            options = {"locale": "en", "storage_state": kept, **options}
            context = await browser.new_context(base_url=sqlite_server.url, **options)
            stack.push_async_callback(context.close)
            faults.watch(context)
            pages.append(await context.new_page())
            await pages[-1].goto(path)
            return pages[-1]

        yield open_page
        if request.node.stash.get(_FAILED, False):
            for number, page in enumerate(pages):
                await screenshot(page, f"failed-{request.node.name}-{number}")


async def _login_kept(url: str, username: str) -> StorageState:
    """What `clients/js/src/login.ts` keeps of a login."""
    async with logged_in(url, username) as caller:
        kept = {
            "access_token": caller.token,
            "refresh_token": caller.refresh_token,
            "renew_at": (time.time() + 60) * 1000,
            "user": caller.user,
        }
    item = {"name": f"notify:{url}:login", "value": json.dumps(kept)}
    return {"origins": [{"origin": url, "localStorage": [item]}]}


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: OpenPage) -> Page:
    return await open_page()


@pytest_asyncio.fixture(loop_scope="session")
async def admin(sqlite_server: ServerProcess) -> AsyncIterator[Caller]:
    """Who publishes what the pages show."""
    async with logged_in(sqlite_server.url, "admin") as caller:
        yield caller
