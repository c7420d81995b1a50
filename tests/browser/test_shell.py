"""The page in a real browser: it loads under its policy, from wherever one comes."""

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import Faults, accessible, log_in
from tests.support.processes import ServerProcess


async def test_the_page_loads_without_a_fault_and_asks_who_one_is(page: Page, sqlite_server: ServerProcess):
    await expect(page).to_have_url(f"{sqlite_server.url}/login")
    await expect(page.get_by_role("button", name="Log in")).to_be_visible()


async def test_the_login_is_accessible(page: Page):
    await expect(page.get_by_role("button", name="Log in")).to_be_visible()
    await accessible(page)


async def test_a_link_into_the_page_leads_to_it_after_the_login(
    open_page, faults: Faults, sqlite_server: ServerProcess
):
    faults.allow("status of 404")  # there is no such task
    page = await open_page("/tasks/17")

    await expect(page).to_have_url(f"{sqlite_server.url}/login?next=/tasks/17")
    await log_in(page, "zhangsan")
    await expect(page).to_have_url(f"{sqlite_server.url}/tasks/17")


async def test_what_is_unknown_below_api_is_no_page(page: Page, faults: Faults):
    faults.allow("404")

    answer = await page.goto("/api/v1/nope")

    assert answer is not None
    assert answer.status == 404
    assert (await answer.json())["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("console.error('a fault of ours')", "a fault of ours"),
        ("setTimeout(() => { throw new Error('thrown') })", "uncaught: .*thrown"),
        ("document.body.append(Object.assign(document.createElement('script'), {text: '1'}))", "script-src"),
        ("document.body.insertAdjacentHTML('beforeend', '<a onclick=\"1\" style=\"color: red\">a</a>')", "onclick|inline"),
        ("new Image().src = 'https://elsewhere.example/a.png'", "img-src"),
        ("fetch('/api/v1/nope')", "404"),
    ],
)  # fmt: skip
async def test_every_kind_of_fault_in_a_page_is_seen(page: Page, faults: Faults, script: str, fault: str):
    await expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert faults.found == []

    async with page.context.expect_event("console" if "thrown" not in script else "weberror"):
        await page.evaluate(f"() => {{ {script} }}")

    assert len(faults.found) >= 1
    faults.allow(fault)
    assert faults.found == []


async def test_what_is_not_accessible_is_named(page: Page):
    await expect(page.get_by_role("button", name="Log in")).to_be_visible()
    await page.evaluate("() => document.querySelector('form').append(new Image())")

    with pytest.raises(AssertionError, match=r"critical image-alt: \['img'\]"):
        await accessible(page)
