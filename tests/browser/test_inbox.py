"""The inbox as somebody works through it: filters, marks, a long list, threads, links, and the keys."""

import re

from playwright.async_api import Page, Route, expect

from tests.browser.people import badge, come_in, row, rows, switch, toasts
from tests.support.browser import log_in
from tests.support.stage import Caller

THREAD = "case:1"


async def counted(page: Page, **numbers: int) -> None:
    """Wait until the tabs say these numbers; 0 is not said."""
    for name, number in numbers.items():
        wanted = name.replace("_", " ").capitalize()
        text = f"{wanted}{number}" if number else wanted
        await expect(page.get_by_role("tab", name=re.compile(f"^{wanted}"))).to_have_text(
            re.compile(rf"^\s*{text}\s*$")
        )


async def unread(page: Page, *titles: str) -> None:
    """Wait until exactly the rows with these titles are marked as unread."""
    dotted = rows(page).filter(has=page.get_by_title("Unread", exact=True))
    await expect(dotted).to_have_count(len(titles))
    for title in titles:
        await expect(dotted.filter(has_text=title)).to_have_count(1)


async def test_tabs_and_filters_stand_in_the_address_and_the_way_back_leads_through_them(
    open_page, admin: Caller
):
    await admin.publish("user:1", title="plain")
    await admin.publish("project:1", title="of the project", level="warning")
    await admin.publish("project:2", title="of the other project", level="warning")
    await admin.publish("user:1", title="to be done", thread=THREAD)
    page = await come_in(open_page, "zhangsan")
    await counted(page, all=4, unread=4, to_do=1, archived=0)

    await page.get_by_role("tab", name=re.compile("^Unread")).click()
    await expect(page).to_have_url(re.compile(r"/inbox\?tab=unread$"))
    await page.get_by_label("Level").select_option("warning")
    await expect(page).to_have_url(re.compile(r"\?tab=unread&level=warning$"))
    await expect(rows(page)).to_have_count(2)
    await page.go_back()
    await expect(page).to_have_url(re.compile(r"\?tab=unread$"))
    await expect(rows(page)).to_have_count(4)
    await page.go_forward()
    await page.reload()
    await expect(rows(page)).to_have_count(2)
    await expect(page.get_by_label("Level")).to_have_value("warning")

    await page.get_by_role("button", name="Clear filters").click()
    await page.get_by_role("tab", name=re.compile("^To do")).click()
    await expect(rows(page)).to_have_count(1)
    await expect(row(page, "to be done")).to_be_visible()
    search = page.get_by_role("searchbox")
    await search.fill("is:unread project:1 the")
    await search.press("Enter")
    await expect(page).to_have_url(re.compile(r"\?tab=unread&project=1&q=the$"))
    await expect(search).to_have_value("the")
    await expect(rows(page)).to_have_count(1)
    await expect(row(page, "of the project")).to_be_visible()


async def test_one_is_read_and_archived_and_put_back(open_page, admin: Caller):
    await admin.publish("user:1", title="the first")
    await admin.publish("user:1", title="the second")
    page = await come_in(open_page, "zhangsan")
    await unread(page, "the first", "the second")

    await row(page, "the first").hover()
    await row(page, "the first").get_by_role("button", name="Mark as read").click()
    await unread(page, "the second")
    await counted(page, unread=1)
    await row(page, "the first").get_by_role("button", name="Mark as unread").click()
    await unread(page, "the first", "the second")
    await row(page, "the first").get_by_role("button", name="Archive").click()
    await expect(row(page, "the first")).to_have_count(0)
    await toasts(page, "Archived").hover()
    await counted(page, all=1, unread=1, archived=1)
    await toasts(page, "Archived").get_by_role("button", name="Undo").click()
    await counted(page, all=2, unread=2, archived=0)
    await expect(toasts(page, "Archived")).to_have_count(0)
    await row(page, "the first").hover()
    await row(page, "the first").get_by_role("button", name="Archive").click()
    await toasts(page, "Archived").get_by_role("button", name="Close").click()
    await counted(page, all=1, unread=1, archived=1)

    await page.get_by_role("tab", name=re.compile("^Archived")).click()
    await row(page, "the first").hover()
    await row(page, "the first").get_by_role("button", name="Move back to inbox").click()
    await expect(page.get_by_text("Nothing archived")).to_be_visible()
    await page.get_by_role("tab", name=re.compile("^All")).click()
    await expect(rows(page)).to_have_count(2)
    await page.reload()
    await expect(rows(page)).to_have_count(2)


