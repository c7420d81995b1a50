"""What pops up: toasts, what a screen reader is told, the title of the tab, sounds, and the system's notifications."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.people import badge, come_in, connection, live, row, switch, toasts
from tests.support.browser import Faults
from tests.support.stage import Caller


async def hold(page: Page) -> None:
    """Put the pointer on a toast: none of its stack goes meanwhile."""
    await toasts(page).first.hover()


async def test_four_are_shown_and_how_many_more_there_are(open_page, admin: Caller):
    page = await come_in(open_page, "zhangsan")
    await admin.publish("user:1", title="number 0")
    await hold(page)
    for number in range(1, 5):
        await admin.publish("user:1", title=f"number {number}")

    await expect(page.get_by_role("button", name="1 more")).to_be_visible()
    await expect(toasts(page)).to_have_count(4)
    await toasts(page, "number 0").get_by_role("button", name="Close").click()
    await expect(toasts(page, "number 4")).to_be_visible()
    await expect(page.get_by_role("button", name="1 more")).to_have_count(0)


async def test_one_that_comes_under_a_still_pointer_goes_again(open_page, admin: Caller):
    page = await come_in(open_page, "zhangsan")
    await admin.publish("user:1", title="the first")
    await hold(page)
    await toasts(page, "the first").get_by_role("button", name="Close").click()
    await expect(toasts(page)).to_have_count(0)
    await admin.publish("user:1", title="the second")
    await expect(toasts(page, "the second")).to_be_visible()

    await expect(toasts(page, "the second")).to_have_count(0, timeout=10_000)


async def test_a_thread_goes_on_in_its_toast(open_page, admin: Caller):
    page = await come_in(open_page, "zhangsan")
    await admin.publish("user:1", title="first", content="a", thread="case:1")
    await hold(page)
    await admin.publish("user:1", title="second", content="b", thread="case:1")
    await admin.publish("user:1", title="third", content="c", thread="case:1")

    await expect(toasts(page, "third")).to_contain_text("×3")
    await expect(toasts(page)).to_have_count(1)


async def test_many_at_once_become_one_line(open_page, admin: Caller):
    page = await come_in(open_page, "zhangsan")
    many = [{"to": ["user:1"], "title": f"number {number}"} for number in range(30)]
    assert (await admin.call("POST", "notifications/batch", {"notifications": many}))[0] == 200

    await expect(toasts(page, "30 new notifications")).to_be_visible()
    await expect(toasts(page)).to_have_count(1)


async def test_urgent_ones_stay_and_the_keys_close_one_after_the_other(open_page, admin: Caller):
    page = await come_in(open_page, "zhangsan")
    await admin.publish("user:1", title="first alarm", urgent=True)
    await admin.publish("user:1", title="second alarm", urgent=True)
    await admin.publish("user:1", title="by the way")
    await expect(toasts(page, "by the way")).to_be_visible()
    await expect(toasts(page, "by the way")).to_have_count(0, timeout=10_000)
    await expect(toasts(page, "alarm")).to_have_count(2)

    await page.keyboard.press("F8")
    await expect(toasts(page, "second alarm")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(toasts(page, "second alarm")).to_have_count(0)
    await expect(toasts(page, "first alarm")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Escape")
    await expect(toasts(page)).to_have_count(0)


async def test_closing_one_does_not_scroll_the_page(open_page, admin: Caller):
    old = [{"to": ["user:1"], "title": f"old {number}"} for number in range(20)]
    assert (await admin.call("POST", "notifications/batch", {"notifications": old}))[0] == 200
    page = await come_in(open_page, "zhangsan")
    await expect(row(page, "old 19")).to_be_visible()
    await admin.publish("user:1", title="new")

    await toasts(page, "new").get_by_role("button", name="Close").click()
    await expect(toasts(page)).to_have_count(0)
    assert await page.evaluate("() => scrollY") == 0


_BESIDE = """() => {
    const box = (element) => element.getBoundingClientRect()
    const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top
    const panel = [...document.querySelectorAll(".panel")].map(box).find(({ width }) => width > 0)
    const host = document.querySelector("[data-toast]").closest("section").parentElement
    const scrolls = getComputedStyle(host).overflowY === "auto"
    const toasts = [...document.querySelectorAll("[data-toast]")].map(box)
    return scrolls ? apart(box(host), panel) : toasts.every(toast => apart(toast, panel))
}"""
"""Whether no toast lies over the panel that is open."""


NEWS = [
    {"to": ["user:1"], "title": "by the way"},
    {"to": ["user:1"], "title": "an alarm", "urgent": True},
    {"to": ["user:1"], "title": "and another thing"},
]


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (900, 700), (360, 740)])
@pytest.mark.parametrize("panel", ["Notifications", "account and settings"])
async def test_no_toast_lies_over_an_open_panel(
    open_page, admin: Caller, panel: str, width: int, height: int
):
    old = [{"to": ["user:1"], "title": f"old {number}"} for number in range(20)]
    assert (await admin.call("POST", "notifications/batch", {"notifications": old}))[0] == 200
    page = await come_in(open_page, "zhangsan", "/tasks", viewport={"width": width, "height": height})
    await page.get_by_role("banner").get_by_role("button", name=panel).click()
    assert (await admin.call("POST", "notifications/batch", {"notifications": NEWS}))[0] == 200
    await expect(toasts(page)).to_have_count(3)
    await expect(toasts(page, "an alarm")).to_be_in_viewport(ratio=1)
    await toasts(page, "by the way").hover()
    await page.wait_for_function(_BESIDE)


async def test_toasts_move_aside_for_a_panel_in_small_steps(open_page, admin: Caller):
    page = await come_in(open_page, "zhangsan", "/tasks", viewport={"width": 1280, "height": 720})
    await admin.publish("user:1", title="an alarm", urgent=True)
    await toasts(page, "an alarm").hover()
    await page.evaluate(
        """() => {
            const stack = document.querySelector("[data-toast]").closest("section")
            stack.addEventListener("transitionend", (event) => { window.moved ||= event.propertyName === "right" })
        }"""
    )

    await page.get_by_role("banner").get_by_role("button", name="Notifications").click()

    await page.wait_for_function("() => window.moved")
    assert await page.evaluate(_BESIDE)


async def test_nobody_is_told_what_they_did_themselves(open_page, admin: Caller):
    page, other = await come_in(open_page, "admin"), await come_in(open_page, "lisi")
    for title in ("this", "and that"):
        await admin.publish("global", title=title)

    await expect(row(page, "and that")).to_be_visible()
    await expect(toasts(other)).to_have_count(2)
    await expect(toasts(page)).to_have_count(0)


async def test_what_came_during_a_break_is_one_line(open_page, faults: Faults, admin: Caller):
    page = await come_in(open_page, "zhangsan")
    faults.allow("ERR_INTERNET_DISCONNECTED|ERR_CONNECTION|WebSocket connection to .* failed")
    await page.context.set_offline(True)
    await expect(connection(page)).not_to_have_accessible_name(re.compile("Online"), timeout=10_000)
    for number in range(3):
        await admin.publish("user:1", title=f"number {number}")
    await page.context.set_offline(False)

    await live(page)
    await expect(toasts(page, "3 notifications while you were away")).to_be_visible()
    await expect(toasts(page)).to_have_count(1)
    await expect(row(page, "number")).to_have_count(3)


async def test_it_is_said_to_who_listens_and_counted_in_the_title(open_page, admin: Caller):
    page = await come_in(open_page, "zhangsan", "/tasks")
    await expect(page).to_have_title("Tasks · Notification centre")
    await admin.publish("user:1", title="a quiet word", content="it says")
    await expect(page.locator("[aria-live=polite]")).to_have_text("a quiet word: it says")
    await expect(page).to_have_title("(1) Tasks · Notification centre")
    await admin.publish("user:1", title="an alarm", urgent=True)
    await expect(page.get_by_role("alert").filter(has_text="an alarm")).to_have_count(1)
    await expect(page).to_have_title("(2) Tasks · Notification centre")

    await page.get_by_role("link", name="Notifications").click()
    await expect(page).to_have_title("Notifications · Notification centre")
    await expect(badge(page)).to_have_accessible_name("Notifications")


_SPY_ON_SOUNDS = """
    window.notes = 0
    const create = AudioContext.prototype.createOscillator
    AudioContext.prototype.createOscillator = function () { window.notes++; return create.call(this) }
