"""Commands by mention: in a thread and a direct message, answered by a reply that pings nobody."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bridge.frontends.discord import spoken, surface
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.bringing import NOT_DONE
from bridge.inbound import Person, Standing
from bridge.playground.discord import DiscordWorld
from bridge.playground.discord.model import Message, MessageFlag
from bridge.render.selection import Selection
from bridge.turns.inbox import Listed
from bridge.turns.surface import PartKey, PartKind, Upload
from tests.frontends.discord.running import MemoryInbox, connected, eventually
from tests.frontends.discord.test_discord_commands import a_thread
from tests.turns.world import unguarded


async def replies(world: DiscordWorld, place: str, count: int = 1) -> list[Message]:
    """What the bot said there."""

    def said() -> list[Message]:
        found = [one for one in world.messages(place) if one.author.id == world.bot.id]
        return found if len(found) >= count else []

    return await eventually(said)


@pytest.mark.parametrize("place", ["thread", "direct"])
async def test_a_mention_is_a_command(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd, place: str
) -> None:
    channel = await a_thread(world, inbox) if place == "thread" else str(world.direct("ada").id)
    asked = len(inbox.turns)
    given = await world.say("ada", channel, f"{world.mention} Agent research")
    [answer] = await replies(world, channel)
    assert answer.content == inbox.said
    assert answer.reference is not None
    assert answer.reference.message_id == given
    assert answer.flags & MessageFlag.SUPPRESS_NOTIFICATIONS
    assert not world.pings
    [order] = inbox.orders
    assert (order.name, order.argument, order.address.thread) == ("agent", "research", channel)
    assert order.person.id == str(world.person("ada").id)
    assert len(inbox.turns) == asked


async def test_the_bots_role_is_its_name_too(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    thread = await a_thread(world, inbox)
    await world.say("ada", thread, f"<@&{world.guild.bot_role_id}> stop")
    await replies(world, thread)
    assert [one.name for one in inbox.orders] == ["stop"]


@pytest.mark.parametrize(
    "text", ["{bot} stop the server", "please {bot} stop", "{bot} stop {bot}", "<@1> stop", "{bot} ask", "stop"]
)
async def test_an_ordinary_question_stays_one(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd, text: str
) -> None:
    thread = await a_thread(world, inbox)
    before = len(inbox.turns)
    await world.say("ada", thread, text.format(bot=world.mention))
    await world.say("ada", thread, f"{world.mention} status", [("a.txt", "text/plain", b"a")])
    await world.say("ada", "general", f"{world.mention} stop")  # not in a thread
    await eventually(lambda: len(inbox.turns) >= before + 2)
    assert inbox.orders == []


async def test_what_nobody_heard_is_not_made_up_for(world: DiscordWorld, inbox: MemoryInbox) -> None:
    async with connected(world, inbox):
        thread = await a_thread(world, inbox)
    await world.say("ada", thread, f"{world.mention} stop")
    await world.say("ada", thread, "and now?")
    async with connected(world, inbox):
        await eventually(lambda: len(inbox.turns) == 2)
    assert inbox.orders == []


async def test_one_that_takes_long_holds_up_no_question(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    thread = await a_thread(world, inbox)
    inbox.gate.clear()
    await world.say("ada", thread, f"{world.mention} history")
    await world.say("ada", thread, "and now?")
    await eventually(lambda: len(inbox.turns) == 2)
    assert inbox.orders == []
    inbox.gate.set()
    await replies(world, thread)


async def test_what_changes_the_conversation_comes_before_what_is_written_next(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    thread = await a_thread(world, inbox)
    inbox.gate.clear()
    await world.say("ada", thread, f"{world.mention} new")
    await world.say("ada", thread, "the first of it")
    assert len(inbox.turns) == 1
    inbox.gate.set()
    await eventually(lambda: len(inbox.turns) == 2)
    assert [one.name for one in inbox.orders] == ["new"]


async def test_an_answer_is_never_taken_for_a_part_of_a_reply(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = await a_thread(world, inbox)
    asked = inbox.turns[0]
    await world.say("ada", thread, f"{world.mention} status")
    await replies(world, thread)
    monkeypatch.setattr(surface, "NONCE_LIVES", timedelta(0))  # as if all of it were long ago
    async with connected(world, MemoryInbox()) as restarted:
        taken_up = restarted.surface(asked.address, person=asked.person, guard=unguarded)
        part = PartKey("0123456789abcdef", PartKind.TEXT)
        assert await taken_up.find(part, after=asked.message_id, known=()) is None


async def test_files_and_help_and_upload(world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd) -> None:
    thread = await a_thread(world, inbox)
    inbox.listed = [Listed("sales.csv", 2_000_000)]
    for name in ("files", "help", "upload"):
        await world.say("ada", thread, f"{world.mention} {name}")
    said = {answer.content for answer in await replies(world, thread, 3)}
    assert spoken.HOW_TO_UPLOAD in said
    assert any("`sales.csv` 2 MB" in one for one in said)
    assert any("`/status`" in one for one in said)


async def test_a_file_comes_in_a_direct_message(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd, tmp_path: Path
) -> None:
    path = tmp_path / "1"
    path.write_bytes(b"month,sum\n")
    inbox.file = Upload("sales.csv", path, "text/csv", path.stat().st_size)
    thread = await a_thread(world, inbox)
    await world.say("ada", thread, f"{world.mention} download sales.csv columns=sum sort=-sum")
    [answer] = await replies(world, thread)
    assert answer.content == spoken.BRINGING
    [message] = await replies(world, str(world.direct("ada").id))
    [attachment] = message.attachments
    assert world.bytes_of(attachment) == b"month,sum\n"
    [order] = inbox.orders
    assert (order.argument, order.selection) == ("sales.csv", Selection("sum", "-sum"))
    assert order.person == Person(
        order.person.id, "Ada Lovelace", roles=order.person.roles, standing=Standing.MEMBER
    )


async def test_a_file_that_cannot_be_had_is_a_word(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    thread = await a_thread(world, inbox)
    await world.say("ada", thread, f"{world.mention} download x.txt")
    [message] = await replies(world, str(world.direct("ada").id))
    assert message.content == inbox.file
    world.faults.refuse("POST /users/@me/channels", 403, 50007, "Cannot send messages to this user", times=9)
    await world.say("ada", thread, f"{world.mention} download x.txt")
    assert (await replies(world, thread, 2))[1].content == spoken.CLOSED
    inbox.refusals = 1
    await world.say("ada", thread, f"{world.mention} history")
    assert (await replies(world, thread, 3))[2].content == NOT_DONE
