"""The page in a real browser: what it loads, how soon it can be used, and how it bears long lists and bursts.

The page is the same over either database, so that one of them is enough.
"""

import asyncio
import json
import statistics
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Page, Response, expect

from benchmarks.stands import Stand
from tests.support.browser import chromium, log_in
from tests.support.processes import ROOT
from tests.support.stage import Caller, logged_in

STAND = "SQLite"
PERSON, ROOM = "zhangsan", "user:1"
ITEMS, BATCH = 10_000, 100
BURST = 200

SCRIPT = "page: script of the first load, kB gzip"
INTERACTIVE = "page: until interactive, ms"
IDLE = f"page: {ITEMS:,} items, nothing happens"
SCROLL = f"page: {ITEMS:,} items scrolled from top to bottom"
ARRIVALS = f"page: {ITEMS:,} items, {BURST} more in a second"
TOASTS = f"page: {BURST} in a second, toasts in the end"

_DIST = ROOT / "clients" / "web" / "dist"
_TRACED = ("toplevel", "disabled-by-default-devtools.timeline")
_ROW = "[role=feed] article"
_OBSERVE = f"""
    window.interactive = new Promise((resolve) => {{
        new MutationObserver((_, observer) => {{
            if (!document.querySelector("{_ROW}")) return;
            observer.disconnect();
            requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
        }}).observe(document, {{ subtree: true, childList: true }});
    }});
"""
"""A row is in the page, it is painted, and the next input would be heard."""
_LOAD = f"""async (wanted) => {{
    for (;;) {{
        const last = [...document.querySelectorAll("{_ROW}")].at(-1);
        if (Number(last?.ariaPosInSet) >= wanted) break;
        scrollTo(0, document.documentElement.scrollHeight);
        await new Promise(requestAnimationFrame);
    }}
    scrollTo(0, 0);
}}"""
_FRAMES = """() => {
    window.frames = { longest: 0, last: performance.now() };
    const frame = (now) => {
        frames.longest = Math.max(frames.longest, now - frames.last);
        frames.last = now;
        frames.next = requestAnimationFrame(frame);
    };
    frames.next = requestAnimationFrame((now) => { frames.last = now; frames.next = requestAnimationFrame(frame); });
}"""
_LONGEST_FRAME = "() => { cancelAnimationFrame(frames.next); return frames.longest; }"
_IDLE = "(ms) => new Promise((resolve) => setTimeout(resolve, ms))"
_SCROLL = """(ms) => new Promise((resolve) => {
    const began = performance.now();
    const step = (now) => {
        const part = Math.min(1, (now - began) / ms);
        scrollTo(0, part * (document.documentElement.scrollHeight - innerHeight));
        if (part < 1) requestAnimationFrame(step);
        else resolve();
    };
    requestAnimationFrame(step);
})"""
_SCROLL_MS, _IDLE_MS = 3_000, 1_000


def measure(stand: Stand, times: float) -> dict[str, float]:
    """Medians of so many repetitions of each."""
    if stand.name != STAND:
        return {}
    return asyncio.run(_measure(stand.server.url, max(1, round(times))))


async def _measure(url: str, times: int) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    async with logged_in(url, "admin") as admin, chromium() as browser:
        await _fill(admin)
        context = await browser.new_context(
            base_url=url, locale="en", viewport={"width": 1280, "height": 800}
        )
        page = await context.new_page()
        await page.goto("/login")
        await log_in(page, PERSON)
        await page.close()
        for _ in range(times):
            _add(values, await _first_load(context))
        page = await context.new_page()
        await page.goto("/inbox")
        async with asyncio.timeout(120):
            await page.evaluate(_LOAD, ITEMS)
        for _ in range(times):
            _add(values, await _moments(browser, page, admin))
    return {name: statistics.median(measured) for name, measured in values.items()}


def _add(values: dict[str, list[float]], measured: dict[str, float]) -> None:
    for name, value in measured.items():
        values[name].append(value)


async def _fill(admin: Caller) -> None:
    """A list of rows that differ in height."""
    for first in range(0, ITEMS, BATCH):
        entries = [_notification(first + number) for number in range(BATCH)]
        status, answer = await admin.call("POST", "notifications/batch", {"notifications": entries})
        if status != 200:
            raise RuntimeError(f"{BATCH} notifications were answered with {status}: {answer}")


def _notification(number: int) -> dict[str, Any]:
    return {
        "to": [ROOM],
        "type": "task.submitted",
        "level": ("info", "success", "warning", "error")[number % 4],
        "title": f"Task {number} awaits review",
        "content": "What was done, in so many words. " * (number % 7),
        "link": f"/tasks/{number}",
    }


async def _first_load(context: BrowserContext) -> dict[str, float]:
    """With a cold cache and a login that was kept."""
    page = await context.new_page()
    scripts: list[Response] = []
    page.on("response", lambda response: _is_script(response) and scripts.append(response))
    session = await context.new_cdp_session(page)
    await session.send("Network.clearBrowserCache")
    await page.add_init_script(_OBSERVE)
    await page.goto("/inbox")
    ms = await page.evaluate("() => interactive")
    await page.close()
    return {SCRIPT: sum(map(_gzip_bytes, scripts)) / 1e3, INTERACTIVE: ms}


def _is_script(response: Response) -> bool:
    return response.request.resource_type == "script"


def _gzip_bytes(response: Response) -> int:
    """Of the file as it lies compressed beside it; what is too small for that goes as it is."""
    path = _DIST / urlsplit(response.url).path.lstrip("/")
    compressed = path.with_name(f"{path.name}.gz")
    return (compressed if compressed.exists() else path).stat().st_size


async def _moments(browser: Browser, page: Page, admin: Caller) -> dict[str, float]:
    values: dict[str, float] = {}
    async with _watched(browser, page, IDLE, values):
        await page.evaluate(_IDLE, _IDLE_MS)
    async with _watched(browser, page, SCROLL, values):
        await page.evaluate(_SCROLL, _SCROLL_MS)
    await page.evaluate("() => scrollTo(0, 0)")
    toasts = page.locator("[data-toast]")
    await expect(toasts).to_have_count(0, timeout=10_000)
    async with _watched(browser, page, ARRIVALS, values):
        await _burst(admin)
        await expect(toasts.filter(has_text=str(BURST))).to_have_count(1, timeout=10_000)
    return {**values, TOASTS: await toasts.count()}


async def _burst(admin: Caller) -> None:
    """Publish one by one, evenly over a second."""
    async with asyncio.TaskGroup() as publishing:
        for number in range(BURST):
            publishing.create_task(admin.publish(ROOM, title=f"Task {number} is back", level="success"))
            await asyncio.sleep(1 / BURST)


@asynccontextmanager
async def _watched(browser: Browser, page: Page, name: str, values: dict[str, float]) -> AsyncIterator[None]:
    """Adds the longest frame, and the longest task: by the clock, and by the processor time that it had."""
    await browser.start_tracing(page=page, categories=list(_TRACED))
    await page.evaluate(_FRAMES)
    yield
    values[f"{name}, longest frame ms"] = await page.evaluate(_LONGEST_FRAME)
    events = json.loads(await browser.stop_tracing())["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        event
        for event in events
        if event["name"].endswith("RunTask") and (event["pid"], event["tid"]) in threads
    ]
    values[f"{name}, longest task ms"] = max(task.get("dur", 0) for task in tasks) / 1e3
    values[f"{name}, longest task CPU ms"] = max(task.get("tdur", 0) for task in tasks) / 1e3
