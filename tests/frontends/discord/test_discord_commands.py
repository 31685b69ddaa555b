"""Slash commands: registered once, carried out, answered to whoever used them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bridge.commands import COMMANDS
from bridge.frontends.discord import about, commands, surface
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.bringing import NOT_DONE
from bridge.frontends.discord.commands import differ, payloads
from bridge.inbound import Address, Person, Standing
from bridge.playground.discord import DiscordWorld
from bridge.playground.discord.commands import check_commands
from bridge.playground.discord.invocations import CallbackType, Interaction
from bridge.playground.discord.model import Message, MessageFlag, Permission
from bridge.turns.inbox import Listed
from bridge.turns.surface import PartKey, PartKind, Upload
from tests.frontends.discord.running import MemoryInbox, connected, eventually
from tests.turns.world import unguarded

TURN = "0123456789abcdef"
WANTED = [*payloads(), *about.payloads(for_people=True)]
READ, WRITE = "GET /applications/*/commands", "PUT /applications/*/commands"


@pytest.fixture
async def registered(world: DiscordWorld, front: DiscordFrontEnd) -> DiscordFrontEnd:
    await eventually(lambda: world.commands.get(0))
    return front


async def answered(world: DiscordWorld, interaction: Interaction) -> str:
    """What the person is told; nobody else sees it."""
    await eventually(
        lambda: interaction.original_id and not _shown(world, interaction).flags & MessageFlag.LOADING
    )
    message = _shown(world, interaction)
    assert message.flags & MessageFlag.EPHEMERAL
    return message.content


def _shown(world: DiscordWorld, interaction: Interaction) -> Message:
    return world.ephemeral[interaction.original_id or 0]


async def a_thread(world: DiscordWorld, inbox: MemoryInbox) -> str:
    """A thread that the agent was called into."""
    message = await world.say("ada", "general", "lunch?")
    thread = str(await world.open_thread("ada", "general", "Lunch", on=message))
    await world.say("ada", thread, f"{world.mention} what do you say?")
    await eventually(lambda: inbox.turns)
    return thread


def test_discord_takes_the_table() -> None:
    assert [one["name"] for one in check_commands(payloads())] == [one.name for one in COMMANDS]


class TestRegistration:
    async def test_it_is_done_once(self, world: DiscordWorld, inbox: MemoryInbox) -> None:
        async with connected(world, inbox):
            await eventually(lambda: world.commands.get(0))
        before = world.commands[0]
        async with connected(world, inbox):
            await eventually(lambda: len(world.calls(READ)) == 2)
        assert len(world.calls(WRITE)) == 1
        assert world.commands[0] is before

    async def test_what_differs_is_written_again(self, world: DiscordWorld, inbox: MemoryInbox) -> None:
        async with connected(world, inbox):
            await eventually(lambda: world.commands.get(0))
        world.commands[0][0]["description"] = "as it was before an update"
        assert differ(world.commands[0], WANTED)
        async with connected(world, inbox):
            await eventually(lambda: len(world.calls(WRITE)) == 2 and not differ(world.commands[0], WANTED))

    async def test_messages_are_served_where_it_fails(self, world: DiscordWorld, inbox: MemoryInbox) -> None:
        world.faults.refuse(READ, 403, 50001, "Missing Access", times=9)
        async with connected(world, inbox):
            await eventually(lambda: world.calls(READ))
            await world.say("ada", "general", f"{world.mention} hello")
            await eventually(lambda: inbox.turns)
        assert not world.calls(WRITE)


class TestAsk:
    async def test_in_a_channel_it_opens_a_thread(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        used = await world.command("ada", "general", "ask", {"text": "How are <@1> @everyone\nsales?"})
        told = await answered(world, used)
        (turn,) = inbox.turns
        (shown,) = world.messages("general")
        channel = str(world.place("general").id)
        assert turn.address == Address("discord", str(world.guild.id), channel, str(shown.id))
        assert (turn.event_id, turn.message_id, turn.position) == (str(used.id), str(shown.id), shown.id)
        assert turn.person == Person(str(world.person("ada").id), "Ada Lovelace", standing=Standing.MEMBER)
        assert turn.text == "How are @1 @everyone\nsales?"
        assert not turn.mid_thread
        assert shown.content == "**Ada Lovelace asks:**\n> How are <@1> @everyone\n> sales?"
        assert str(shown.id) in told
        assert not world.pings
        shown_by = registered.surface(turn.address, person=turn.person, guard=unguarded)
        await shown_by.post(PartKey(TURN, PartKind.TEXT), "Well.", last=True)
        (thread,) = world.threads("general")
        assert thread.id == shown.id
        assert (thread.name or "").startswith("How are")

    async def test_in_a_direct_message_and_a_thread_it_stays_there(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        direct = str(world.direct("ada").id)
        await answered(world, await world.command("ada", direct, "ask", {"text": "hello"}))
        (turn,) = inbox.turns
        assert turn.direct
        assert turn.address == Address("discord", "", direct, direct)
        other = str(await world.open_thread("ada", "general", "Among people"))
        await answered(world, await world.command("grace", other, "ask", {"text": "and here?"}))
        assert inbox.turns[1].address.thread == other
        assert inbox.turns[1].mid_thread

    async def test_a_shown_question_is_never_taken_for_a_part_of_a_reply(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        thread = await a_thread(world, inbox)
        first = inbox.turns[0]
        await answered(world, await world.command("grace", thread, "ask", {"text": "and me?"}))
        monkeypatch.setattr(surface, "NONCE_LIVES", timedelta(0))  # as if all of it were long ago
        async with connected(world, MemoryInbox()) as restarted:
            taken_up = restarted.surface(first.address, person=first.person, guard=unguarded)
            assert await taken_up.find(PartKey(TURN, PartKind.TEXT), after=first.message_id, known=()) is None

    async def test_where_it_may_not_write_it_says_so(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        world.deny("general", Permission.SEND_MESSAGES)
        used = await world.command("ada", "general", "ask", {"text": "hello"})
        assert await answered(world, used) == commands.NOT_HERE
        assert inbox.turns == []


class TestOrders:
    @pytest.mark.parametrize("name", ["new", "agent", "history", "stop", "retry", "status"])
    async def test_in_a_thread_and_a_direct_message_they_are_carried_out(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd, name: str
    ) -> None:
        thread = str(await world.open_thread("ada", "general", "Here"))
        direct = str(world.direct("ada").id)
        for place in (thread, direct):
            assert await answered(world, await world.command("ada", place, name)) == inbox.said
        here, there = inbox.orders
        assert (here.name, here.address.thread) == (name, thread)
        assert (there.name, there.address) == (name, Address("discord", "", direct, direct))
        assert here.person == Person(str(world.person("ada").id), "Ada Lovelace", standing=Standing.MEMBER)

    async def test_in_a_channel_they_say_where_to_use_them(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        assert await answered(world, await world.command("ada", "general", "stop")) == commands.WRONG_PLACE
        assert inbox.orders == []

    async def test_the_agents_name_comes_along(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        direct = str(world.direct("ada").id)
        await answered(world, await world.command("ada", direct, "agent", {"name": " research "}))
        assert inbox.orders[0].argument == "research"

    async def test_one_that_takes_long_is_deferred_and_then_answered(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(commands, "ANSWER_WITHIN", 0.01)
        inbox.gate.clear()
        used = await world.command("ada", str(world.direct("ada").id), "history")
        await eventually(lambda: used.answer is CallbackType.DEFER)
        inbox.gate.set()
        assert await answered(world, used) == inbox.said

    async def test_one_that_fails_says_so(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        inbox.refusals = 1
        assert await answered(world, await world.command("ada", str(world.direct("ada").id), "stop")) == (NOT_DONE)

    async def test_a_long_answer_is_cut_and_pings_nobody(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        inbox.said = "@everyone <@1> " + "日本語 😀 " * 1000
        told = await answered(world, await world.command("ada", str(world.direct("ada").id), "history"))
        assert told.endswith("…")
        assert not world.pings

    async def test_help_is_the_table(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        told = await answered(world, await world.command("ada", "general", "help"))
        for command in COMMANDS:
            assert f"/{command.usage}" in told
            assert command.help in told

    async def test_a_command_of_before_an_update_is_answered(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        [help_command] = [one for one in world.commands[0] if one["name"] == "help"]
        world.commands[0].append({**help_command, "name": "gone", "id": "1"})
        assert await answered(world, await world.command("ada", "general", "gone")) == commands.UNKNOWN


class TestFiles:
    async def test_they_are_listed(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        direct = str(world.direct("ada").id)
        assert await answered(world, await world.command("ada", direct, "files")) == "No files yet."
        inbox.listed = [Listed(f"file {number}.txt", None) for number in range(40)]
        inbox.listed += [Listed("sales @everyone `x`.csv", 2_000_000)]
        told = await answered(world, await world.command("ada", direct, "files"))
        assert "16 older ones" in told
        assert "2 MB" in told
        assert "file 39.txt" in told
        assert "file 15.txt" not in told
        assert not world.pings

    async def test_the_names_are_completed(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        direct = str(world.direct("ada").id)
        inbox.listed = [Listed(name, 1) for name in ("a sales.csv", "Sales.csv", "x" * 101 + "sales", "report.md")]
        used = await world.autocomplete("ada", direct, "download", "name", "sal")
        await eventually(lambda: used.answered)
        assert [one["value"] for one in used.choices] == ["Sales.csv", "a sales.csv"]
        inbox.listed = [Listed(f"{number}.txt", 1) for number in range(99)]
        used = await world.autocomplete("ada", direct, "download", "name", "")
        await eventually(lambda: used.answered)
        assert [one["value"] for one in used.choices] == [f"{number}.txt" for number in range(98, 73, -1)]

    async def test_a_completion_that_takes_long_offers_nothing(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(commands, "ANSWER_WITHIN", 0.01)
        inbox.gate.clear()
        used = await world.autocomplete("ada", str(world.direct("ada").id), "download", "name", "sal")
        await eventually(lambda: used.answered)
        assert used.choices == []
        inbox.gate.set()

    async def test_one_is_brought_to_the_person_alone(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd, tmp_path: Path
    ) -> None:
        path = tmp_path / "1"
        path.write_bytes(b"month,sum\n" * 10_000)
        inbox.file = Upload("sales.csv", path, "text/csv", path.stat().st_size)
        used = await world.command("ada", str(world.direct("ada").id), "download", {"name": "sales.csv"})
        await eventually(lambda: used.original_id and _shown(world, used).attachments)
        (attachment,) = _shown(world, used).attachments
        assert _shown(world, used).flags & MessageFlag.EPHEMERAL
        assert attachment.name == "sales.csv"
        assert world.bytes_of(attachment) == path.read_bytes()
        (order,) = inbox.orders
        assert (order.name, order.argument) == ("download", "sales.csv")
        assert inbox.max_bytes == 10 * 2**20

    async def test_one_that_cannot_be_had_is_a_word(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        used = await world.command("ada", str(world.direct("ada").id), "download", {"name": "x"})
        assert await answered(world, used) == inbox.file
        used = await world.command("ada", "general", "download", {"name": "x"})
        assert await answered(world, used) == commands.WRONG_PLACE


class TestUpload:
    @pytest.mark.parametrize("place", ["channel", "thread", "direct"])
    async def test_ten_files_and_a_word_become_a_turn(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd, tmp_path: Path, place: str
    ) -> None:
        channel = {
            "channel": str(world.place("general").id),
            "thread": str(await world.open_thread("ada", "general", "Here")),
            "direct": str(world.direct("ada").id),
        }[place]
        files = {f"file{number}": (f"{number} a.txt", "text/plain", b"%d" % number) for number in range(1, 11)}
        used = await world.command("ada", channel, "upload", {"text": "sum @everyone up"}, files)
        told = await answered(world, used)
        (turn,) = inbox.turns
        shown = world.messages(channel)[-1]
        assert str(shown.id) in told
        assert shown.content.startswith("**Ada Lovelace sends 1")
        assert shown.content.endswith(":**\n> sum @everyone up")
        assert (turn.message_id, turn.text) == (str(shown.id), "sum @everyone up")
        assert turn.address.thread == (str(shown.id) if place == "channel" else channel)
        assert turn.direct is (place == "direct")
        assert [(file.name, file.size) for file in turn.files] == [
            (name, len(content)) for name, _, content in files.values()
        ]
        by = registered.surface(turn.address, person=turn.person, guard=unguarded)
        await by.fetch(turn.files[9], tmp_path / "10", 100)
        assert (tmp_path / "10").read_bytes() == b"10"
        assert not world.pings

    async def test_without_a_word_the_thread_has_the_files_name(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        file = ("sales.csv", "text/csv", b"1,2")
        await answered(world, await world.command("ada", "general", "upload", {}, {"file1": file}))
        (turn,) = inbox.turns
        assert turn.text == ""
        assert world.messages("general")[-1].content == "**Ada Lovelace sends sales.csv**"
        assert registered.names[int(turn.message_id)] == "sales.csv"

    async def test_what_the_agent_cannot_get_is_refused_before_anything_is_shown(
        self, world: DiscordWorld, inbox: MemoryInbox, registered: DiscordFrontEnd
    ) -> None:
        file = ("big.bin", "x/y", bytes(2_000))
        used = await world.command("ada", "general", "upload", {}, {"file1": file})
        assert await answered(world, used) == "Too large."
        assert inbox.turns == []
        assert not world.messages("general")

    async def test_a_file_is_required(self, world: DiscordWorld, registered: DiscordFrontEnd) -> None:
        with pytest.raises(ValueError, match="required: file1"):
            await world.command("ada", "general", "upload", {"text": "nothing"})
