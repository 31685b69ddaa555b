"""What people do in the simulated Discord arrives in the inbox, through the real client."""

from __future__ import annotations

import pytest

from bridge.frontends.discord import listeners, presses
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.reading import custom_id
from bridge.inbound import Address, Inbound, Person
from bridge.listening import Listen, Listening
from bridge.playground.discord import DiscordWorld
from bridge.playground.discord.model import Permission
from bridge.turns.inbox import Edit
from bridge.turns.surface import Button, PartKey, PartKind
from tests.frontends.discord.running import MemoryInbox, connected, eventually
from tests.turns.world import unguarded

TURN = "0123456789abcdef"
STOP = Button("stop", "Stop", TURN)


def address(world: DiscordWorld, channel: int | str, thread: int) -> Address:
    return Address("discord", str(world.guild.id), str(world.place(channel).id), str(thread))


async def turns(inbox: MemoryInbox, count: int = 1) -> list[Inbound]:
    await eventually(lambda: len(inbox.turns) >= count)
    return inbox.turns


async def called(world: DiscordWorld, inbox: MemoryInbox, text: str = "first") -> Address:
    """A thread that the agent was called into."""
    await world.say("ada", "general", f"{world.mention} {text}")
    return (await turns(inbox))[-1].address


async def handled(world: DiscordWorld, inbox: MemoryInbox) -> None:
    """All that people did before was handed on: events keep their order, and a mention elsewhere came through."""
    before = len(inbox.turns)
    marker = await world.say("grace", "random", f"{world.mention} marker")
    await eventually(lambda: any(turn.message_id == str(marker) for turn in inbox.turns[before:]))
    inbox.turns[:] = [turn for turn in inbox.turns if turn.message_id != str(marker)]


