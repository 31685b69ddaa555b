"""Who wrote what is found in a channel's history: with roles, as if it had been heard."""

from __future__ import annotations

import pytest

from bridge.frontends.discord import members
from bridge.playground.discord import DiscordWorld
from tests.frontends.discord.running import MemoryInbox, connected, eventually

MEMBER = "GET /guilds/*/members/*"


async def missed(world: DiscordWorld, *texts: str) -> str:
    """Questions that Ada, who is in ops, wrote while nobody listened; her role."""
    role = world.add_role(world.guild, "ops")
    world.give_role(world.guild, "ada", role)
    for text in texts:
        await world.say("ada", "general", f"{world.mention} {text}")
    return str(role)


async def test_roles_are_asked_for_once_a_person(world: DiscordWorld, inbox: MemoryInbox) -> None:
    role = await missed(world, "one", "two", "three")
    async with connected(world, inbox):
        await eventually(lambda: len(inbox.turns) == 3)
    assert [turn.person.roles for turn in inbox.turns] == [(role,)] * 3
    assert {turn.person.name for turn in inbox.turns} == {"Ada Lovelace"}
    assert len(world.calls(MEMBER)) == 1


@pytest.mark.parametrize("trouble", ["gone", "down", "slow"])
async def test_a_question_does_not_wait_for_roles_that_cannot_be_had(
    world: DiscordWorld, inbox: MemoryInbox, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "PATIENCE", 0.1)
    match trouble:
        case "gone":
            world.faults.refuse(MEMBER, 404, 10007, times=100)
        case "down":
            world.faults.break_down(MEMBER, times=100)
        case _:
            world.faults.delay(MEMBER, 60.0)
    await missed(world, "one")
    async with connected(world, inbox):
        await eventually(lambda: inbox.turns)
    assert inbox.turns[0].person.roles == ()
    assert inbox.turns[0].person.name == "Ada Lovelace"
