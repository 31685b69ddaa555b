"""What an agent does, through the real client: one small line below the words, which goes."""

from __future__ import annotations

import pytest

from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.presses import MAX_TEXT
from bridge.frontends.discord.surface import DiscordSurface
from bridge.inbound import Address, Person
from bridge.playground.discord import DiscordWorld
from bridge.render.measure import utf16
from bridge.turns.surface import Button, PartKey, PartKind, Progress
from tests.turns.world import unguarded

TURN = "0123456789abcdef"
KEY = PartKey(TURN, PartKind.TEXT, 0)
STOP = [Button("stop", "Stop", TURN)]
SEARCH, READ = Progress("Searching the web"), Progress("Reading")
EDIT = "PATCH /channels/*/messages/*"


@pytest.fixture
async def thread(world: DiscordWorld) -> int:
    return await world.say("ada", "general", f"{world.mention} What is the answer?")


@pytest.fixture
def surface(world: DiscordWorld, front: DiscordFrontEnd, thread: int) -> DiscordSurface:
    address = Address("discord", str(world.guild.id), str(world.place("general").id), str(thread))
    return front.surface(address, person=Person("1"), guard=unguarded)


def content(world: DiscordWorld, thread: int) -> str:
    [message] = [one for one in world.messages(thread) if one.author.bot and one.content]
    return message.content


async def test_the_line_is_replaced_and_gone_in_the_final_text(
    world: DiscordWorld, surface: DiscordSurface, thread: int
) -> None:
    part = await surface.post(KEY, "", last=False, buttons=STOP, progress=SEARCH)
    assert content(world, thread) == "-# ⏳ Searching the web"
    await surface.edit(KEY, part, "Words", shown="", last=False, buttons=STOP, progress=SEARCH)
    assert content(world, thread) == "Words\n-# ⏳ Searching the web"
    await surface.edit(KEY, part, "Words", shown="Words", last=False, buttons=STOP, progress=READ)
    assert content(world, thread) == "Words\n-# ⏳ Reading"
    await surface.edit(KEY, part, "Words", shown="Words", last=True)
    assert content(world, thread) == "Words"


async def test_a_line_that_stays_costs_no_edit(world: DiscordWorld, surface: DiscordSurface) -> None:
    part = await surface.post(KEY, "Words", last=False, buttons=STOP, progress=SEARCH)
    await surface.edit(KEY, part, "Words", shown="Words", last=False, buttons=STOP, progress=SEARCH)
    assert not world.calls(EDIT)


@pytest.mark.parametrize("room", [0, 1, 29, 31, 60, 400])
async def test_text_and_line_fit_into_a_message(
    world: DiscordWorld, surface: DiscordSurface, thread: int, room: int
) -> None:
    text = "🧵" * ((MAX_TEXT - room) // 2)
    await surface.post(KEY, text, last=False, buttons=STOP, progress=Progress("🔎 looking " * 9))
    shown = content(world, thread)
    assert shown.startswith(text)
    assert utf16(shown) <= MAX_TEXT
    assert ("-# ⏳" in shown) is (room > 30)


async def test_a_post_that_was_lost_shows_what_is_known_now(
    world: DiscordWorld, surface: DiscordSurface, thread: int
) -> None:
    await surface.post(KEY, "Words", last=False, buttons=STOP, progress=SEARCH)
    await surface.post(KEY, "Words", last=False, buttons=STOP, progress=READ)
    assert content(world, thread) == "Words\n-# ⏳ Reading"


async def test_a_hostile_line_pings_nobody_and_unfolds_nothing(
    world: DiscordWorld, surface: DiscordSurface, thread: int
) -> None:
    evil = Progress("@everyone <@1> **bold** [a](https://evil.example) https://example.com")
    part = await surface.post(KEY, "", last=False, buttons=STOP, progress=evil)
    await surface.edit(KEY, part, "Words", shown="", last=False, buttons=STOP, progress=evil)
    assert [*world.pings, *world.unfurls] == []
    shown = content(world, thread)
    assert "@everyone" not in shown
    assert "\\*\\*bold" in shown
    assert "\\[a\\]" in shown