async def test_what_is_undone_is_never_sent_and_what_is_not_is(open_page, admin: Caller):
    for title in ("one", "two", "three"):
        await admin.publish("user:1", title=title)
    page = await come_in(open_page, "zhangsan")
    await unread(page, "one", "two", "three")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/inbox/read" in request.url else None)

    await page.get_by_role("button", name="Mark all as read").click()
    await unread(page)
    await counted(page, unread=0)
    await toasts(page, "All marked as read").get_by_role("button", name="Undo").click()
    await unread(page, "one", "two", "three")
    await counted(page, unread=3)
    await row(page, "one").hover()
    async with page.expect_response(
        lambda response: "/inbox/" in response.url and response.request.method != "GET"
    ):
        await row(page, "one").get_by_role("button", name="Mark as read").click()
    await unread(page, "two", "three")
    assert len(sent) == 1, "marks are sent in order: the one that was undone would have come first"

    async with page.expect_response(re.compile("/inbox/read")):
        await page.get_by_role("button", name="Mark all as read").click()
        await toasts(page, "All marked as read").get_by_role("button", name="Close").click()
    await page.reload()
    await expect(rows(page)).to_have_count(3)
    await unread(page)


async def test_several_are_chosen_with_the_mouse(open_page, admin: Caller):
    for number in range(5):
        await admin.publish("user:1", title=f"number {number}")
    page = await come_in(open_page, "zhangsan")
    await expect(rows(page)).to_have_count(5)

    await page.get_by_role("button", name="Select", exact=True).click()
    await row(page, "number 3").get_by_role("checkbox").click()
    await row(page, "number 1").get_by_role("checkbox").click(modifiers=["Shift"])
    bar = page.get_by_role("toolbar")
    await expect(bar).to_contain_text("3 selected")
    await bar.get_by_role("button", name="Mark as read").click()
    await unread(page, "number 0", "number 4")
    await expect(bar).to_have_count(0)
    await toasts(page, "3 marked as read").get_by_role("button", name="Undo").click()
    await expect(rows(page).filter(has=page.get_by_title("Unread", exact=True))).to_have_count(5)


_SCROLL_TO_THE_END = """async () => {
    const places = {}
    for (let frame = 0; frame < 3000; frame++) {
        for (const row of document.querySelectorAll("[role=feed] article")) {
            (places[row.dataset.key] ??= new Set()).add(row.getAttribute("aria-posinset"))
        }
        const atEnd = scrollY + innerHeight >= document.documentElement.scrollHeight - 2
        if (atEnd && document.body.textContent.includes("That is all")) break
        scrollBy(0, 300)
        await new Promise(requestAnimationFrame)
    }
    return Object.values(places).map(all => [...all].map(Number))
}"""
"""The places at which each row of the list was seen on the way."""


async def test_a_long_list_is_scrolled_while_more_arrives_and_nothing_moves_or_comes_twice(
    open_page, admin: Caller
):
    old = [{"to": ["user:1"], "title": f"old {number}"} for number in range(170)]
    assert (await admin.call("POST", "notifications/batch", {"notifications": old}))[0] == 200
    page = await come_in(open_page, "zhangsan")
    await expect(rows(page).first).to_contain_text("old 169")
    await page.mouse.move(600, 500)
    await page.mouse.wheel(0, 900)
    await expect(row(page, "old 160")).to_be_in_viewport()
    before = await row(page, "old 160").bounding_box()

    for number in range(2):
        await admin.publish("user:1", title=f"new {number}")
    pill = page.get_by_role("button", name="2 new", exact=True)
    await expect(pill).to_be_visible()
    await expect(rows(page).filter(has_text="new")).to_have_count(0)
    assert await row(page, "old 160").bounding_box() == before, "nothing moves under who reads"

    places = await page.evaluate(_SCROLL_TO_THE_END)
    seen = sorted(place for row_places in places for place in row_places)
    assert seen[-160:] == list(range(11, 171)), "from where the page was scrolled to"
    assert len(seen) == len(places) == len(set(seen)), "each row at one place, and each place with one row"

    await pill.click()
    await expect(rows(page).first).to_contain_text("new 1")
    await expect(rows(page).first).to_be_in_viewport()
    await expect(pill).to_have_count(0)


