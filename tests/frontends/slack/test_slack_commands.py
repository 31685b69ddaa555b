"""The slash command, and commands by mention in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from adapters.testing.serving import serve
from bridge.commands import COMMANDS
from bridge.frontends.slack import commands
from bridge.frontends.slack.app import SlackFrontEnd
from bridge.frontends.slack.bringing import NOT_DONE
from bridge.frontends.slack.manifest import slack_manifest
from bridge.frontends.slack.settings import SlackSettings
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person
from bridge.playground.slack import SlackWorld
from bridge.turns.inbox import Listed
from bridge.turns.surface import PartKey, PartKind, Upload
from tests.e2e.waiting import eventually
from tests.frontends.slack.memory import MemoryInbox
from tests.frontends.slack.test_slack_front_end import serving
from tests.turns.world import unguarded

Settled = Callable[[], Awaitable[None]]


@pytest.fixture(params=["socket", "http"])
async def front_end(
    request: pytest.FixtureRequest, world: SlackWorld, slack_url: str, inbox: MemoryInbox
) -> AsyncIterator[SlackFrontEnd]:
    settings = SlackSettings(
        mode=request.param,
        bot_token=SecretStr(world.bot_token),
        app_token=SecretStr(world.app_token),
        signing_secret=SecretStr(world.signing_secret),
        api_url=f"{slack_url}/api/",
        command="/robot",
    )
    front_end = SlackFrontEnd(settings, inbox)
    async with serve(Starlette(routes=front_end.routes)) as url, serving(front_end):
        if request.param == "http":
            world.deliveries.request_url = f"{url}/slack/events"
        yield front_end


def told(world: SlackWorld, who: str = "ada") -> list[str]:
    """What one person alone was told."""
    return [one.shown for one in world.ephemerals.values() if one.ephemeral_for == world.person(who).id]


def test_the_manifest_has_the_table() -> None:
    made = slack_manifest(
        SlackSettings.model_validate({"bot_token": "xoxb-1", "app_token": "xapp-1", "command": "/ai"})
    )
    (slash,) = made["features"]["slash_commands"]
    assert slash["command"] == "/ai"
    assert all(one.usage in slash["usage_hint"] for one in COMMANDS)
    assert slash["should_escape"]


# --- by slash --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["general", "direct"])
async def test_ask_shows_the_question_and_asks_it(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, place: str
) -> None:
    channel = world.direct("ada").id if place == "direct" else world.channel("general").id
    await world.command(
        "ada", channel, "/robot", f"ask how are <@{world.person('grace').id}> &amp; sales? <!channel>"
    )
    (turn,) = inbox.taken
    shown = world.message(channel, turn.message_id)
    assert shown.shown.startswith("**ada asks:**")
    assert "how are @grace & sales?" in shown.shown.replace("\u200b", "").replace("\\", "")
    assert shown.thread_ts is None
    assert turn.address == Address("slack", world.team_id, channel, shown.ts)
    assert turn.person == Person(world.person("ada").id, workspace=world.team_id)
    assert turn.text == f"how are <@{world.person('grace').id}> &amp; sales? <!channel>"
    assert turn.direct is (place == "direct")
    assert told(world) == [commands.ASKED]
    assert (world.pings, world.unfurls) == ([], [])


async def test_ask_without_a_question_or_a_place_says_what_to_do(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    await world.command("ada", "general", "/robot", "ask")
    world.channel("random").members.discard(world.bot.id)
    await world.command("ada", "random", "/robot", "ask how are sales?")
    assert "/robot ask" in told(world)[0]
    assert told(world)[1] == commands.NOT_HERE
    assert inbox.taken == []


async def test_the_others_concern_the_latest_thread_of_the_person_there(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    await world.command("ada", "general", "/robot", "stop")
    await world.command("ada", "general", "/robot", "Agent research")
    stop, agent = inbox.orders
    assert (stop.name, agent.name, agent.argument) == ("stop", "agent", "research")
    assert stop.address == Address("slack", world.team_id, world.channel("general").id, "")
    assert stop.person == Person(world.person("ada").id, workspace=world.team_id)
    assert told(world) == [inbox.said] * 2


@pytest.mark.parametrize("text", ["", "help", "halp <!channel> `me`"])
async def test_help_is_the_table(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, text: str
) -> None:
    await world.command("ada", "general", "/robot", text)
    (answer,) = told(world)
    assert all(f"/robot {one.usage}" in answer and one.help in answer for one in COMMANDS)
    assert ("halp" in answer) is text.startswith("halp")
    assert world.pings == []


async def test_one_that_takes_long_is_acknowledged_and_then_answered(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "ANSWER_WITHIN", 0.01)
    inbox.gate = asyncio.Event()
    assert await world.command("ada", "general", "/robot", "history") == {}
    assert told(world) == []
    inbox.gate.set()
    await eventually(lambda: told(world) == [inbox.said])


async def test_one_that_fails_says_so(world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox) -> None:
    inbox.failures = 1
    await world.command("ada", "general", "/robot", "stop")
    assert told(world) == [NOT_DONE]


# --- by mention ------------------------------------------------------------------------------------------------


async def test_a_mention_in_a_thread_is_a_command_once_though_slack_tells_it_twice(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    root = await world.say("ada", "general", f"{world.mention} how are you?")
    await world.say("grace", "general", f"{world.mention} Stop", root)
    await world.deliveries.settled()
    (order,) = inbox.orders
    assert (order.name, order.person.id) == ("stop", world.person("grace").id)
    assert order.address == Address("slack", world.team_id, world.channel("general").id, root)
    assert told(world, "grace") == [inbox.said]
    assert told(world, "ada") == []
    assert len(inbox.taken) == 1
    (answer,) = world.ephemerals.values()
    assert answer.thread_ts == root


async def test_help_by_mention(world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox) -> None:
    root = await world.say("ada", "general", f"{world.mention} how are you?")
    await world.say("ada", "general", f"{world.mention} help", root)
    await world.deliveries.settled()
    assert "/robot status" in told(world)[0]


async def test_a_command_that_is_not_stored_is_delivered_again(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    root = await world.say("ada", "general", f"{world.mention} how are you?")
    await world.deliveries.settled()
    inbox.failures = 1
    await world.say("ada", "general", f"{world.mention} retry", root)
    await world.deliveries.settled()
    assert [one.name for one in inbox.orders] == ["retry"]
    assert all(one.acknowledged for one in world.deliveries.envelopes)


@pytest.mark.parametrize("text", ["stop the server", "please stop", "ask", "what's the status"])
async def test_an_ordinary_question_stays_one(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, text: str
) -> None:
    root = await world.say("ada", "general", f"{world.mention} stop")  # not in a thread
    await world.say("ada", "general", f"{world.mention} {text}", root)
    await world.say("ada", "general", f"{world.mention} status", root, [("a.txt", "text/plain", b"a")])
    await world.say("ada", "general", f"stop {world.mention}", root)
    await world.deliveries.settled()
    assert len(inbox.taken) == 4
    assert inbox.orders == []


# --- files -----------------------------------------------------------------------------------------------------


def brought(world: SlackWorld) -> list[tuple[str, bytes]]:
    """The files in Ada's direct message with the app."""
    messages = world.direct("ada").messages.values()
    return [(file.name, file.content) for message in messages for file in message.files]


