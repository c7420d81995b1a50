"""Every page in every state: accessible, and no wider than its window, in both languages and themes, large and small.

What the documentation shows is kept as pictures; with PICTURES=all, every state in both themes.
"""

import os
import re
from typing import Literal

import pytest
from playwright.async_api import Page, ViewportSize, expect

from tests.browser.people import badge, close_toasts, connection, greeted, live, row, rows, toasts
from tests.support.browser import Faults, accessible, at_rest, log_in, screenshot
from tests.support.processes import ServerProcess
from tests.support.stage import PASSWORD, Caller, logged_in

Theme = Literal["light", "dark"]

DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}
WALKS: list[tuple[str, Theme, ViewportSize]] = [
    ("zh-CN", "light", DESKTOP),
    ("zh-CN", "dark", PHONE),
    ("en", "dark", DESKTOP),
    ("en", "light", PHONE),
]
"""Each two of language, theme and width come together in one of them."""
PICTURES = {"login-en-light", "inbox-en-light", "bell-en-light", "tasks-en-light", "inbox-zh-dark"}
"""Those in docs/web.md. Each costs as much time as all that axe-core looks at."""
ALL = os.environ.get("PICTURES") == "all"

TITLES = {
    "zh-CN": ("路口街景 · 第 12 帧", "停车场夜景 · 第 3 帧", "隧道入口 · 第 8 帧", "雨天高架 · 第 21 帧"),
    "en": ("Crossing, frame 12", "Car park at night, frame 3", "Tunnel, frame 8", "Rain on the bridge, frame 21"),
}  # fmt: skip
COMMENT = {
    "zh-CN": "左下角的行人没有框全，请补上后重新提交。",
    "en": "The person at the lower left is cut off. Please draw the whole figure.",
}
NEWS = {
    "zh-CN": {
        "title": "今晚 22:00 升级",
        "content": "升级约十分钟，期间可以照常标注，连接会自动恢复。",
    },
    "en": {
        "title": "Upgrade tonight at 22:00",
        "content": "It takes some ten minutes. Go on working: the connection comes back by itself.",
    },
}
URGENT = {
    "zh-CN": {"title": "示例项目一：标注规范有变", "content": "被遮挡的车辆从现在起也要标注。"},
    "en": {"title": "Project 1: the rules changed", "content": "From now on, cars that are partly hidden count as well."},
}  # fmt: skip
GUIDE = {
    "zh-CN": {"title": "新的标注指南", "content": "第 3 章补充了夜间场景的例子。"},
    "en": {"title": "A new guide for drawing boxes", "content": "Chapter 3 has examples of scenes at night."},
}

COUNTED_MS = 20_000
"""The numbers on the tabs are asked for anew, and last, when seven notifications come beside three other walks."""


class Walk:
    """Somebody who looks at each state of a page, and notes what is wrong with it."""

    def __init__(self, page: Page, language: str, theme: Theme, viewport: ViewportSize) -> None:
        self.page = page
        self.language = language
        self.theme = theme
        self.size = "-phone" if viewport == PHONE else ""
        self.wrong: list[str] = []

    async def see(self, state: str) -> None:
        try:
            await accessible(self.page)
        except AssertionError as failure:
            self.wrong.append(f"{state}: {failure}")
        for name in await self.page.evaluate(_BEYOND_THE_EDGE):
            self.wrong.append(f"{state}: reaches beyond the window: {name}")
        for theme in ("light", "dark"):
            name = f"{state}-{self.language[:2]}-{theme}{self.size}"
            if ALL or name in PICTURES:
                await self.page.emulate_media(color_scheme=theme)
                await at_rest(self.page)
                await screenshot(self.page, name)
                await self.page.emulate_media(color_scheme=self.theme)


_BEYOND_THE_EDGE = """() => {
    const width = document.documentElement.clientWidth
    const beyond = [...document.querySelectorAll("a, button, input, select, textarea, h1, h2, p, time")].filter(one => {
        const { left, right, width: own } = one.getBoundingClientRect()
        return own > 1 && one.checkVisibility({ visibilityProperty: true }) && (left < -1 || right > width + 1)
    })
    const names = beyond.map(one => `${one.tagName} ${one.className} ${one.textContent.trim().slice(0, 40)}`)
    if (document.scrollingElement.scrollWidth > width) names.push("the page scrolls sideways")
    return names
}"""


@pytest.mark.parametrize(
    ("language", "theme", "viewport"), WALKS, ids=lambda one: one if isinstance(one, str) else one["width"]
)
async def test_every_state_is_accessible_and_fits(
    open_page,
    faults: Faults,
    sqlite_server: ServerProcess,
    language: str,
    theme: Theme,
    viewport: ViewportSize,
):
    page = await open_page(locale=language, color_scheme=theme, viewport=viewport)
    walk = Walk(page, language, theme, viewport)
    faults.allow("status of 401")  # for the wrong password

    await _login(walk)
    async with (
        logged_in(sqlite_server.url, "admin") as admin,
        logged_in(sqlite_server.url, "zhangsan") as annotator,
    ):
        await _toasts(walk, admin)
        await _work(admin, annotator, language)
        await _inbox(walk)
        await _panels(walk)
        await _board(walk, admin)
    assert not walk.wrong, "\n".join(walk.wrong)