async def test_a_thread_is_one_row_that_goes_on_with_its_history_until_it_is_done(open_page, admin: Caller):
    await admin.publish("user:1", title="asked", thread=THREAD)
    await admin.publish("user:1", title="something else")
    page = await come_in(open_page, "zhangsan")
    await expect(rows(page).first).to_contain_text("something else")

    await admin.publish("user:1", title="asked again", thread=THREAD)
    await expect(rows(page).first).to_contain_text("asked again")
    await expect(rows(page)).to_have_count(2)
    await rows(page).first.get_by_role("button", name="2 in all").click()
    history = rows(page).first.get_by_role("list", name="Earlier messages")
    await expect(history.get_by_role("listitem")).to_have_count(1)
    await expect(history).to_contain_text("asked")
    await counted(page, to_do=1)

    await admin.publish("user:1", title="answered", thread=THREAD, settles=True)
    await expect(row(page, "answered")).to_contain_text("Done by 管理员")
    await expect(history.get_by_role("listitem")).to_have_count(2)
    await counted(page, to_do=0)


async def test_what_is_said_is_text_and_leads_only_where_the_web_does(open_page, admin: Caller):
    await admin.publish("user:1", title="<img src=x onerror=alert(1)>", content="<b>bold</b>")
    await admin.publish("user:1", title="outside", link="https://elsewhere.example/17")
    await admin.publish("user:1", title="a trap", link="https://elsewhere.example/trap")

    async def set_the_trap(route: Route) -> None:
        """The server takes no such link; a page trusts nobody."""
        answer = await route.fetch()
        text = (await answer.text()).replace("https://elsewhere.example/trap", "javascript:alert(1)")
        await route.fulfill(response=answer, body=text)

    page = await open_page()
    await page.context.route(re.compile(r"/api/v1/inbox\?"), set_the_trap)
    await page.context.route("https://elsewhere.example/**", lambda route: route.fulfill(body="elsewhere"))
    await log_in(page, "zhangsan")
    await expect(row(page, "<img src=x onerror=alert(1)>")).to_contain_text("<b>bold</b>")
    await expect(page.locator("article img, article b")).to_have_count(0)
    await expect(row(page, "a trap").get_by_role("link")).to_have_count(0)
    await row(page, "a trap").click()
    await expect(page).to_have_url(re.compile("/inbox$"))

    link = row(page, "outside").get_by_role("link")
    await expect(link).to_have_accessible_name(re.compile("opens in a new tab"))
    async with page.context.expect_page() as opened:
        await link.click()
    other = await opened.value
    await expect(other).to_have_url("https://elsewhere.example/17")
    assert await other.evaluate("() => window.opener") is None
    await expect(row(page, "outside").get_by_title("Unread", exact=True)).to_have_count(0)
    await page.context.unroute_all(behavior="wait")


async def test_everything_can_be_done_by_keys(open_page, admin: Caller):
    await admin.publish("user:1", title="third", link="/tasks")
    for title in ("second", "first"):
        await admin.publish("user:1", title=title)
    page = await come_in(open_page, "zhangsan")
    press = page.keyboard.press
    await expect(rows(page)).to_have_count(3)

    for key, title in (
        ("j", "first"),
        ("j", "second"),
        ("ArrowDown", "third"),
        ("k", "second"),
        ("ArrowUp", "first"),
    ):
        await press(key)
        await expect(row(page, title)).to_be_focused()
    await press("r")
    await unread(page, "second", "third")
    await press("r")
    await unread(page, "first", "second", "third")
    await press("e")
    await expect(row(page, "first")).to_have_count(0)
    await expect(row(page, "second")).to_be_focused()
    await press("F8")
    await expect(toasts(page, "Archived")).to_be_focused()
    await press("Escape")
    await expect(toasts(page)).to_have_count(0)
    await expect(row(page, "second")).to_be_focused()

    await press("?")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    await press("r")
    await press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await unread(page, "second", "third")
    await press("End")
    await expect(row(page, "third")).to_be_focused()
    await press("Enter")
    await expect(page).to_have_url(re.compile("/tasks$"))
    await badge(page).press("Enter")
    await expect(page.get_by_role("dialog", name="Notifications")).to_be_focused()
    await unread(page, "second")
    await press("Shift+A")
    await unread(page)
    await press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(badge(page)).to_be_focused()


async def test_single_letters_can_be_switched_off(open_page, admin: Caller):
    for title in ("second", "first"):
        await admin.publish("user:1", title=title)
    page = await come_in(open_page, "zhangsan")
    await expect(rows(page)).to_have_count(2)
    await switch(page, "Keyboard shortcuts")

    await rows(page).first.focus()
    for key in ("j", "r", "e", "Shift+A", "?"):
        await page.keyboard.press(key)
    await expect(row(page, "first")).to_be_focused()
    await unread(page, "first", "second")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("ArrowDown")
    await expect(row(page, "second")).to_be_focused()