"""


async def test_it_sounds_only_when_that_was_switched_on(open_page, admin: Caller):
    page = await come_in(open_page, "zhangsan")
    await page.context.add_init_script(_SPY_ON_SOUNDS)
    await page.reload()
    await live(page)
    await admin.publish("user:1", title="silent")
    await expect(toasts(page, "silent")).to_be_visible()
    assert await page.evaluate("() => window.notes") == 0

    await switch(page, "Sound")
    await admin.publish("user:1", title="loud")
    await page.wait_for_function("() => window.notes === 2")


_SPY_ON_NOTIFICATIONS = """
    window.asked = 0
    window.shown = []
    window.Notification = class {
        static permission = "default"
        static async requestPermission() { window.asked++; return this.permission = "granted" }
        constructor(title) {
            if (window.Notification.permission === "granted") window.shown.push(Object.assign(this, { title }))
        }
        close() { this.closed = true }
    }
    let hidden = false
    Object.defineProperty(document, "hidden", { get: () => hidden })
    Object.defineProperty(document, "visibilityState", { get: () => hidden ? "hidden" : "visible" })
    window.hide = (is) => { hidden = is; document.dispatchEvent(new Event("visibilitychange")) }
"""


async def test_the_system_notifies_after_an_explanation_and_only_who_does_not_look(open_page, admin: Caller):
    page = await come_in(open_page, "zhangsan")
    await page.context.add_init_script(_SPY_ON_NOTIFICATIONS)
    await page.reload()
    await live(page)

    await page.get_by_role("button", name="account and settings").click()
    desktop = page.get_by_role("switch", name="Desktop notifications")
    await desktop.click()
    explanation = page.get_by_role("dialog", name="Desktop notifications")
    await explanation.get_by_role("button", name="Not now").click()
    await expect(desktop).not_to_be_checked()
    assert await page.evaluate("() => window.asked") == 0
    await desktop.click()
    await explanation.get_by_role("button", name="Continue").click()
    await expect(explanation).to_have_count(0)
    await expect(desktop).to_be_checked()
    await page.keyboard.press("Escape")
    await expect(desktop).to_have_count(0)

    await admin.publish("user:1", title="in sight")
    await expect(toasts(page, "in sight")).to_be_visible()
    await page.evaluate("() => hide(true)")
    await admin.publish("user:1", title="out of sight", link="/tasks")
    await page.wait_for_function("() => window.shown.length > 0")
    assert await page.evaluate("() => window.shown.map(({ title }) => title)") == ["out of sight"]
    await page.evaluate("() => { hide(false); window.shown[0].onclick() }")
    await expect(page).to_have_url(re.compile("/tasks$"))

    await page.evaluate("() => hide(true)")
    taken_back = await admin.publish("user:1", title="taken back")
    await admin.publish("user:1", title="stays")
    await page.wait_for_function("() => window.shown.length === 3")
    await admin.call("DELETE", f"notifications/{taken_back['id']}")
    await page.wait_for_function("() => window.shown[1].closed")
    assert not await page.evaluate("() => window.shown[2].closed")


_AS_ON_A_PHONE = """
    window.Notification = class {
        static permission = "default"
        constructor() { throw new TypeError("Illegal constructor") }
    }
"""


async def test_where_the_system_cannot_notify_the_switch_says_so_and_stays_off(open_page):
    page = await come_in(open_page, "zhangsan")
    await page.context.add_init_script(_AS_ON_A_PHONE)
    await page.reload()
    await live(page)

    await page.get_by_role("button", name="account and settings").click()
    desktop = page.get_by_role("switch", name="Desktop notifications")
    await desktop.click()

    explanation = page.get_by_role("dialog", name="Desktop notifications")
    await expect(explanation).to_contain_text("This browser has no desktop notifications")
    await expect(desktop).not_to_be_checked()
