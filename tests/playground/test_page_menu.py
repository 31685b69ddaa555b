"""A newcomer types a slash: the commands are there, and so are their fields and forms."""

from __future__ import annotations

import pytest
from playwright.async_api import FilePayload, Page, expect

from bridge.playground.demo import Playground
from tests.playground.test_page_browser import CHROMIUM, browser, go_to, on_both, page, served

__all__ = ["browser", "page", "served"]  # fixtures

NOTES: FilePayload = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"buy milk"}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's package chromium"),
]


async def upload_by_slash(_: Playground, page: Page, platform: str) -> None:
    """By keyboard alone, up to the file."""
    window = await go_to(page, platform, "openai")
    text = window.locator(".pane.main textarea")
    await text.press_sequentially("/up")
    await expect(window.locator(".pane.main .commands [role=option]")).to_have_count(1)
    await text.press("Enter")
    if platform == "slack":
        await expect(text).to_have_value("/agent upload ")
        await text.press("Enter")
        form = page.locator("dialog.slack")
    else:
        form = window.locator(".pane.main .options")
    await form.locator("input[type=file]").set_input_files(NOTES)
    await form.locator(".go").click()
    thread = window.locator(".pane.thread")
    await expect(thread.locator(".message", has_text="buy milk")).to_be_visible()
    await expect(form).to_be_hidden()
    reply = thread.locator("textarea")
    await reply.fill("/sta")
    await expect(thread.locator(".commands [role=option]")).to_have_count(1)
    await reply.press("Enter")
    answer = thread.locator(".message.only-you", has_text="answers here")
    if platform == "slack":
        await expect(answer).to_be_visible()
    else:
        await expect(thread.locator(".message", has_text="answers here")).to_be_visible()
    await expect(page.locator(".tally.kept")).to_be_visible()


test_upload_and_status_by_slash = on_both(upload_by_slash)


async def ask_about_a_message(served: Playground, page: Page, platform: str) -> None:
    """From the menu of what somebody else wrote."""
    window = await go_to(page, platform, "openai")
    world = served.slack if platform == "slack" else served.discord
    await world.say("grace", "openai", "Bananas are berries.")
    message = window.locator(".pane.main .message", has_text="Bananas are berries.").first
    await message.hover()
    await message.locator(".more summary").click()
    await message.locator(".more button", has_text="Ask about").click()
    form = page.locator(f"dialog.{platform}")
    await form.locator("textarea").fill("Is that so?")
    await form.locator(".go").click()
    await expect(form).to_be_hidden()
    reply = window.locator(".pane.thread .message", has_text="You asked").last
    await expect(reply).to_contain_text("Is that so?")
    await expect(reply).to_contain_text("Bananas are berries.")
    await expect(page.locator(".tally.kept")).to_be_visible()


test_a_message_is_asked_about_from_its_menu = on_both(ask_about_a_message)


async def test_a_menu_is_left_by_escape_and_a_mistake_is_a_word(served: Playground, page: Page) -> None:
    window = await go_to(page, "slack", "general")
    text = window.locator(".pane.main textarea")
    await text.press_sequentially("/")
    menu = window.locator(".pane.main .commands")
    await expect(menu).to_be_visible()
    await text.press("Escape")
    await expect(menu).to_be_hidden()
    await text.fill("/nothing at all")
    await text.press("Enter")
    await expect(page.locator(".toast", has_text="no such command")).to_be_visible()
