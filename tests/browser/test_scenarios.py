"""The six scenarios the system is measured by, as people see them: in pages, with their buttons.

The third, a rejection that is followed by a revision, is the end of the second here.
"""

import asyncio
import re

from playwright.async_api import expect

from tests.browser.people import COLLECT_TOASTS, badge, connection, greeted, live, row, rows, toasts
from tests.support.browser import Faults, log_in
from tests.support.processes import ServerProcess
from tests.support.stage import Caller, logged_in


async def assigned(reviewer: Caller, title: str) -> str:
    """A task of project 1 that zhangsan has."""
    body = {"project": "1", "title": title, "assignee": "1"}
    status, task = await reviewer.call("POST", "tasks", body)
    assert status == 201, task
    return str(task["id"])


async def test_scenario_1_who_reviews_hears_of_work_and_who_did_it_of_the_verdict(
    open_page, sqlite_server: ServerProcess
):
    async with logged_in(sqlite_server.url, "wangwu") as reviewer:
        await assigned(reviewer, "First picture")
    annotators, reviewers = await open_page("/tasks"), await open_page("/tasks")
    await log_in(annotators, "zhangsan")
    await log_in(reviewers, "wangwu")
    await asyncio.gather(greeted(annotators), greeted(reviewers))
    await live(reviewers)

    await annotators.get_by_role("button", name="Start: First picture").click()
    await annotators.get_by_role("button", name="Submit: First picture").click()

    await expect(toasts(reviewers, "First picture")).to_be_visible()
    await expect(badge(reviewers)).to_have_accessible_name(re.compile("one new"))
    await expect(reviewers).to_have_title(re.compile(r"^\(1\) "))
    await reviewers.get_by_role("button", name="Approve: First picture").click()

    await expect(toasts(annotators, "Approved")).to_contain_text("First picture")
    await expect(toasts(reviewers, "Approved")).to_have_count(0)  # nobody is told what they did themselves
    await reviewers.get_by_role("link", name="Notifications").click()
    await expect(row(reviewers, "First picture")).to_contain_text("Done by 王五")


async def test_scenario_2_who_comes_back_is_greeted_with_what_waits(open_page, sqlite_server: ServerProcess):
    async with (
        logged_in(sqlite_server.url, "wangwu") as reviewer,
        logged_in(sqlite_server.url, "zhangsan") as annotator,
    ):
        task = await assigned(reviewer, "第一张图")
        for caller, action in ((annotator, "start"), (annotator, "submit"), (reviewer, "reject")):
            body = {"comment": "左上角模糊"} if action == "reject" else {}
            assert (await caller.call("POST", f"tasks/{task}/{action}", body))[0] == 200
    page = await open_page(locale="zh-CN")
    await log_in(page, "zhangsan")

    await expect(toasts(page, "登录成功 · 欢迎回来，张三")).to_be_visible()
    urgent = page.get_by_role("region", name="紧急提示").locator("[data-toast]")
    await expect(urgent).to_contain_text("您有 1 个被驳回任务，建议请您先修订")
    box = await urgent.bounding_box()
    size = page.viewport_size
    assert box is not None
    assert size is not None
    assert box["x"] + box["width"] > size["width"] * 0.9, "at the right"
    assert box["y"] + box["height"] > size["height"] * 0.8, "at the bottom"

    await page.reload()
    await expect(rows(page).first).to_contain_text("左上角模糊")
    await expect(toasts(page, "欢迎回来")).to_have_count(0)
    await page.get_by_role("link", name="任务", exact=True).click()
    await page.get_by_role("button", name="开始修订「第一张图」").click()
    await expect(page.get_by_role("button", name="提交审核「第一张图」")).to_be_visible()


async def test_scenario_4_the_latency_is_measured_again_and_again(open_page):
    page = await open_page()
    await log_in(page, "zhangsan")
    await live(page)

    await connection(page).click()
    details = page.get_by_role("group", name="Connection")
    await expect(details).to_contain_text("WebSocket")
    await expect(
        details.get_by_role("img", name=re.compile("Latency of the last [3-9] heartbeats"))
    ).to_be_visible(timeout=10_000)


async def test_scenario_5_a_restart_of_the_server_loses_nothing(
    open_page, faults: Faults, sqlite_server: ServerProcess
):
    page = await open_page()
    await log_in(page, "zhangsan")
    await live(page)
    faults.allow(
        "ERR_CONNECTION_REFUSED|WebSocket connection to .* failed|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET"
    )

    await asyncio.to_thread(sqlite_server.kill)
    await expect(page.get_by_text("The connection to the server broke")).to_be_visible(timeout=10_000)
    await asyncio.to_thread(sqlite_server.start)
    async with logged_in(sqlite_server.url, "admin") as admin:
        await admin.publish("user:1", title="sent while it was away")

    await live(page)
    await expect(row(page, "sent while it was away")).to_have_count(1)
    await expect(page.get_by_text("Connected again")).to_be_visible()
    await expect(page.get_by_text("The connection to the server broke")).to_have_count(0)


async def test_scenario_6_two_tabs_and_two_devices_show_the_same(open_page, sqlite_server: ServerProcess):
    here, there = await open_page(), await open_page()
    for page in (here, there):
        await log_in(page, "zhangsan")
    tab = await here.context.new_page()
    await tab.goto("/inbox")
    pages = (here, there, tab)
    for page in pages:
        await live(page)
        await page.evaluate(COLLECT_TOASTS)
    async with logged_in(sqlite_server.url, "admin") as admin:
        await admin.publish("user:1", "role:annotator", "global", title="to everybody")

    for page in pages:
        await expect(row(page, "to everybody")).to_have_count(1)
        await expect(page.get_by_role("tab", name=re.compile("Unread"))).to_contain_text("1")
    await tab.wait_for_function(
        "() => window.toasted.some((text) => text.includes('to everybody'))"
    )  # in the tab that was looked at last

    await there.bring_to_front()
    await row(there, "to everybody").hover()
    await row(there, "to everybody").get_by_role("button", name="Mark as read").click()
    for page in pages:
        await expect(row(page, "to everybody").get_by_title("Unread", exact=True)).to_have_count(0)
        await expect(page.get_by_role("tab", name=re.compile("Unread"))).not_to_contain_text("1")
    toasted = [toast for page in (here, tab) for toast in await page.evaluate("window.toasted")]
    assert ["to everybody" in toast for toast in toasted].count(True) == 1, "one toast for a device"
