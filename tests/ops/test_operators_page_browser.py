"""The operator's page in a real browser: followed live, used by keyboard, on a phone, in the dark."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from bridge.lifecycle import Outcome
from bridge.store.database import Database, database_url
from tests.ops.page import TOKEN, Visit, served
from tests.playground.test_page_browser import ARGS, CHROMIUM, PATIENCE
from tests.store.steps import thread

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's package chromium"),
]

NARROW = 360  # pixels
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LONG = "no answer from https://" + "a-very-long-name-without-any-break." * 8
# The text of each element with its colour and the first ground behind it that isn't transparent: the worst contrast.
CONTRAST = """
() => {
  const light = (rgb) => {
    const curve = (one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    const part = rgb.map((one) => curve(one / 255));
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (at) => {
    for (; at; at = at.parentElement) {
      const found = rgb(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  let worst = [21, ""];
  for (const at of document.querySelectorAll("body *")) {
    const own = [...at.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
    if (!own || at.closest("svg, title, script") || !at.getClientRects().length) continue;
    const [a, b] = [light(rgb(getComputedStyle(at).color)), light(ground(at))];
    const found = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (found < worst[0]) worst = [found, at.outerHTML.slice(0, 120)];
  }
  return worst;
}
"""
# Each thing that can be used has a name that a screen reader says.
NAMELESS = """
() => [...document.querySelectorAll("a, button, input:not([type=hidden]), svg[role=img], meter")]
  .filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length))
  .map((one) => one.outerHTML)
"""


@pytest_asyncio.fixture(loop_scope="module")
async def visit(migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[Visit]:
    path = tmp_path / "browser.db"
    shutil.copyfile(migrated_sqlite, path)
    database = Database(database_url(f"sqlite:///{path}"))
    async with database.prepared("replica-1") as engine, served(database, engine) as visit:
        yield visit
    await database.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def signed_in(visit: Visit, browser: Browser, *, width: int) -> AsyncIterator[Page]:
    """By keyboard alone. Nothing may stand in the console in the end but that one had to sign in."""
    context = await browser.new_context(
        viewport={"width": width, "height": 760},
        timezone_id="Asia/Kolkata",
        locale="en-GB",
    )
    page = await context.new_page()
    page.set_default_timeout(PATIENCE)
    complaints: list[str] = []

    def complained(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "401" not in message.text:
            complaints.append(message.text)

    page.on("console", complained)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{visit.url}/ops/")
    await page.keyboard.type(TOKEN)
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name="System").wait_for()
    yield page
    await context.close()
    assert complaints == []


async def test_an_operator_follows_what_happens_and_sends_a_turn_again(visit: Visit, browser: Browser) -> None:
    async with signed_in(visit, browser, width=1280) as page:
        await expect(page.get_by_text("Nothing has failed.")).to_be_visible()
        turn = await visit.asked(1, Outcome.TIMED_OUT, detail=LONG)
        retry = page.get_by_role("button", name=f"Retry the turn {turn}")
        await retry.wait_for()  # without a reload
        await retry.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status").first).to_contain_text("Put in again as a new turn")
        await expect(page.locator("#turn")).to_contain_text("It was sent again already")
        time = page.locator("#turn time").first
        stamp = str(await time.get_attribute("datetime"))
        await expect(time).to_have_attribute("title", f"{stamp[:10]} {stamp[11:19]} UTC")
        await expect(time).not_to_contain_text(stamp[14:19])  # half an hour beside UTC, as the reader's clock is
        assert len(visit.woken) == 1
        await expect(page.locator("#written")).not_to_contain_text("question 1")
        await page.get_by_role("link", name="Show what was written").click()
        await expect(page.locator("#written")).to_contain_text("question 1")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("The operator's token")).to_be_focused()


async def test_each_view_fits_a_phone_and_can_be_read_by_day_and_night(visit: Visit, browser: Browser) -> None:
    failed = await visit.asked(1, Outcome.AGENT_ERROR, detail=LONG)
    await visit.asked(1, address=thread(2))
    await visit.asked(1, Outcome.UNCERTAIN, address=thread(3))
    await visit.asked(1, Outcome.ANSWERED, address=thread(4))
    async with signed_in(visit, browser, width=NARROW) as page:
        for path in ("", "turns", f"turns/{failed}?text=1", "threads", "threads/1", "system"):
            await page.goto(f"{visit.url}/ops/{path}")
            assert await page.evaluate("document.documentElement.scrollWidth") <= NARROW, path
            for scheme in SCHEMES:
                await page.emulate_media(color_scheme=scheme)
                worst, where = await page.evaluate(CONTRAST)
                assert worst >= 4.5, (path, scheme, where)
            assert await page.evaluate(NAMELESS) == [], path
