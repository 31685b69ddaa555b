"""What a newcomer does in a real browser, on both platforms, with the real bridge in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, FilePayload, Locator, Page, Route, async_playwright, expect

from adapters.base import Agent
from adapters.testing.backends.brain import think
from bridge.app import bridge
from bridge.playground.demo import Playground, playground
from bridge.playground.page.rooms import OPENING
from tests.e2e.test_e2e_approvals import COLOURS, Careful

CHROMIUM = Path("/usr/bin/chromium")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 120_000  # milliseconds: no measure of anything, a machine may be very busy

expect.set_options(timeout=PATIENCE)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's package chromium"),
]

Journey = Callable[[Playground, Page, str], Awaitable[None]]


def on_both(journey: Journey) -> Callable[[Playground, Browser], Awaitable[None]]:
    """What one person does on Slack and another on Discord, at the same time."""

    async def test(served: Playground, browser: Browser) -> None:
        async def go(platform: str) -> None:
            async with fresh_page(served, browser) as page:
                await journey(served, page, platform)

        await asyncio.gather(go("slack"), go("discord"))

    test.__name__ = test.__qualname__ = getattr(journey, "__name__", "")
    test.__doc__ = journey.__doc__
    return test


@pytest_asyncio.fixture(loop_scope="module")
async def served(tmp_path: Path) -> AsyncIterator[Playground]:
    """A playground of its own for each test, with the platforms' real limits of rate."""
    database = tmp_path / "demo.db"
    async with playground() as simulated, bridge(simulated.settings(database), opened=simulated.in_process.update):
        hurry(simulated, except_for="a2a")
        yield simulated


def hurry(simulated: Playground, except_for: str = "") -> None:
    for kind, one in simulated.backends.items():
        if kind != except_for:
            one.backend.pace = 0.005


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def fresh_page(served: Playground, browser: Browser) -> AsyncIterator[Page]:
    """A page of its own; nothing may stand in its console in the end but that a connection broke."""
    context = await browser.new_context(viewport={"width": 1600, "height": 900})
    page = await context.new_page()
    page.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(served.url)
    await page.locator("#live.on").wait_for()
    yield page
    await context.close()
    assert [one for one in complaints if "net::ERR_" not in one] == []


@pytest_asyncio.fixture(loop_scope="module")
async def page(served: Playground, browser: Browser) -> AsyncIterator[Page]:
    async with fresh_page(served, browser) as page:
        yield page


async def go_to(page: Page, platform: str, channel: str) -> Locator:
    window = page.locator(f"#{platform}")
    await window.locator(".channels button", has_text=channel).first.click()
    return window


async def write(window: Locator, text: str, pane: str = "main") -> None:
    box = window.locator(f".pane.{pane} textarea")
    await box.fill(text)
    await box.press("Enter")


def replies(window: Locator) -> Locator:
    return window.locator(".pane.thread .message.from-bot")


async def finished(window: Locator, count: int) -> None:
    await expect(replies(window)).to_have_count(count)
    await expect(window.locator(".growing")).to_have_count(0)


@on_both
async def test_first_words_stand_there_while_the_agent_talks_and_a_thread_goes_on_without_mention(
    served: Playground, page: Page, platform: str
) -> None:
    window = await go_to(page, platform, "general")
    await write(window, "@threadbridge slow 3: alpha beta gamma delta epsilon zeta eta theta omega")
    growing = window.locator(".pane.thread .message.growing .body")
    await expect(growing).to_contain_text("alpha")
    assert "omega" not in await growing.inner_text()
    await expect(window.locator(".pane.main .replies")).to_contain_text("writing")
    await finished(window, 1)
    await expect(replies(window).first).to_contain_text("theta omega")

    await write(window, "and **now** you", pane="thread")
    await finished(window, 2)
    await expect(replies(window).last.locator("strong")).to_have_text("now")
    await expect(window.locator(".pane.main .replies")).to_have_text("3 replies")
    await expect(page.locator("#twice")).to_have_text("0")


