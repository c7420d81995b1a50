"""The board of tasks: what people do there, and what the others see of it."""

import re
from typing import Any

from playwright.async_api import Locator, Page, Route, expect

from tests.browser.people import close_toasts, come_in, toasts
from tests.support.browser import Faults
from tests.support.stage import Caller, logged_in


async def task(admin: Caller, title: str, **more: Any) -> str:
    """A new task of project 1."""
    status, made = await admin.call("POST", "tasks", {"project": "1", "title": title, **more})
    assert status == 201, made
    return str(made["id"])


async def submitted(admin: Caller, title: str) -> str:
    """A task that zhangsan has handed in."""
    made = await task(admin, title, assignee="1")
    async with logged_in(admin.url.removesuffix("/api/v1"), "zhangsan") as annotator:
        for action in ("start", "submit"):
            assert (await annotator.call("POST", f"tasks/{made}/{action}"))[0] == 200
    return made


def section(page: Page, name: str) -> Locator:
    """A list of the board."""
    return page.get_by_role("region", name=name)


async def test_who_comes_second_hears_who_was_first(open_page, faults: Faults, admin: Caller):
    made = await submitted(admin, "Contested")
    page = await come_in(open_page, "wangwu", "/tasks")

    async def overtake(route: Route) -> None:
        assert (await admin.call("POST", f"tasks/{made}/reject", {"comment": "blurred"}))[0] == 200
        await route.continue_()

    await page.route(f"**/tasks/{made}/approve", overtake)
    faults.allow("status of 409")
    await page.get_by_role("button", name="Approve: Contested").click()

    conflict = toasts(page, "管理员 was first")
    await expect(conflict).to_contain_text("“Contested” was rejected at")
    await expect(page.get_by_role("button", name="Approve: Contested")).to_have_count(0)


async def test_what_is_settled_leaves_the_queue_of_the_others_within_a_second(open_page, admin: Caller):
    await submitted(admin, "Done once")
    first = await come_in(open_page, "wangwu", "/tasks")
    second = await come_in(open_page, "admin", "/tasks")
    await expect(section(second, "To review").get_by_role("link", name="Done once")).to_be_visible()

    await first.get_by_role("button", name="Approve: Done once").click()

    await expect(section(first, "To review").get_by_role("link", name="Done once")).to_have_count(0)
    await expect(section(second, "To review").get_by_role("link", name="Done once")).to_have_count(
        0, timeout=1000
    )


async def test_who_rejects_says_why_and_who_did_it_reads_that(open_page, admin: Caller):
    await submitted(admin, "Blurred")
    annotator = await come_in(open_page, "zhangsan", "/tasks")
    reviewer = await come_in(open_page, "wangwu", "/tasks")

    await reviewer.get_by_role("button", name="Reject: Blurred").click()
    dialog = reviewer.get_by_role("dialog", name="Reject “Blurred”")
    await dialog.get_by_role("button", name="Reject").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("Please say why")
    await expect(dialog.get_by_role("textbox")).to_be_focused()
    await dialog.get_by_role("textbox").fill("The left half is not sharp.")
    await dialog.get_by_role("button", name="Reject").click()

    await expect(dialog).to_have_count(0)
    await expect(toasts(annotator, "The left half is not sharp.")).to_be_visible()
    await expect(section(annotator, "To revise")).to_contain_text("The left half is not sharp.")
    await expect(section(annotator, "Handed in")).to_have_count(0)


async def test_a_request_to_skip_is_answered(open_page, admin: Caller):
    for title in ("Too dark", "Dark"):
        await task(admin, title, assignee="1")
    annotator = await come_in(open_page, "zhangsan", "/tasks")
    reviewer = await come_in(open_page, "wangwu", "/tasks")
    for title in ("Too dark", "Dark"):
        await annotator.get_by_role("button", name=f"Ask to skip: {title}").click()
        await annotator.get_by_role("dialog").get_by_role("button", name="Ask to skip").click()
    await expect(toasts(reviewer, "“Dark”")).to_be_visible()
    await close_toasts(reviewer)  # they lie over the buttons, and stay under a pointer that comes to them

    await section(reviewer, "Skip requests").get_by_role("button", name="Let it be skipped: Too dark").click()
    await section(reviewer, "Skip requests").get_by_role("button", name="Refuse the skip: Dark").click()
    await reviewer.get_by_role("dialog").get_by_role("button", name="Refuse the skip").click()

    await expect(section(annotator, "Skip requested")).to_have_count(0)
    await expect(section(annotator, "To start").get_by_role("listitem")).to_have_count(1)
    await expect(section(annotator, "To start")).to_contain_text("Dark")
    await annotator.get_by_role("button", name="Skipped").click()
    await expect(section(annotator, "Skipped")).to_contain_text("Too dark")


async def test_a_task_is_given_to_somebody(open_page, admin: Caller):
    await task(admin, "Fresh")
    annotator = await come_in(open_page, "zhangsan", "/tasks")
    await expect(annotator.get_by_text("No tasks right now")).to_be_visible()
    reviewer = await come_in(open_page, "wangwu", "/tasks")

    await reviewer.get_by_role("button", name="Assign: Fresh").click()
    dialog = reviewer.get_by_role("dialog", name="Assign “Fresh” to")
    await dialog.get_by_role("searchbox").fill("zhang")
    await expect(dialog.get_by_role("radio")).to_have_count(1)
    await dialog.get_by_role("radio", name="张三").check()
    await dialog.get_by_role("button", name="Assign").click()

    await expect(section(annotator, "To start")).to_contain_text("Fresh")
    await expect(section(reviewer, "To assign")).not_to_contain_text("Fresh")


_LOOK_BEFORE_THE_FIRST_PAINT = """
    new MutationObserver((_, observer) => {
        if (!document.body) return
        observer.disconnect()
        window.atFirst = [document.documentElement.classList.contains("dark"), document.documentElement.lang]
    }).observe(document, { childList: true, subtree: true })
"""
"""Nothing is painted before there is a body."""


async def test_who_becomes_a_reviewer_sees_the_queue_at_once_and_after_a_reload(open_page, admin: Caller):
    page = await come_in(open_page, "zhangsan", "/tasks")
    await expect(page.get_by_role("group", name="Show")).to_have_count(0)
    assert (await admin.call("PUT", "projects/1/members/1", {"roles": ["reviewer"]}))[0] == 200
    await expect(page.get_by_role("group", name="Show")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("group", name="Show")).to_be_visible()


async def test_language_and_theme_change_at_once_and_are_there_from_the_first_paint_on(open_page):
    page = await come_in(open_page, "zhangsan", "/tasks", color_scheme="light")
    await page.get_by_role("button", name="account and settings").click()
    await page.get_by_role("radio", name="Dark").check(force=True)
    await expect(page.locator("html.dark")).to_have_count(1)
    await page.get_by_role("radio", name="中文").check(force=True)
    await expect(page.get_by_role("heading", level=1)).to_have_text("任务")
    await expect(page).to_have_title("任务 · 通知中心")

    await page.context.add_init_script(_LOOK_BEFORE_THE_FIRST_PAINT)
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("任务")
    assert await page.evaluate("() => window.atFirst") == [True, "zh-CN"]
    await expect(page.locator("html.dark")).to_have_count(1)
    assert re.search(
        "dark", await page.evaluate("() => getComputedStyle(document.documentElement).colorScheme")
    )
