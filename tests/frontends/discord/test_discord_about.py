"""A message's menu: ask about it, add its files; also where the bot is no member, for who installed the app."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.frontends.discord import about, commands
from bridge.frontends.discord.about import NAMES, payloads
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.inbound import Address
from bridge.playground.discord import DiscordWorld
from bridge.playground.discord.commands import check_commands
from bridge.playground.discord.invocations import Interaction
from bridge.playground.discord.model import MessageFlag, Permission
from tests.frontends.discord.running import MemoryInbox, connected, eventually
from tests.turns.world import unguarded

NOTES = [("notes.txt", "text/plain", b"buy milk")]
ASK, ADD = NAMES["ask"], NAMES["add"]


@pytest.fixture
async def registered(world: DiscordWorld, front: DiscordFrontEnd) -> DiscordFrontEnd:
    await eventually(lambda: world.commands.get(0))
    return front


async def opened(world: DiscordWorld, message: int, name: str, who: str = "ada") -> Interaction:
    used = await world.message_command(who, message, name)
    await eventually(lambda: used.answered)
    return used


async def told(world: DiscordWorld, used: Interaction) -> str:
    """What the one person is told."""

    def said() -> str:
        message = world.ephemeral.get(used.original_id or 0)
        return "" if message is None or message.flags & MessageFlag.LOADING else message.content

    return await eventually(said)


def places(used: Interaction) -> list[tuple[str, str]]:
    assert used.modal is not None
    [select] = [one["component"] for one in used.modal["components"] if one["component"]["type"] == 3]
    return [(one["label"], one["value"]) for one in select["options"]]


@pytest.mark.parametrize("for_people", [True, False])
def test_discord_takes_them(for_people: bool) -> None:
    wanted = [*commands.payloads(), *payloads(for_people=for_people)]
    taken = check_commands(wanted, user_installs=for_people)
    assert [one["name"] for one in taken if one["type"] == about.ON_MESSAGE] == [ASK, ADD]


async def test_an_app_that_people_cannot_install_registers_without(
    world: DiscordWorld, inbox: MemoryInbox
) -> None:
    world.user_installs = False
    async with connected(world, inbox):
        await eventually(lambda: world.commands.get(0))
    assert {tuple(one["integration_types"]) for one in world.commands[0]} == {(0,)}


async def test_ask_about_quotes_the_message_with_its_author_and_link(
    world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd, tmp_path: Path
) -> None:
    message = await world.say("grace", "general", "sales @everyone\nplan", NOTES)
    used = await opened(world, message, ASK)
    sent = await world.submit(used, {"text": "why that?", "where": ["here"]})
    assert str(world.place("general").id) in await told(world, sent)
    (turn,) = inbox.turns
    shown = world.messages("general")[-1]
    channel = world.place("general")
    assert turn.address == Address("discord", str(world.guild.id), str(channel.id), str(shown.id))
    link = f"https://discord.com/channels/{world.guild.id}/{channel.id}/{message}"
    assert turn.text == f"why that?\n\nAbout a message of Grace Hopper ({link}):\n> sales @everyone\n> plan"
    assert turn.person.id == str(world.person("ada").id)
    assert shown.content.startswith("**Ada Lovelace sends notes.txt:**\n> why that?")
    assert not world.pings
    by = registered.surface(turn.address, person=turn.person, guard=unguarded)
    await by.fetch(turn.files[0], tmp_path / "1", 100)
    assert (tmp_path / "1").read_bytes() == b"buy milk"


async def test_where_to_is_a_choice(world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd) -> None:
    thread = str(await world.open_thread("ada", "general", "Mine"))
    general = str(world.place("general").id)
    mine = Address("discord", str(world.guild.id), general, thread)
    inbox.recently = {mine: "how are <@1> sales? " * 20}
    message = await world.say("grace", "general", "look", NOTES)
    used = await opened(world, message, ADD)
    offered = places(used)
    assert [value for _, value in offered] == ["here", "direct", f"{world.guild.id}/{general}/{thread}"]
    await told(world, await world.submit(used, {"where": [offered[2][1]]}))
    assert inbox.turns[0].address == mine
    assert [file.name for file in inbox.turns[0].files] == ["notes.txt"]
    used = await opened(world, message, ADD)
    await told(world, await world.submit(used, {"text": "sum it up", "where": ["direct"]}))
    direct = str(world.direct("ada").id)
    assert inbox.turns[1].address == Address("discord", "", direct, direct)
    assert (inbox.turns[1].text, inbox.turns[1].direct) == ("sum it up", True)


async def test_where_the_bot_is_no_member_it_is_asked_in_a_direct_message(
    world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
) -> None:
    elsewhere = world.add_guild("Elsewhere")
    channel = world.add_channel(elsewhere, "far")
    world.kick_bot(elsewhere)
    message = await world.say("grace", str(channel.id), "look", NOTES)
    used = await opened(world, message, ASK)
    assert [value for _, value in places(used)] == ["direct"]
    sent = await world.submit(used, {"text": "why?", "where": ["direct"]})
    assert "/@me/" in await told(world, sent)
    (turn,) = inbox.turns
    assert turn.direct
    assert turn.text.startswith("why?\n\nAbout a message of Grace Hopper (")
    assert [file.name for file in turn.files] == ["notes.txt"]
    assert not [one for one in world.messages(str(channel.id)) if one.author.id == world.bot.id]


async def test_who_takes_no_direct_messages_is_told_so(
    world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
) -> None:
    message = await world.say("grace", "general", "look")
    used = await opened(world, message, ASK)
    world.faults.refuse("POST /users/@me/channels", 403, 50007, "Cannot send messages to this user")
    sent = await world.submit(used, {"text": "why?", "where": ["direct"]})
    assert await told(world, sent) == about.NOT_DIRECT
    world.deny("general", Permission.SEND_MESSAGES)
    used = await opened(world, message, ASK)
    sent = await world.submit(used, {"text": "why?", "where": ["here"]})
    assert await told(world, sent) == commands.NOT_HERE
    assert inbox.turns == []


async def test_wrong_uses_are_a_word(world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd) -> None:
    bare = await world.say("grace", "general", "look")
    assert await told(world, await opened(world, bare, ADD)) == about.NO_FILES
    large = await world.say("grace", "general", "look", [("big.bin", "x/y", bytes(2_000))])
    used = await opened(world, large, ADD)
    assert await told(world, await world.submit(used, {"where": ["here"]})) == "Too large."
    assert await told(world, await world.submit(used, {"where": ["here"]})) == about.OUT_OF_DATE
    assert inbox.turns == []


async def test_a_form_of_another_process_says_so(world: DiscordWorld, inbox: MemoryInbox) -> None:
    async with connected(world, inbox):
        await eventually(lambda: world.commands.get(0))
        used = await opened(world, await world.say("grace", "general", "look"), ASK)
    async with connected(world, inbox):
        sent = await world.submit(used, {"text": "why?", "where": ["here"]})
        assert await told(world, sent) == about.OUT_OF_DATE