async def _login(walk: Walk) -> None:
    page = walk.page
    await expect(page.locator("button[type=submit]")).to_be_enabled()
    await walk.see("login")
    await page.locator("input[name=username]").fill("wangwu")
    await page.locator("input[name=password]").fill(f"not {PASSWORD}")
    await page.locator("button[type=submit]").click()
    await expect(page.get_by_role("alert").filter(has_text=re.compile("."))).to_be_visible()
    await walk.see("login-refused")
    await log_in(page, "wangwu")
    await expect(toasts(page)).to_have_count(1)
    await walk.see("inbox-empty")
    await close_toasts(page)


async def _toasts(walk: Walk, admin: Caller) -> None:
    page, language = walk.page, walk.language
    await admin.publish("project:1", **NEWS[language])
    await admin.publish("global", **GUIDE[language], level="success", link="https://guide.example/")
    await admin.publish("project:1:reviewer", **URGENT[language], urgent=True, level="warning")
    await expect(toasts(page)).to_have_count(3)
    await walk.see("toasts")
    await close_toasts(page)


async def _work(admin: Caller, annotator: Caller, language: str) -> None:
    """One task in each of the states that the board and the inbox show."""
    first, second, third, fourth = TITLES[language]
    for title, steps in (
        (first, ["start", "submit"]),
        (second, ["start", "submit", "reject", "start", "submit"]),
        (third, ["skip"]),
        (fourth, ["start", "submit", "approve"]),
    ):
        body = {"project": "1", "title": title, "assignee": "1"}
        status, task = await admin.call("POST", "tasks", body)
        assert status == 201, task
        for step in steps:
            caller = admin if step in ("reject", "approve") else annotator
            given = {"comment": COMMENT[language]} if step in ("reject", "skip") else {}
            assert (await caller.call("POST", f"tasks/{task['id']}/{step}", given))[0] == 200
    assert (await admin.call("POST", "tasks", {"project": "2", "title": first}))[0] == 201


async def _inbox(walk: Walk) -> None:
    page, language = walk.page, walk.language
    await expect(rows(page)).to_have_count(7)
    await expect(page.get_by_role("tab").first).to_have_text(re.compile("7"), timeout=COUNTED_MS)
    await live(page)
    await close_toasts(page)
    await walk.see("inbox")
    await page.get_by_role("button", name=re.compile("^(Select|选择)$")).click()
    await rows(page).nth(1).get_by_role("checkbox").check()
    await walk.see("inbox-selection")
    await page.get_by_role("button", name=re.compile("^(Cancel|取消)$")).click()
    await row(page, TITLES[language][1]).get_by_role("button", name=re.compile(r"\d in all|共 \d 条")).click()
    await expect(
        page.get_by_role("list", name=re.compile("Earlier|更早")).get_by_role("listitem")
    ).not_to_have_count(0)
    await walk.see("inbox-history")
    await page.get_by_role("searchbox").fill("zebra")
    await page.get_by_role("searchbox").press("Enter")
    await expect(page.get_by_text(re.compile("Nothing matches|没有符合条件的通知"))).to_be_visible()
    await walk.see("inbox-no-match")
    await page.goto("/inbox")


async def _panels(walk: Walk) -> None:
    page = walk.page
    await expect(rows(page)).to_have_count(7)
    await greeted(page)  # with what is new to do
    await live(page)
    await connection(page).click()
    await walk.see("connection")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name=re.compile("account and settings|账号与设置")).click()
    await walk.see("settings")
    await page.get_by_role("switch", name=re.compile("Desktop|桌面通知")).click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await walk.see("desktop")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await page.locator("main").focus()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await walk.see("help")
    await page.keyboard.press("Escape")


async def _board(walk: Walk, admin: Caller) -> None:
    page, language = walk.page, walk.language
    first, second, *_ = TITLES[language]
    await page.get_by_role("link", name=re.compile("^(Tasks|任务)$")).click()
    await expect(page.get_by_role("link", name=second)).to_be_visible()
    await walk.see("tasks")
    await badge(page).click()
    await expect(rows(page)).to_have_count(7)
    await walk.see("bell")
    await page.keyboard.press("Escape")

    await page.get_by_role("button", name=re.compile(f"(Reject|驳回).*{first}")).click()
    await page.get_by_role("dialog").locator("button[type=submit]").click()
    await walk.see("reject")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name=re.compile(f"(Assign|分配).*{first}")).click()
    await expect(page.get_by_role("dialog").get_by_role("radio")).not_to_have_count(0)
    await walk.see("assign")
    await page.keyboard.press("Escape")

    await page.get_by_role("link", name=second).click()
    await expect(page.get_by_role("complementary").get_by_role("listitem")).not_to_have_count(0)
    await walk.see("task")
    await page.get_by_role("button", name=re.compile("Close the task|关闭详情")).click()
    await page.get_by_role("button", name=re.compile("My tasks|我的任务")).click()
    await expect(page.get_by_text(re.compile("No tasks right now|目前没有任务"))).to_be_visible()
    await walk.see("tasks-none")
    assert (await admin.call("POST", "tasks", {"project": "1", "title": first, "assignee": "3"}))[0] == 201
    await expect(page.get_by_role("link", name=first)).to_be_visible()
    await close_toasts(page)
    await walk.see("tasks-mine")