async def test_a_mention_in_a_channel_begins_a_thread_of_its_own(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    files = [("notes.txt", "text/plain", b"hello")]
    message = await world.say(
        "ada", "general", f"{world.mention} what did <@{world.person('grace').id}> say?", files
    )
    (turn,) = await turns(inbox)
    assert turn.address == address(world, "general", message)
    assert turn.event_id == turn.message_id == str(message)
    assert turn.position == message
    assert turn.person.id == str(world.person("ada").id)
    assert turn.person.name == "Ada Lovelace"
    assert turn.text == "what did @Grace Hopper say?"
    assert [(file.name, file.media_type, file.size) for file in turn.files] == [("notes.txt", "text/plain", 5)]
    assert not turn.direct
    assert not turn.mid_thread


async def test_who_wrote_comes_with_the_ids_of_their_roles(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    await called(world, inbox)
    roles = tuple(world.add_role(world.guild, name) for name in ("ops", "on call"))
    for role in roles:
        world.give_role(world.guild, "grace", role)
    await world.say("grace", "general", f"{world.mention} second")
    await world.say("grace", world.direct("grace").id, "third")
    ada, grace, direct = await turns(inbox, 3)
    assert ada.person.roles == (), "that everyone is one of everyone says nothing"
    assert set(grace.person.roles) == set(map(str, roles))
    assert direct.person.roles == (), "no server, no roles"


async def test_the_bots_role_is_as_good_as_its_name(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    await world.say("ada", "general", f"<@&{world.guild.bot_role_id}> hello")
    assert (await turns(inbox))[0].text == "hello"


async def test_talk_in_channels_and_unknown_threads_is_left_alone(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    await world.say("ada", "general", "nothing for a bot")
    thread = await world.open_thread("ada", "general", "people only")
    await world.say("ada", thread, "between us")
    await handled(world, inbox)
    assert inbox.turns == []


async def test_a_known_thread_needs_no_mention(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    thread = await called(world, inbox)
    await world.open_thread("ada", "general", "asked", on=int(thread.thread))
    message = await world.say("grace", thread.thread, "and then?")
    turn = (await turns(inbox, 2))[1]
    assert (turn.address, turn.message_id) == (thread, str(message))
    assert (turn.person.name, turn.text, turn.mid_thread) == ("Grace Hopper", "and then?", False)


async def test_people_in_a_known_thread_may_talk_to_each_other(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    thread = await called(world, inbox)
    await world.open_thread("ada", "general", "asked", on=int(thread.thread))
    grace = f"<@{world.person('grace').id}>"
    await world.say("ada", thread.thread, f"{grace} did you see that?")
    await world.say("ada", thread.thread, f"{grace} and {world.mention}: try again")
    assert (await turns(inbox, 2))[1].text.endswith("try again")
    await handled(world, inbox)
    assert len(inbox.turns) == 2


async def test_a_mention_in_a_thread_of_others_brings_its_context(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    thread = await world.open_thread("ada", "general", "an old matter")
    await world.say("ada", thread, "something was said")
    await world.say("grace", thread, f"{world.mention} help us")
    (turn,) = await turns(inbox)
    assert turn.address == address(world, "general", thread)
    assert turn.mid_thread


async def test_a_thread_that_was_archived_before_the_start_is_found(
    world: DiscordWorld, inbox: MemoryInbox
) -> None:
    thread = await world.open_thread("ada", "general", "an old matter")
    await world.archive(thread)
    async with connected(world, inbox):
        await world.say("grace", thread, f"{world.mention} again")
        (turn,) = await turns(inbox)
    assert turn.address == address(world, "general", thread)


async def test_a_forum_post_that_mentions_the_bot(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    await world.create_forum_post("grace", "help", "Not for bots", "people only")
    post = await world.create_forum_post("ada", "help", "It broke", f"{world.mention} why?")
    (turn,) = await turns(inbox)
    assert turn.address == address(world, "help", post)
    assert (turn.message_id, turn.text, turn.mid_thread) == (str(post), "# It broke\n\nwhy?", False)


async def test_a_direct_message(world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd) -> None:
    direct = world.direct("ada")
    await world.say("ada", direct.id, "hello")
    (turn,) = await turns(inbox)
    assert turn.address == Address("discord", "", str(direct.id), str(direct.id))
    assert turn.direct


async def test_a_mention_by_reply_has_context(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    earlier = await world.say("grace", "general", "the build is red")
    message = await world.say("ada", "general", f"{world.mention} why?", reply_to=earlier)
    (turn,) = await turns(inbox)
    assert turn.address == address(world, "general", message)
    assert turn.mid_thread


async def test_where_threads_are_forbidden_a_reply_to_the_bot_goes_on(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    world.place("general").denied = Permission.CREATE_PUBLIC_THREADS
    root = await called(world, inbox)
    posted = await front.surface(root, person=Person("1"), guard=unguarded).post(
        PartKey(TURN, PartKind.TEXT, 0), "yes?", last=True
    )
    follow_up = await world.say("grace", "general", "and why?", reply_to=int(posted))
    await world.say("grace", "general", "nothing for a bot")
    turn = (await turns(inbox, 2))[1]
    assert (turn.address, turn.message_id) == (root, str(follow_up))
    await handled(world, inbox)
    assert len(inbox.turns) == 2


async def test_the_ping_of_a_reply_alone_is_no_mention(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    posted = await front.client.get_partial_messageable(world.place("general").id).send("a notice")
    await world.say("ada", "general", "thanks", reply_to=posted.id)
    await handled(world, inbox)
    assert inbox.turns == []


async def test_bots_are_ignored_itself_too(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    world.add_person("Robot", bot=True)
    await world.say("robot", "general", f"{world.mention} hello")
    await front.client.get_partial_messageable(world.place("general").id).send(f"{world.mention} hello")
    await handled(world, inbox)
    assert inbox.turns == []


async def test_a_delivery_repeated_is_one_turn(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    await called(world, inbox)
    world.gateway.repeat_last()
    await handled(world, inbox)
    assert len(inbox.turns) == 1


async def test_messages_of_a_channel_keep_their_order(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    direct = world.direct("ada").id
    inbox.held = "number 0"
    inbox.gate.clear()
    said = [await world.say("ada", direct, f"number {number}") for number in range(5)]
    await handled(world, inbox)
    assert inbox.turns == []
    inbox.gate.set()
    assert [turn.position for turn in await turns(inbox, 5)] == said


async def test_a_store_that_fails_for_a_moment_loses_nothing(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    inbox.refusals = 1
    await called(world, inbox)
    assert len(inbox.turns) == 1


async def test_a_question_that_was_changed_too_late_is_offered_below_it(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    thread = await called(world, inbox)
    await world.open_thread("ada", "general", "asked", on=int(thread.thread))
    message = await world.say("ada", thread.thread, "and ten?")
    await eventually(lambda: len(inbox.turns) == 2)
    inbox.edit = Edit(asked="0123456789abcdef")
    await world.edit("ada", thread.thread, message, "and then?")
    offer = await world.until(
        lambda: next(
            (one for one in world.messages(thread.thread) if one.author.id == world.bot.id and one.components),
            None,
        )
    )
    assert offer.reference is not None
    assert offer.reference.message_id == message
    inbox.settled = "Asked again · Ada"
    interaction = await world.press("ada", offer.id, "threadbridge:reask:0123456789abcdef:")
    await world.until(lambda: interaction.answered)
    assert inbox.presses == [("reask", "0123456789abcdef", thread)]
    await world.until(lambda: "Asked again" in world.messages(thread.thread)[-1].content)
    assert not world.pings


async def test_a_mention_that_is_added_by_an_edit_counts(
    world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
) -> None:
    message = await world.say("ada", "general", "is anyone here?")
    await world.edit("ada", "general", message, f"{world.mention} is anyone here?")
    await world.edit("ada", "general", message, f"{world.mention} is anyone there?")
    await eventually(lambda: len(inbox.edits) == 2)
    assert [turn.message_id for turn in inbox.turns] == [str(message)]


async def test_edits_of_what_was_asked(world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd) -> None:
    thread = await called(world, inbox)
    # A thread opened on the message changes it too, but isn't an edit.
    await world.open_thread("ada", "general", "asked", on=int(thread.thread))
    await world.edit("ada", "general", int(thread.thread), f"{world.mention} better words")
    await eventually(lambda: inbox.edits)
    message = await world.say("grace", thread.thread, "and then?")
    await world.edit("grace", thread.thread, message, "and now?")
    await eventually(lambda: len(inbox.edits) > 1)
    assert inbox.edits == [(thread, thread.thread, "better words"), (thread, str(message), "and now?")]


async def test_deletions(world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd) -> None:
    thread = await called(world, inbox)
    await world.open_thread("ada", "general", "asked", on=int(thread.thread))
    message = await world.say("grace", thread.thread, "and then?")
    await world.delete("grace", thread.thread, message)
    await eventually(lambda: inbox.deletions)
    await world.delete("ada", "general", int(thread.thread))
    await eventually(lambda: len(inbox.deletions) > 1)
    direct = world.direct("ada").id
    await world.delete("ada", direct, await world.say("ada", direct, "never mind"))
    await eventually(lambda: len(inbox.deletions) > 2)
    assert inbox.deletions[:2] == [(thread, str(message)), (thread, thread.thread)]
    assert inbox.deletions[2][0] == Address("discord", "", str(direct), str(direct))


class TestButtons:
    async def posted(self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd) -> tuple[Address, int]:
        thread = await called(world, inbox)
        surface = front.surface(thread, person=Person("1"), guard=unguarded)
        return thread, int(
            await surface.post(PartKey(TURN, PartKind.TEXT, 0), "working", last=False, buttons=[STOP])
        )

    async def test_a_press_is_answered_to_the_person_alone(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        thread, message = await self.posted(world, inbox, front)
        inbox.answer = "Stopping."
        interaction = await world.press("grace", message, custom_id(STOP))
        await world.until(lambda: interaction.answered)
        assert inbox.presses == [("stop", TURN, thread)]
        mine = [found for found in world.messages(thread.thread, seen_by="grace") if found.content == "Stopping."]
        assert len(mine) == 1
        assert all(found.content != "Stopping." for found in world.messages(thread.thread))

    async def test_a_press_with_nothing_to_say(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        thread, message = await self.posted(world, inbox, front)
        before = len(world.messages(thread.thread, seen_by="grace"))
        interaction = await world.press("grace", message, custom_id(STOP))
        await world.until(lambda: interaction.answered)
        assert len(world.messages(thread.thread, seen_by="grace")) == before

    async def test_a_slow_press_is_deferred_and_answered_later(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(presses, "ANSWER_WITHIN", 0.05)
        _, message = await self.posted(world, inbox, front)
        inbox.answer = "Stopping."
        inbox.gate.clear()
        interaction = await world.press("grace", message, custom_id(STOP))
        await world.until(lambda: interaction.answered)
        assert inbox.presses == []
        inbox.gate.set()
        await world.until(lambda: interaction.followup_ids)
        assert world.ephemeral[interaction.followup_ids[0]].content == "Stopping."

    async def test_a_press_that_could_not_be_stored_says_so(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        thread, message = await self.posted(world, inbox, front)
        inbox.refusals = 1
        interaction = await world.press("grace", message, custom_id(STOP))
        await world.until(lambda: interaction.answered)
        assert listeners.NOT_STORED in [found.content for found in world.messages(thread.thread, seen_by="grace")]

    async def test_it_works_after_a_restart_and_in_a_direct_message(
        self, world: DiscordWorld, inbox: MemoryInbox
    ) -> None:
        direct = world.direct("ada").id
        where = Address("discord", "", str(direct), str(direct))
        async with connected(world, inbox) as front:
            surface = front.surface(where, person=Person("1"), guard=unguarded)
            message = int(
                await surface.post(PartKey(TURN, PartKind.TEXT, 0), "working", last=False, buttons=[STOP])
            )
        async with connected(world, inbox):
            interaction = await world.press("ada", message, custom_id(STOP))
            await world.until(lambda: interaction.answered)
        assert inbox.presses == [("stop", TURN, where)]

    async def test_in_a_chain_of_replies_it_names_the_first_question(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        world.place("general").denied = Permission.CREATE_PUBLIC_THREADS
        thread, message = await self.posted(world, inbox, front)
        await world.press("grace", message, custom_id(STOP))
        await eventually(lambda: inbox.presses)
        assert inbox.presses == [("stop", TURN, thread)]


@pytest.mark.parametrize(("listen", "heard"), [("follow", 0), ("all", 2)])
async def test_a_forum_where_every_post_is_asked(listen: Listen, heard: int) -> None:
    world, inbox = DiscordWorld(rate=None), MemoryInbox()
    async with connected(world, inbox, listening_at=lambda _: Listening(listen)):
        post = await world.create_forum_post("ada", "help", "It broke", "why?")
        await world.say("grace", post, f"<@{world.person('ada').id}> what did you do?")
        await turns(inbox, heard)  # a mention elsewhere may overtake what has to be looked up first
        await handled(world, inbox)
        assert [turn.address for turn in inbox.turns] == [address(world, "help", post)] * heard
        assert [turn.mid_thread for turn in inbox.turns] == [False] * heard


async def test_a_reply_to_the_bot_goes_on_in_a_flat_channel() -> None:
    world, inbox = DiscordWorld(rate=None), MemoryInbox()
    async with connected(world, inbox, listening_at=lambda _: Listening(flat=True)) as front:
        await world.say("ada", "general", f"{world.mention} milk")
        [turn] = await turns(inbox)
        general = world.place("general").id
        assert turn.address == address(world, "general", general)
        surface = front.surface(turn.address, person=turn.person, guard=unguarded)
        ours = await surface.post(PartKey(TURN, PartKind.TEXT, 0), "honey", last=True)
        await world.say("ada", "general", "among ourselves")
        await world.say("ada", "general", "and bread", reply_to=int(ours))
        await handled(world, inbox)
        assert [turn.text for turn in inbox.turns] == ["milk", "and bread"]
        assert inbox.turns[1].address == turn.address
