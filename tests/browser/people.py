"""People at their pages: what a test sees of one, by the names that everybody hears them by."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import Locator, Page, expect

OpenPage = Callable[..., Awaitable[Page]]

COLLECT_TOASTS = """() => {
    window.toasted = [];
    new MutationObserver((changes) => {
        for (const { addedNodes } of changes) for (const node of addedNodes)
            if (node instanceof Element && node.matches("[data-toast]")) window.toasted.push(node.textContent);
    }).observe(document.body, { childList: true, subtree: true });
}"""
"""From now on, `window.toasted` has the text of each toast that comes."""


def badge(page: Page) -> Locator:
    """The bell; its name says how much is new."""
    return page.get_by_role("banner").get_by_role("button", name=re.compile("^Notifications|^通知"))


def rows(page: Page) -> Locator:
    """The rows of the list."""
    return page.get_by_role("feed").get_by_role("article")


def row(page: Page, text: str) -> Locator:
    return rows(page).filter(has_text=text)


def toasts(page: Page, text: str | re.Pattern[str] = "") -> Locator:
    """Toasts that are shown, normal or urgent."""
    return page.locator("[data-toast]").filter(has_text=text)


async def greeted(page: Page) -> None:
    """Wait for the toast that greets, and close it: it lies over what is in its corner."""
    await expect(toasts(page)).not_to_have_count(0)
    await close_toasts(page)


async def close_toasts(page: Page) -> None:
    """Close all there are by now."""
    while await toasts(page).count():
        await page.keyboard.press("F8")
        await page.keyboard.press("Escape")


def connection(page: Page) -> Locator:
    return page.get_by_role("button", name=re.compile("^Connection|^连接状态"))


async def live(page: Page) -> None:
    """Wait until the page is connected and has measured how well."""
    await expect(connection(page)).to_have_accessible_name(
        re.compile(r"(Online|在线).* \d+ (ms|毫秒)"), timeout=15_000
    )


async def come_in(open_page: OpenPage, username: str, path: str = "/", **options: Any) -> Page:
    """A page of somebody who has logged in before, and is connected."""
    page = await open_page(path, username, **options)
    await live(page)
    await page.mouse.move(0, 0)
    return page


async def switch(page: Page, name: str) -> None:
    """Press a switch of the settings."""
    await page.get_by_role("button", name="account and settings").click()
    await page.get_by_role("switch", name=name).click()
    await page.keyboard.press("Escape")
