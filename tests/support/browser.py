"""Chromium as people have it: pages that may have no fault, the login, accessibility and pictures."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    WebError,
    async_playwright,
    expect,
)

from tests.support.processes import ROOT
from tests.support.stage import PASSWORD

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)
SCREENSHOTS = ROOT / "var" / "screenshots"
_AXE = ROOT / "clients" / "web" / "node_modules" / "axe-core" / "axe.min.js"
_MOTION_ENDS = """async () => {
    const frames = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
    const moving = () => document.getAnimations().filter(
        (motion) => motion.playState === "running" && motion.effect.getComputedTiming().endTime !== Infinity
    )
    for (await frames(); moving().length > 0; await frames())
        await Promise.allSettled(moving().map((motion) => motion.finished))
}"""
"""What fades in has colours of its own on the way, which begins two frames after it came into the page."""
_RULES = ("wcag2a", "wcag2aa", "wcag21aa", "wcag22aa")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The system's Chromium, running."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


class Faults:
    """What went wrong in the pages of a test: errors on the console, refusals of the policy, exceptions."""

    def __init__(self) -> None:
        self._seen: list[str] = []
        self._allowed: list[re.Pattern[str]] = []

    def allow(self, pattern: str) -> None:
        """From now on and back to the beginning, these are no faults: a regular expression, found anywhere in one."""
        self._allowed.append(re.compile(pattern))

    def watch(self, context: BrowserContext) -> None:
        """Hear every page of the context, also those that it opens later."""
        context.on("console", self._console)
        context.on("weberror", self._exception)

    @property
    def found(self) -> list[str]:
        return [fault for fault in self._seen if not any(known.search(fault) for known in self._allowed)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._seen.append(f"{message.text} ({message.location['url']})")

    def _exception(self, error: WebError) -> None:
        self._seen.append(f"uncaught: {error.error}")


async def log_in(page: Page, username: str) -> None:
    """Fill in the login that the page shows, and wait until it has let the person in."""
    await page.locator("input[name=username]").fill(username)
    await page.locator("input[name=password]").fill(PASSWORD)
    await page.locator("button[type=submit]").click()
    await expect(page).not_to_have_url(re.compile("/login"))


async def at_rest(page: Page) -> None:
    """Wait until nothing moves any more, and colours are what they will be."""
    await page.evaluate(_MOTION_ENDS)


async def accessible(page: Page) -> None:
    """Fails with a list of what axe-core finds against WCAG 2.2 AA on the page as it is, once nothing moves any more."""
    await at_rest(page)
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(_axe_source())
    options = {"runOnly": {"type": "tag", "values": _RULES}, "resultTypes": ["violations"]}
    found = await page.evaluate("(options) => axe.run(document, options)", options)
    lines = [
        f"{violation['impact']} {violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]
    assert not lines, "\n".join([f"{page.url} is not accessible:", *lines])


@cache
def _axe_source() -> str:
    return _AXE.read_text()


async def screenshot(page: Page, name: str) -> None:
    """Keep a picture of the page, as var/screenshots/<name>.png."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"{name}.png")