@pytest.fixture
def on_disk(tmp_path: Path) -> Upload:
    path = tmp_path / "1"
    path.write_bytes(b"month,sum\n" * 10_000)
    return Upload("sales.csv", path, "text/csv", path.stat().st_size)


async def test_files_are_a_list_with_buttons_that_bring_them_to_the_person_alone(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, on_disk: Upload
) -> None:
    inbox.listed = [Listed("<!channel> `a`.txt", None), Listed("sales.csv", 100_000)]
    inbox.file = on_disk
    await world.command("ada", "general", "/robot", "files")
    (listed,) = world.ephemerals.values()
    assert "98 KB" in str(listed.blocks)
    await world.press("ada", listed.ts, "threadbridge-file:1")
    await eventually(lambda: brought(world))
    assert brought(world) == [("sales.csv", on_disk.path.read_bytes())]
    _, order = inbox.orders
    assert (order.name, order.argument) == ("download", "sales.csv")
    assert order.address == Address("slack", world.team_id, world.channel("general").id, inbox.latest)
    assert not [one for one in world.channel("general").messages.values() if one.files]
    assert (world.pings, world.unfurls) == ([], [])


async def test_a_file_by_its_name_by_slash_and_by_mention(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, on_disk: Upload
) -> None:
    inbox.file = on_disk
    await world.command("ada", "general", "/robot", "download my sales.csv")
    await eventually(lambda: len(brought(world)) == 1)
    root = await world.say("ada", "general", f"{world.mention} how are you?")
    await world.say("ada", "general", f"{world.mention} download sales.csv", root)
    await eventually(lambda: len(brought(world)) == 2)
    assert [(one.argument, one.address.thread) for one in inbox.orders] == [
        ("my sales.csv", ""),
        ("sales.csv", root),
    ]
    assert told(world) == [commands.BRINGING] * 2