@on_both
async def test_files_go_in_by_choice_and_by_drop_and_come_out_whole(
    served: Playground, page: Page, platform: str
) -> None:
    window = await go_to(page, platform, "toqan")
    chosen: FilePayload = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"milk and honey\n"}
    await window.locator(".pane.main input[type=file]").set_input_files(chosen)
    await expect(window.locator(".pane.main .chosen")).to_contain_text("notes.txt")
    await write(window, "@threadbridge what is in this?")
    await finished(window, 1)
    await expect(replies(window).first).to_contain_text("Its first line: milk and honey")

    await window.locator(".pane.thread").evaluate(
        """(pane) => {
            const data = new DataTransfer();
            data.items.add(new File(["a,b\\n1,2\\n"], "figures.csv", { type: "text/csv" }));
            pane.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }"""
    )
    await write(window, "and in this? make a csv", pane="thread")
    await expect(window.locator(".message:not(.from-bot) .file table")).to_contain_text("b")
    made = replies(window).locator(".file", has_text="sales.csv")
    await expect(made).to_have_count(1)
    await expect(replies(window).filter(has_text="figures.csv").first).to_contain_text("(8 bytes)")
    async with page.expect_download() as downloading:
        await made.click()
    download = await downloading.value
    assert download.suggested_filename == "sales.csv"
    assert (await download.path()).read_bytes() == think("csv").files[0].content


@on_both
async def test_stop_ends_a_reply(served: Playground, page: Page, platform: str) -> None:
    window = await go_to(page, platform, "a2a")
    await write(window, "@threadbridge tell me something long and slow")
    await expect(window.locator(".pane.thread .growing .body")).to_contain_text("You")
    await window.locator(".pane.thread .stop").click()
    await expect(replies(window).last).to_contain_text("Stopped.")
    await expect(window.locator(".pane.thread .stop")).to_have_count(0)
    await expect(window.locator(".growing")).to_have_count(0)


async def test_an_example_and_a_button_of_the_bridge(page: Page) -> None:
    window = await go_to(page, "slack", "fifthelement")
    await open_trouble(window, "Lose a question's answer")
    await expect(page.locator(".toast")).to_contain_text("you are asked")
    await window.locator(".intro .chips button").first.click()
    await window.locator(".pane.thread .under button", has_text="Send it again").click()
    await expect(replies(window).last).to_contain_text("You asked")


async def open_trouble(window: Locator, label: str) -> None:
    await window.locator(".troubles summary").click()
    await window.locator(".menu button", has_text=label).click()


@on_both
async def test_what_is_broken_costs_nothing(served: Playground, page: Page, platform: str) -> None:
    window = await go_to(page, platform, "openai")
    await open_trouble(window, "Lose a post's answer")
    await write(window, f"@threadbridge hello from {platform}")
    await finished(window, 1)
    await open_trouble(window, "Deliver my message twice")
    await expect(page.locator(".toast").last).to_contain_text("asked already")
    await write(window, f"and a table for {platform}", pane="thread")
    await finished(window, 2)
    questions = [asked.text for asked in served.backends["openai"].backend.questions if platform in asked.text]
    assert questions == [f"hello from {platform}", f"and a table for {platform}"]
    await expect(page.locator("#twice")).to_have_text("0")
    await expect(page.locator(".tally.kept")).to_be_visible()


@on_both
async def test_hostile_texts_and_names_are_text(served: Playground, page: Page, platform: str) -> None:
    window = await go_to(page, platform, "enthusiast")
    evil = "<img src=x onerror=alert(1)>"
    hostile: FilePayload = {"name": f'">{evil}.txt', "mimeType": "text/plain", "buffer": evil.encode()}
    await window.locator(".pane.main input[type=file]").set_input_files(hostile)
    await write(window, f"{evil} [link](javascript:alert(1)) ![x](http://127.0.0.1:1/x.png)")
    message = window.locator(".pane.main .message").last
    await expect(message.locator(".body")).to_contain_text(evil)
    kept = evil if platform == "slack" else "img_srcx_onerroralert1.txt"  # Discord tames the names of files itself
    await expect(message.locator(".file b")).to_contain_text(kept)
    await expect(message.locator(".file pre")).to_have_text(evil)
    world = served.slack if platform == "slack" else served.discord
    world.add_person("Eve<b>il</b>")
    await world.say("eve<b>il</b>", "enthusiast", "hi")
    await expect(window.locator(".pane.main .by").last).to_contain_text("Eve<b>il</b>")
    assert await window.locator(".messages :is(img, script, b b, .by b, a[href^=javascript])").count() == 0
    await expect(page.locator(".toast")).to_contain_text("Mention @threadbridge")


