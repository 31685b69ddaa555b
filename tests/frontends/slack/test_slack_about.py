"""A message's menu: ask about it, add its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.frontends.slack import about, commands
from bridge.frontends.slack.about import MAX_KEPT, NAMES, Quoted, modal, read
from bridge.frontends.slack.app import SlackFrontEnd
from bridge.frontends.slack.manifest import slack_manifest
from bridge.frontends.slack.surface import SlackSurface
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, RemoteFile
from bridge.playground.slack import SlackWorld
from bridge.playground.slack.checks import check_view
from tests.frontends.slack.memory import MemoryInbox
from tests.frontends.slack.test_slack_commands import front_end as front_end
from tests.turns.world import unguarded

NOTES = [("notes.txt", "text/plain", b"buy milk")]


def test_they_are_in_the_manifest() -> None:
    shortcuts = slack_manifest()["features"]["shortcuts"]
    assert [one["callback_id"] for one in shortcuts] == list(NAMES)
    assert all(one["type"] == "message" for one in shortcuts)
    assert all(len(one["name"]) <= 24 and len(one["description"]) <= 150 for one in shortcuts)


@pytest.mark.parametrize("text", ["", "short", "\n".join(["日本語 “quoted” \\ & <b>"] * 1_000), "😀" * 9_000])
def test_what_a_form_keeps_of_a_message_fits_and_comes_back(text: str) -> None:
    files = tuple(RemoteFile(f"F{n}", "ü" * 200 + ".txt", "text/plain", n, f"https://x/{n}") for n in range(10))
    quoted = Quoted("C1", "1.0", "0.5", "U2", "", text, files)
    for shortcut in NAMES:
        kept = quoted.kept(shortcut)
        assert len(kept) <= MAX_KEPT
        found = read(kept)
        assert found is not None
        assert found[0] == shortcut
        assert text.startswith(found[1].words)
        assert [one.id for one in found[1].files] == [one.id for one in files]
        check_view(modal(shortcut, quoted, {Address("slack", "T", "C1", "1.0"): text}))


@pytest.mark.parametrize("kept", ["", "{}", "[]", '["other", "C", "1", "1", "", "", [], ""]', '["ask_about"]'])
def test_what_we_did_not_keep_is_nothing(kept: str) -> None:
    assert read(kept) is None


async def test_ask_about_quotes_the_message_with_its_author_and_link(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, workspace: Workspace, tmp_path: Path
) -> None:
    channel = world.channel("general").id
    root = await world.say("grace", "general", "sales &lt; plan\n<!channel> look", files=NOTES)
    await world.shortcut("ada", "ask_about", channel=channel, ts=root)
    await world.view_submit("ada", {"text": "why < that?"})
    (turn,) = inbox.taken
    assert turn.address == Address("slack", world.team_id, channel, root)
    grace, link = world.person("grace").id, f"<{link_of(world, channel, root)}>"
    assert turn.text.startswith(
        f"why &lt; that?\n\nAbout a message of <@{grace}> ({link}):\n&gt; sales &lt; plan\n&gt;"
    )
    assert turn.person.id == world.person("ada").id
    shown = world.message(channel, turn.message_id)
    assert shown.thread_ts == root
    assert "why < that?" in shown.shown.replace("\\", "")
    assert (world.pings, world.unfurls) == ([], [])
    [file] = turn.files
    surface = SlackSurface(workspace, turn.address, person=turn.person, guard=unguarded)
    await surface.fetch(file, tmp_path / "1", 100)
    assert (tmp_path / "1").read_bytes() == b"buy milk"


def link_of(world: SlackWorld, channel: str, ts: str) -> str:
    return f"https://{world.domain}.slack.com/archives/{channel}/p{ts.replace('.', '')}"


async def test_where_to_is_a_choice(world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox) -> None:
    channel = world.channel("general").id
    mine = await world.say("ada", "general", f"{world.mention} hello")
    await world.deliveries.settled()
    inbox.recently = {Address("slack", world.team_id, channel, mine): "hello"}
    other = await world.say("grace", "random", "look", files=NOTES)
    for chosen, where in ((f"{channel}:{mine}", mine), ("@:", "")):
        await world.shortcut("ada", "add_files", channel=world.channel("random").id, ts=other)
        await world.view_submit("ada", {"text": "sum it up", "thread": chosen})
        turn = inbox.taken[-1]
        assert turn.text == "sum it up"
        assert [file.name for file in turn.files] == ["notes.txt"]
        if where:
            assert turn.address.thread == mine
        else:
            assert turn.direct
            assert turn.address.channel == world.direct("ada").id
            assert turn.address.thread == turn.message_id


async def test_a_message_without_files_says_so(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    root = await world.say("grace", "general", "look")
    await world.shortcut("ada", "add_files", channel=world.channel("general").id, ts=root)
    view = world.view_of("ada")
    assert view is not None
    assert about.NO_FILES in str(view.body["blocks"])
    assert "submit" not in view.body


async def test_where_it_may_not_write_another_place_can_be_chosen(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    channel = world.channel("random")
    root = await world.say("grace", "random", "look")
    channel.members.discard(world.bot.id)
    await world.shortcut("ada", "ask_about", channel=channel.id, ts=root)
    answer = await world.view_submit("ada", {"text": "why?"})
    assert answer["errors"] == {"text": commands.NOT_HERE}
    await world.view_submit("ada", {"text": "why?", "thread": "@:"})
    assert inbox.taken[0].direct
    assert "About a message of" in inbox.taken[0].text


async def test_files_that_the_agent_cannot_get_keep_the_form_open(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox
) -> None:
    root = await world.say("grace", "general", "look", files=[("big.bin", "x/y", bytes(2_000))])
    await world.shortcut("ada", "add_files", channel=world.channel("general").id, ts=root)
    answer = await world.view_submit("ada", {})
    assert answer["errors"] == {"text": "Too large."}
    assert inbox.taken == []


async def test_a_slow_database_costs_no_form(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> Any:
        raise OSError("the store is down")

    monkeypatch.setattr(inbox, "recent", away)
    root = await world.say("grace", "general", "look")
    await world.shortcut("ada", "ask_about", channel=world.channel("general").id, ts=root)
    view = world.view_of("ada")
    assert view is not None
    assert json.loads(view.body["private_metadata"])[0] == "ask_about"