async def test_a_file_that_cannot_be_had_is_a_word(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, on_disk: Upload
) -> None:
    await world.command("ada", "general", "/robot", "download")
    await world.command("ada", "general", "/robot", "files")
    await world.command("ada", "general", "/robot", "download x.txt")
    assert told(world) == [commands.NO_NAME, "No files yet.", commands.BRINGING]
    said = world.direct("ada").messages
    await eventually(lambda: [one.shown for one in said.values()] == [inbox.file])
    inbox.file = on_disk
    world.faults.refuse("files.completeUploadExternal", "internal_error", times=9)
    await world.command("ada", "general", "/robot", "download sales.csv")
    await eventually(lambda: [one.shown for one in said.values()][-1:] == [NOT_DONE])


async def test_more_files_than_a_message_has_room_for(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    inbox.listed = [Listed(f"{number}.txt", 1) for number in range(99)]
    await world.command("ada", "general", "/robot", "files")
    (listed,) = world.ephemerals.values()
    assert len(listed.blocks) == commands.MAX_LISTED + 1
    assert f"{99 - commands.MAX_LISTED} older ones" in str(listed.blocks[-1])


# --- files in --------------------------------------------------------------------------------------------------

NOTES = [("notes.txt", "text/plain", b"buy milk"), ("<!here> `b`.txt", "text/plain", b"b")]


async def test_upload_by_slash_opens_a_modal_with_the_recent_threads(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, workspace: Workspace, tmp_path: Path
) -> None:
    channel = world.channel("general").id
    root = await world.say("ada", "general", f"{world.mention} how are you?")
    await world.deliveries.settled()
    here = Address("slack", world.team_id, channel, root)
    inbox.recently = {here: "how <!channel> are you? " * 20}
    assert await world.command("ada", "random", "/robot", "upload sum 1 < 2 up") == {}
    await world.view_submit("ada", {"files": NOTES, "thread": f"{channel}:{root}"})
    assert world.view_of("ada") is None
    turn = inbox.taken[-1]
    assert turn.address == here
    assert turn.text == "sum 1 &lt; 2 up"
    assert [(file.name, file.size) for file in turn.files] == [(name, len(content)) for name, _, content in NOTES]
    shown = world.message(channel, turn.message_id)
    assert shown.thread_ts == root
    assert shown.shown.startswith("**ada sends:** `notes.txt`")
    assert not world.pings
    assert not world.unfurls
    surface = SlackSurface(workspace, here, person=turn.person, guard=unguarded)
    await surface.fetch(turn.files[0], tmp_path / "1", 100)
    assert (tmp_path / "1").read_bytes() == b"buy milk"
    part = PartKey("turn000000000001", PartKind.TEXT)
    assert await surface.find(part, after=root, known=()) is None, "it is no part of a reply"


@pytest.mark.parametrize("place", ["general", "direct"])
async def test_upload_into_a_new_thread(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, place: str
) -> None:
    channel = world.direct("ada").id if place == "direct" else world.channel("general").id
    await world.command("ada", channel, "/robot", "upload")
    await world.view_submit("ada", {"files": NOTES[:1], "text": "what is it?"})
    (turn,) = inbox.taken
    assert turn.address == Address("slack", world.team_id, channel, turn.message_id)
    assert (turn.text, turn.direct) == ("what is it?", place == "direct")


async def test_upload_by_mention_is_a_button_that_opens_it_for_that_thread(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    root = await world.say("ada", "general", f"{world.mention} how are you?")
    await world.say("ada", "general", f"{world.mention} upload", root)
    await world.deliveries.settled()
    (offered,) = world.ephemerals.values()
    await world.press("ada", offered.ts, "threadbridge-upload")
    view = world.view_of("ada")
    assert view is not None
    assert [block["block_id"] for block in view.body["blocks"]] == ["files", "text"]
    await world.view_submit("ada", {"files": NOTES[:1]})
    assert inbox.taken[-1].address.thread == root
    assert inbox.taken[-1].text == ""


async def test_what_the_agent_cannot_get_keeps_the_modal_open(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    await world.command("ada", "general", "/robot", "upload")
    answer = await world.view_submit("ada", {"files": [("big.bin", "x/y", bytes(2_000))]})
    assert answer["errors"] == {"files": "Too large."}
    assert world.view_of("ada") is not None
    world.channel("general").members.discard(world.bot.id)
    answer = await world.view_submit("ada", {"files": NOTES[:1]})
    assert answer["errors"] == {"files": commands.NOT_HERE}
    assert inbox.taken == []


async def test_a_modal_that_cannot_be_opened_is_a_word(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    world.faults.refuse("views.open", "expired_trigger_id")
    await world.command("ada", "general", "/robot", "upload")
    assert told(world) == [NOT_DONE]