# Notes at each change of the counters whether they are green, and how much still grows.
WATCH_TALLY = """() => {
    const tally = document.querySelector(".tally");
    window.seen = [];
    const growing = () => document.querySelectorAll(".growing").length;
    const look = () => window.seen.push([tally.classList.contains("kept"), growing()]);
    new MutationObserver(look).observe(tally, { attributes: true, subtree: true, childList: true });
}"""


@on_both
async def test_the_counters_are_green_only_when_every_reply_is_complete(
    served: Playground, page: Page, platform: str
) -> None:
    window = await go_to(page, platform, "general")
    await page.evaluate(WATCH_TALLY)
    await write(window, "@threadbridge write something long 5000, slow 2")
    await expect(window.locator(".pane.thread .growing")).to_have_count(1)
    await expect(page.locator(".tally.at-work")).to_be_visible()
    await expect(window.locator(".pane.thread .growing")).to_have_count(0)
    await expect(page.locator(".tally.kept")).to_be_visible()
    seen = await page.evaluate("window.seen")
    assert [growing for green, growing in seen if green and growing] == []


@on_both
async def test_a_page_that_is_loaded_again_shows_what_it_showed(
    served: Playground, page: Page, platform: str
) -> None:
    window = await go_to(page, platform, "toqan")
    await write(window, "@threadbridge hello there")
    await finished(window, 1)
    said = await replies(window).first.inner_text()
    await page.reload()
    await expect(window.locator(".channels .on").first).to_contain_text("toqan")
    await expect(replies(window).first).to_have_text(said, use_inner_text=True)


async def across(box: Locator) -> tuple[float, float]:
    """Where a field begins and how wide it is."""
    found = await box.bounding_box()
    assert found is not None
    return found["x"], found["width"]


@on_both
async def test_a_thread_that_opens_takes_nothing_from_who_types(
    served: Playground, page: Page, platform: str
) -> None:
    for width, channel in ((1440, "enthusiast"), (500, "toqan")):
        await page.set_viewport_size({"width": width, "height": 800})
        if width == 500:
            await page.get_by_role("tab", name=platform, exact=False).click()
        window = await go_to(page, platform, channel)
        box = window.locator(".pane.main textarea")
        await box.fill(f"@threadbridge hello at {width}")
        where = await across(box)
        await box.press("Enter")
        await box.press_sequentially("I am ")
        await expect(window.locator(".pane.main .replies")).to_have_count(1)
        await box.press_sequentially("still typing")
        await expect(box).to_be_focused()
        await expect(box).to_have_value("I am still typing")
        assert await across(box) == where
        await box.fill("")
        await expect(page.locator(".tally.kept")).to_be_visible()


async def test_who_writes_on_while_a_message_is_on_its_way_writes_another(page: Page) -> None:
    reached, may_go = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        reached.set()
        await may_go.wait()
        await route.continue_()

    window = await go_to(page, "slack", "enthusiast")
    box, written = window.locator(".pane.main textarea"), window.locator(".pane.main .message .body")
    await page.route("**/say/slack", hold)
    for text in ("one", "two"):
        await box.press_sequentially(text)
        await box.press("Enter")
        await expect(box).to_have_value("")
    await box.press_sequentially("three")
    await reached.wait()
    await expect(written).to_have_count(0)
    may_go.set()
    await expect(written).to_have_text(["one", "two"])
    await expect(box).to_have_value("three")


