"""The simulated platforms as the page shows them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from bridge.playground.discord import DiscordWorld, Message
from bridge.playground.discord.forms import Draft
from bridge.playground.discord.posting import compose, send_as_bot
from bridge.playground.page import discord as discord_page
from bridge.playground.page.discord import DiscordView
from bridge.playground.page.rooms import ROOMS
from bridge.playground.page.slack import SlackView
from bridge.playground.page.tally import SETTLED, Replies
from bridge.playground.page.views import CantDo, ChangeView
from bridge.playground.slack import Message as SlackMessage
from bridge.playground.slack import Session, SlackWorld, View
from bridge.playground.slack.values import Prompts
from tests.e2e.waiting import PATIENCE


@pytest.fixture
def slack() -> SlackWorld:
    return SlackWorld(channels=list(ROOMS), rate=None)


@pytest.fixture
def slack_view(slack: SlackWorld) -> SlackView:
    return SlackView(slack, "ada", ROOMS, "general")


@pytest.fixture
def discord() -> DiscordWorld:
    return DiscordWorld(channels=list(ROOMS), forums=(), rate=None, base_url="http://127.0.0.1:1")


@pytest.fixture
def discord_view(discord: DiscordWorld) -> DiscordView:
    return DiscordView(discord, "ada", ROOMS, "general")


async def next_view(view: SlackView | DiscordView, happens: Callable[[], Awaitable[None]]) -> ChangeView:
    """What the page is told of the first change that `happens` makes."""

    async def first() -> ChangeView | None:
        async for news in view.changes():
            return news.view()
        return None

    told = asyncio.ensure_future(first())
    await asyncio.sleep(0)  # it watches from here on
    await happens()
    async with asyncio.timeout(PATIENCE):
        change = await told
    assert change is not None
    return change


# --- Slack --------------------------------------------------------------------------------------------------


async def test_a_slack_channel_is_its_room(slack_view: SlackView) -> None:
    server = slack_view.server()
    rooms = {channel["name"]: channel for channel in server["channels"]}
    assert rooms["toqan"]["prompts"] == list(ROOMS["toqan"].prompts)
    assert rooms["toqan"]["agent"] == "toqan"
    assert rooms["Threadbridge"]["kind"] == "direct"
    assert rooms["Threadbridge"]["agent"] == "general"


async def test_slack_says_what_a_person_types(slack: SlackWorld, slack_view: SlackView) -> None:
    general = slack.channel("general").id
    await slack_view.say(general, "", "@threadbridge is a < b?", [("a.txt", "text/plain", b"one")])
    (message,) = slack_view.server()["messages"]
    assert message["html"] == "<p>@Threadbridge is a &lt; b?</p>\n"
    assert message["thread"] == message["id"]
    (file,) = message["files"]
    assert file["preview"] == {"kind": "text", "text": "one"}
    assert slack_view.file(file["url"].removeprefix("file/slack/")) == ("a.txt", "text/plain", b"one")


async def test_slack_counts_what_is_for_the_agent(slack: SlackWorld, slack_view: SlackView) -> None:
    general, direct = slack.channel("general").id, slack.direct("ada").id
    await slack_view.say(general, "", "nobody is asked", [])
    alone = slack_view.server()["messages"][0]["id"]
    await slack_view.say(general, alone, "still nobody", [])
    assert slack_view.written == 0
    await slack_view.say(general, "", "@threadbridge you are", [])
    called = slack_view.server()["messages"][-1]["id"]
    await slack_view.say(general, called, "and you again", [])
    await slack_view.say(general, called, "@grace not you", [])
    await slack_view.say(direct, "", "and here too", [])
    assert slack_view.written == 3


async def test_slack_shows_an_ephemeral_message_to_its_reader_only(
    slack: SlackWorld, slack_view: SlackView
) -> None:
    general = slack.channel("general")
    for person in ("ada", "grace"):
        slack.respond(general, None, slack.person(person).id, {"text": f"for {person}"})
    (message,) = slack_view.server()["messages"]
    assert (message["html"], message["only_you"]) == ("<p>for ada</p>\n", True)


async def test_slack_shows_an_agents_steps(slack: SlackWorld, slack_view: SlackView) -> None:
    said = {
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "x"}]}],
    }
    page = {"type": "url", "url": "https://example.com", "text": "Example"}
    card = {
        "type": "task_card",
        "task_id": "1",
        "title": "Look",
        "status": "error",
        "details": said,
        "sources": [page],
    }
    plan = {"type": "plan", "title": "Done", "tasks": [card, {"task_id": "2", "title": "Go"}]}
    slack.respond(slack.channel("general"), None, slack.person("ada").id, {"text": "t", "blocks": [plan]})
    (message,) = slack_view.server()["messages"]
    assert message["steps"] == {
        "title": "Done",
        "steps": [
            {
                "title": "Look",
                "status": "error",
                "details": "x",
                "output": "",
                "sources": [{"text": "Example", "url": "https://example.com"}],
            },
            {"title": "Go", "status": "pending", "details": "", "output": "", "sources": []},
        ],
    }


async def test_slacks_sign_and_its_stop_button(slack: SlackWorld, slack_view: SlackView) -> None:
    general = slack.channel("general").id
    ts = await slack.say("ada", "general", "hi")
    with pytest.raises(CantDo):
        await slack_view.stop(general, ts)

    async def work() -> None:
        slack.set_session(replace(slack.session(general, ts), status="processing"))

    change = await next_view(slack_view, work)
    sign = {"channel": general, "thread": ts, "label": "is working…", "stoppable": True}
    assert change == {"platform": "slack", "sign": sign}
    assert slack_view.server()["signs"] == [sign]
    await slack_view.stop(general, ts)
    assert slack.deliveries.envelopes[-1].event["type"] == "agent_session_stopped"
    await slack.aclose()


async def test_slack_replies_are_told_apart_by_turn_and_part(slack: SlackWorld, slack_view: SlackView) -> None:
    general = slack.channel("general").id
    shown = []
    for turn, index in [("a", 0), ("a", 1), ("b", 0), ("b", 0)]:
        payload = {"turn": turn, "kind": "p", "index": index}
        metadata = {"event_type": "threadbridge_part", "event_payload": payload}
        shown.append(slack.put(SlackMessage(general, slack.new_ts(), slack.bot.id, "hi", metadata=metadata)))
    assert slack_view.replies(0) == Replies(ended=0, twice=1)
    assert slack_view.replies(SETTLED) == Replies(ended=2, twice=1)
    slack.change(replace(shown[0], text="more", edited_ts=slack.new_ts()))
    assert slack_view.replies(SETTLED) == Replies(ended=1, twice=1)


async def test_while_slack_says_that_the_app_works_its_turn_has_not_ended(
    slack: SlackWorld, slack_view: SlackView
) -> None:
    general = slack.channel("general").id
    ts = await slack.say("ada", "general", "hi")
    metadata = {"event_type": "threadbridge_part", "event_payload": {"turn": "a", "kind": "p", "index": 0}}
    slack.put(SlackMessage(general, slack.new_ts(), slack.bot.id, "hi", ts, metadata=metadata))
    slack.set_session(replace(slack.session(general, ts), status="processing"))
    slack_view.replies(0)
    assert slack_view.replies(100).ended == 0
    slack.set_session(replace(slack.session(general, ts), status="active"))
    assert slack_view.replies(100).ended == 1


async def test_the_bridges_own_words_on_slack_are_marked(slack: SlackWorld, slack_view: SlackView) -> None:
    for kind in "pn":
        metadata = {"event_type": "threadbridge_part", "event_payload": {"turn": "a", "kind": kind, "index": 0}}
        place = slack.channel("general").id
        slack.put(SlackMessage(place, slack.new_ts(), slack.bot.id, kind, metadata=metadata))
    assert [one["notice"] for one in slack_view.server()["messages"]] == [False, True]


async def acknowledge(*_: object) -> dict[str, object]:
    return {}


@pytest.mark.parametrize("platform", ["slack", "discord"])
async def test_what_is_pressed_is_counted_as_what_it_is_and_once(
    monkeypatch: pytest.MonkeyPatch,
    platform: str,
    slack: SlackWorld,
    slack_view: SlackView,
    discord: DiscordWorld,
    discord_view: DiscordView,
) -> None:
    ids = [f"threadbridge:{action}:t:" for action in ("retry", "abandon", "choose")]
    if platform == "slack":
        labelled = {"type": "button", "text": {"type": "plain_text", "text": "x"}}
        blocks = (
            {"type": "actions", "block_id": "b", "elements": [labelled | {"action_id": one} for one in ids]},
        )
        place = slack.channel("general").id
        message = slack.put(SlackMessage(place, slack.new_ts(), slack.bot.id, blocks=blocks)).ts
        monkeypatch.setattr(slack.deliveries, "ask", acknowledge)  # no app listens here
        view: SlackView | DiscordView = slack_view
    else:
        posted = compose(discord, discord.place("general"), discord.bot, Draft(content="x"))
        row = [{"type": 2, "style": 2, "label": "x", "custom_id": one} for one in ids]
        posted.components = [{"type": 1, "components": row}]
        discord.place("general").messages[posted.id] = posted
        message, view = str(posted.id), discord_view
        monkeypatch.setattr(discord_page, "ANSWER_WITHIN", 0.01)
    for one in [*ids, *ids]:
        with suppress(CantDo):  # no bot answers on Discord
            await view.press(message, one)
    assert (view.repeated, view.written) == (1, 1)


async def test_what_is_gone_on_slack_is_said(slack_view: SlackView) -> None:
    with pytest.raises(CantDo):
        await slack_view.press("1.0", "x")
    with pytest.raises(CantDo):
        await slack_view.say(slack_view.server()["channels"][0]["id"], "1.0", "hi", [])
    with pytest.raises(KeyError):
        slack_view.file("F1")


# --- Discord ------------------------------------------------------------------------------------------------


async def test_a_discord_thread_shows_no_empty_line_for_its_beginning(
    discord: DiscordWorld, discord_view: DiscordView
) -> None:
    said = await discord.say("ada", "general", "hi")
    thread = await discord.open_thread("ada", "general", "About hi", on=said)
    await discord.say("grace", thread, "hello")
    server = discord_view.server()
    assert [one["html"] for one in server["messages"]] == ["<p>hi</p>\n", "<p>hello</p>\n"]
    listed = next(channel for channel in server["channels"] if channel["kind"] == "thread")
    general = next(channel for channel in server["channels"] if channel["name"] == "general")
    assert (listed["id"], listed["parent"], listed["agent"]) == (str(thread), general["id"], "general")
    assert server["messages"][0]["thread"] == listed["id"]


async def test_discords_own_messages_are_lines(discord: DiscordWorld, discord_view: DiscordView) -> None:
    thread = await discord.open_thread("ada", "general", "Alone")
    await discord.rename_thread("ada", thread, "Not alone")
    shown = [(one["html"], one["system"], one["thread"]) for one in discord_view.server()["messages"]]
    assert shown == [
        ("<p>started a thread: Alone</p>\n", True, str(thread)),
        ("<p>changed the thread's name: Not alone</p>\n", True, ""),
    ]


async def test_discord_tells_of_a_thread_and_of_typing(discord: DiscordWorld, discord_view: DiscordView) -> None:
    async def open_thread() -> None:
        await discord.open_thread("ada", "general", "New")

    change = await next_view(discord_view, open_thread)
    assert change["channel"]["name"] == "New"
    general = discord.place("general").id

    async def type_there() -> None:
        await discord.type_in(discord.bot.id, general)

    change = await next_view(discord_view, type_there)
    assert change["sign"] == {
        "channel": str(general),
        "thread": "",
        "label": "is typing…",
        "stoppable": False,
    }


async def test_discord_counts_what_is_for_the_agent(discord: DiscordWorld, discord_view: DiscordView) -> None:
    general, direct = str(discord.place("general").id), str(discord.direct("ada").id)
    await discord_view.say(general, "", "nobody is asked", [])
    theirs = await discord.open_thread("ada", general, "people")
    await discord_view.say(general, str(theirs), "still nobody", [])
    assert discord_view.written == 0
    await discord_view.say(general, "", "@threadbridge you are", [])
    ours = await discord.open_thread(discord.bot.id, general, "agent")
    await discord_view.say(general, str(ours), "and you again", [])
    await discord_view.say(general, str(ours), "@grace not you", [])
    await discord_view.say(direct, "", "and here too", [])
    assert discord_view.written == 3


async def test_discord_replies_count_when_they_are_finished(
    discord: DiscordWorld, discord_view: DiscordView
) -> None:
    general = discord.place("general")
    stop = {
        "type": 1,
        "components": [{"type": 2, "style": 4, "label": "Stop", "custom_id": "threadbridge:stop:b"}],
    }

    def reply(nonce: str, **more: object) -> Message:
        message = compose(discord, general, discord.bot, Draft(content="hi"))
        message.nonce = nonce
        if more:
            message.components = [stop]
        general.messages[message.id] = message
        return message

    reply("a-p0")
    reply("a-p1")
    growing = reply("b-p0", growing=True)
    discord_view.replies(0)
    assert discord_view.replies(SETTLED) == Replies(ended=1, twice=0)
    shown = {one["id"]: one for one in discord_view.server()["messages"]}
    assert shown[str(growing.id)]["growing"]
    assert shown[str(growing.id)]["buttons"] == [{"id": "threadbridge:stop:b", "label": "Stop", "style": "danger"}]
    growing.components = []
    reply("a-p1")
    assert discord_view.replies(3 * SETTLED) == Replies(ended=2, twice=1)
    reply("c-n0")
    assert [one["notice"] for one in discord_view.server()["messages"]][-1]


async def test_discord_files_and_names(discord: DiscordWorld, discord_view: DiscordView) -> None:
    general = str(discord.place("general").id)
    await discord_view.say(general, "", "@grace look into #general", [("a.csv", "text/csv", b"x,y\n1,2\n")])
    (message,) = discord_view.server()["messages"]
    assert message["html"] == "<p>@Grace Hopper look into #general</p>\n"
    (file,) = message["files"]
    assert file["preview"] == {"kind": "table", "rows": [["x", "y"], ["1", "2"]]}
    name, _, content = discord_view.file(file["url"].removeprefix("file/discord/"))
    assert (name, content) == ("a.csv", b"x,y\n1,2\n")
    for wrong in ("", "1-1", "x-y", f"{general}-1", "٣-1"):
        with pytest.raises(KeyError):
            discord_view.file(wrong)


async def test_what_discord_refuses_is_said(discord: DiscordWorld, discord_view: DiscordView) -> None:
    general = str(discord.place("general").id)
    with pytest.raises(CantDo, match="at most 4000"):
        await discord_view.say(general, "", "x" * 5000, [])
    with pytest.raises(CantDo):
        await discord_view.say("1", "", "hi", [])
    with pytest.raises(CantDo):
        await discord_view.press("1", "x")
    with pytest.raises(CantDo):
        await discord_view.press("x", "x")
    thread = await discord.open_thread("ada", general, "Closed")
    await discord.archive(thread, locked=True)
    discord.place(thread).thread.owner_id = discord.bot.id  # type: ignore[union-attr]
    with pytest.raises(CantDo, match="locked"):
        await discord_view.say(general, str(thread), "hi", [])


async def test_an_old_direct_message_of_someone_else_is_not_shown(
    discord: DiscordWorld, discord_view: DiscordView
) -> None:
    send_as_bot(discord, discord.direct("grace"), Draft(content="psst"))
    server = discord_view.server()
    assert server["messages"] == []
    assert [channel["kind"] for channel in server["channels"]].count("direct") == 1


# --- Slack's Home tab and prompts -----------------------------------------------------------------------------


def home_view(world: SlackWorld) -> list[dict[str, object]]:
    link = f"https://playground.slack.com/archives/{world.channel('general').id}/p1700000000000200"
    button = {"type": "button", "action_id": "open", "text": {"type": "plain_text", "text": "Open"}, "url": link}
    deep = {
        "type": "button",
        "action_id": "new",
        "text": {"type": "plain_text", "text": "New"},
        "url": "slack://app?x=1",
    }
    get = {"type": "button", "action_id": "get", "text": {"type": "plain_text", "text": "Get"}, "value": "1"}
    place = f"<#{world.channel('general').id}> <!date^1700000000^{{date_short_pretty}}|earlier>"
    return [
        {"type": "header", "text": {"type": "plain_text", "text": "<b>Yours</b>"}},
        {"type": "section", "text": {"type": "plain_text", "text": "<i>\nB"}, "accessory": button},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": place}]},
        {"type": "actions", "elements": [deep, get]},
    ]


async def test_the_home_tab_is_shown_with_links_that_lead_to_its_threads(
    slack: SlackWorld, slack_view: SlackView
) -> None:
    world, view = slack, slack_view
    assert view.server()["home"] == []
    ada = world.person("ada").id
    world.show_view(View("V1", ada, "home", "1", {"type": "home", "blocks": home_view(world)}))
    header, question, note, actions = view.server()["home"]
    assert (header["kind"], header["html"]) == ("header", "&lt;b&gt;Yours&lt;/b&gt;")
    assert question["html"] == "&lt;i&gt;<br>B"
    (leads,) = question["buttons"]
    assert (leads["channel"], leads["thread"]) == (world.channel("general").id, "1700000000.000200")
    assert "#general Nov 14 at 22:13" in note["html"]
    new, get = actions["buttons"]
    assert (new["channel"], new["thread"], get["channel"]) == (world.direct("ada").id, "", "")


async def test_prompts_are_shown_and_chosen(slack: SlackWorld, slack_view: SlackView) -> None:
    world, view = slack, slack_view
    direct = world.direct("ada").id

    async def offer() -> None:
        world.set_prompts(Prompts(direct, ({"title": "Help", "message": "What can you do?"},), "Try"))

    assert await next_view(view, offer) == {
        "platform": "slack",
        "offered": {"title": "Try", "prompts": ["Help"]},
    }
    await view.use_prompt("Help")
    assert [one.text for one in world.messages(direct)] == ["What can you do?"]
    assert view.written == 1
    with pytest.raises(CantDo):
        await view.use_prompt("Help")
    with pytest.raises(CantDo):
        await view.press_home("nothing")


def test_a_sign_has_the_threads_title_and_loading_messages(slack: SlackWorld, slack_view: SlackView) -> None:
    world, view = slack, slack_view
    place = world.channel("general").id
    until = world.clock() + 60
    world.set_session(Session(place, "1.0", "active", "Sales", "is working…", until, ("One", "Two")))
    (sign,) = view.server()["signs"]
    assert (sign["title"], sign["loading"]) == ("Sales", ["One", "Two"])


async def test_a_relative_time_on_discord_is_told_from_now(
    discord: DiscordWorld, discord_view: DiscordView
) -> None:
    at = round(time.time())
    for seconds in (24 * 3600 + 30, -90, 20):
        await discord.say("ada", "general", f"<t:{at + seconds}:R>")
    shown = [one["html"] for one in discord_view.server()["messages"]]
    for html, words in zip(shown, (r"in 1 day", r"[12] minutes? ago", r"in \d+ seconds?"), strict=True):
        assert re.fullmatch(f"<p>{words}</p>\n", html)