async def test_what_could_not_be_sent_comes_back_before_what_was_written_since(page: Page) -> None:
    reached, may_go = asyncio.Event(), asyncio.Event()

    async def lose(route: Route) -> None:
        reached.set()
        await may_go.wait()
        await route.abort()

    window = await go_to(page, "slack", "enthusiast")
    box, chosen = window.locator(".pane.main textarea"), window.locator(".pane.main .chosen")
    await page.route("**/say/slack", lose)
    for name in ("first.txt", "second.txt"):
        file: FilePayload = {"name": name, "mimeType": "text/plain", "buffer": b"milk"}
        await window.locator(".pane.main input[type=file]").set_input_files(file)
        await expect(chosen.locator(":scope > span")).to_have_count(1)
        await box.press_sequentially(name)
        if name == "first.txt":
            await box.press("Enter")
            await expect(chosen).to_be_empty()
            await reached.wait()
    may_go.set()
    await expect(window.locator(".pane.main .problem")).to_contain_text("can't be reached")
    await expect(box).to_have_value("first.txt\nsecond.txt")
    await expect(chosen).to_contain_text("first.txt4 B×second.txt4 B×")


async def test_at_1440_pixels_channel_and_thread_stand_side_by_side(page: Page) -> None:
    await page.set_viewport_size({"width": 1440, "height": 900})
    for platform in ("slack", "discord"):
        window = await go_to(page, platform, "fifthelement")
        await write(window, "@threadbridge hello")
        await finished(window, 1)
        for pane in ("main", "thread"):
            await expect(window.locator(f".pane.{pane} textarea")).to_be_visible()
            box = await window.locator(f".pane.{pane}").bounding_box()
            assert box is not None
            assert box["width"] > 200


@on_both
async def test_what_to_go_on_with_stands_below_an_answer_and_not_below_a_question_or_a_failure(
    served: Playground, page: Page, platform: str
) -> None:
    window = page.locator(f"#{platform}")
    offered = window.locator(".pane.thread .prompts button")
    questions = {"general": "please ask me something", "toqan": "please fail", "sema4ai": "hello"}
    for channel, words in questions.items():
        await go_to(page, platform, channel)
        await write(window, f"@threadbridge {words}")
        await expect(window.locator(".pane.main .replies")).to_have_count(1)
        await window.locator(".pane.main .replies").click()
        await expect(page.locator(".tally.kept")).to_be_visible()
        if channel != "sema4ai":
            await expect(offered).to_have_count(0)
    await expect(offered.first).to_be_visible()
    foot = await window.locator(".pane.thread .foot").bounding_box()
    await offered.first.click()
    await expect(offered).to_have_count(0)
    assert await window.locator(".pane.thread .foot").bounding_box() == foot, "nothing jumps"


async def test_it_opens_with_a_scene(browser: Browser, tmp_path: Path) -> None:
    async with (
        playground(scene=OPENING) as simulated,
        bridge(simulated.settings(tmp_path / "demo.db"), opened=simulated.in_process.update),
        fresh_page(simulated, browser) as page,
    ):
        hurry(simulated)
        for platform in ("slack", "discord"):
            window = page.locator(f"#{platform}")
            await expect(window.locator(".pane.thread .file", has_text="orders.csv")).to_be_visible()
            await expect(replies(window).locator(".file img")).to_be_visible()
            await expect(replies(window).first).to_contain_text("29835")
        await expect(page.locator(".tally.kept #replied")).to_have_text("2")
        async with fresh_page(simulated, browser) as second:
            await expect(second.locator("#slack .pane.thread .file img")).to_be_visible()
            await expect(second.locator("#written")).to_have_text("2")


async def test_a_narrow_screen_shows_one_platform_and_one_pane(page: Page) -> None:
    window = await go_to(page, "slack", "Threadbridge")
    await write(window, "hello")
    await finished(window, 1)
    for width in (1000, 800, 420):
        await page.set_viewport_size({"width": width, "height": 800})
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width
    await expect(window.locator(".pane.thread textarea")).to_be_visible()
    await expect(window.locator(".pane.main")).to_be_hidden()
    await window.locator(".pane.thread textarea").press("Escape")
    await expect(window.locator(".pane.main textarea")).to_be_focused()
    await expect(page.locator("#discord")).to_be_hidden()
    await page.get_by_role("tab", name="Discord").click()
    await expect(page.locator("#discord")).to_be_visible()
    await expect(window).to_be_hidden()


async def test_a_page_that_lost_its_connection_catches_up(served: Playground, page: Page) -> None:
    line = Line(served.url)
    await page.goto(await line.lay())
    window = await go_to(page, "slack", "agentok")
    line.cut()
    await expect(page.locator("#live.on")).to_have_count(0)
    await served.slack.say("grace", "agentok", "while you were away")
    await line.lay()
    await expect(window.locator(".pane.main .message")).to_contain_text("while you were away")
    await expect(page.locator("#live.on")).to_be_visible()
    await page.goto("about:blank")
    line.cut()


class Line:
    """A relay between the page and the playground that can be cut and laid again, at the same address."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    async def lay(self) -> str:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{self._port}"

    def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for end in self._ends:
            end.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._to.hostname, self._to.port)
        self._ends |= {writer, back}
        await asyncio.gather(pump(reader, back), pump(there, writer))
        self._ends -= {writer, back}


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


async def test_the_direct_message_on_slack_has_prompts_and_a_home_tab(page: Page) -> None:
    """A prompt is asked, what is suggested goes on in its thread, and the Home tab leads back to it."""
    slack = await go_to(page, "slack", "Threadbridge")
    await slack.locator(".main .prompts").get_by_role("button", name="Suggest something").click()
    thread = slack.locator(".pane.thread")
    await thread.get_by_role("button", name="Make a file numbers.csv").click()
    await expect(thread.locator(".file")).to_have_count(1)
    await expect(thread.locator(".head small")).to_have_text("Please suggest something")
    await expect(thread.get_by_role("button", name="Make a file numbers.csv")).to_have_count(0)
    await expect(page.locator(".tally.kept")).to_have_count(1)
    await slack.get_by_role("button", name="Close the thread").click()
    await slack.get_by_role("button", name="Home", exact=True).click()
    home = slack.locator(".main .home")
    await expect(home).to_contain_text("numbers.csv")
    await home.get_by_role("button", name="Open").click()
    await expect(thread).to_contain_text("ada asks:")
    await home.get_by_role("button", name="Get it").click()
    await home.get_by_role("button", name="New conversation").click()
    await expect(slack.locator(".main .messages")).to_contain_text("From your conversation: numbers.csv")
    await expect(slack.locator(".main .composer textarea")).to_be_focused()


@pytest.mark.parametrize("platform", ["slack", "discord"])
async def test_an_approval_is_decided_and_a_choice_made_with_the_platforms_own_means(
    browser: Browser, tmp_path: Path, platform: str
) -> None:
    careful = Careful()

    def instead(agents: Mapping[str, Agent]) -> None:
        assert isinstance(agents, dict)
        agents["general"] = careful

    async with AsyncExitStack() as stack:
        simulated = await stack.enter_async_context(playground())
        await stack.enter_async_context(bridge(simulated.settings(tmp_path / "d.db"), opened=instead))
        page = await stack.enter_async_context(fresh_page(simulated, browser))
        window = await go_to(page, platform, "general")
        await write(window, "@threadbridge paint it")
        decline = window.locator(".under .danger")
        await decline.click()
        await page.locator("dialog.form button", has_text="Cancel").click()
        await decline.click()
        await page.locator("dialog.form textarea").fill("it rains")
        await page.locator("dialog.form .primary").click()
        await expect(replies(window).last).to_contain_text("Done with Declined: it rains.")
        await expect(replies(window).first).to_contain_text("Declined · ")
        await expect(decline).to_have_count(0)
        careful.choices = COLOURS
        await write(window, "which colour?", pane="thread")
        await window.locator(".under select").select_option(label="colour 7")
        await expect(replies(window).last).to_contain_text("Done with colour 7.")
        await expect(window.locator(".under select")).to_have_count(0)
        await expect(page.locator("#written")).to_have_text("4")
        await expect(page.locator("#replied")).to_have_text("4")
    assert [message.text for message in careful.told] == ["Declined: it rains", "colour 7"]
