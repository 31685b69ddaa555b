"""What a reply does through the real client, as the simulated Discord shows it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.frontends.discord import typing_sign
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.presses import MAX_TEXT
from bridge.frontends.discord.reading import custom_id
from bridge.frontends.discord.settings import DiscordSettings
from bridge.frontends.discord.surface import DiscordSurface
from bridge.inbound import Address, ContextMessage, Person, RemoteFile
from bridge.playground.discord import DiscordWorld, MessageFlag, Permission
from bridge.turns.surface import Button, Gone, PartFull, PartKey, PartKind, Refused, Throttled, Unreachable, Upload
from tests.frontends.discord.running import MemoryInbox, connected, eventually
from tests.turns.world import unguarded

TURN = "0123456789abcdef"
KEY = PartKey(TURN, PartKind.TEXT, 0)
SEND = "POST /channels/*/messages"
EDIT = "PATCH /channels/*/messages/*"
BUTTONS = [Button("stop", "Stop", TURN), Button("retry", "Try again", TURN)]


class Asked:
    """A question in a channel, and the surface of its turn."""

    def __init__(
        self, world: DiscordWorld, front: DiscordFrontEnd, message: int, channel: str = "general"
    ) -> None:
        self.world = world
        self.message = message
        self.address = Address("discord", str(world.guild.id), str(world.place(channel).id), str(message))
        self.surface = front.surface(self.address, person=Person("1"), guard=unguarded)

    def texts(self) -> list[str]:
        """What the bot wrote in the thread."""
        return [
            message.content
            for message in self.world.messages(self.message)
            if message.author.bot and message.content
        ]


@pytest.fixture
async def asked(world: DiscordWorld, front: DiscordFrontEnd) -> Asked:
    return Asked(world, front, await world.say("ada", "general", f"{world.mention} What is the\nanswer?"))


@pytest.fixture
def direct(world: DiscordWorld, front: DiscordFrontEnd) -> tuple[int, DiscordSurface]:
    channel = world.direct("ada").id
    return channel, front.surface(
        Address("discord", "", str(channel), str(channel)), person=Person("1"), guard=unguarded
    )


class TestTheThread:
    async def test_it_is_made_from_the_question_and_named_after_it(
        self, world: DiscordWorld, asked: Asked
    ) -> None:
        await asked.surface.post(KEY, "42", last=True)
        (thread,) = world.threads("general")
        assert (thread.id, thread.name) == (asked.message, "What is the answer?")
        assert asked.texts() == ["42"]

    async def test_it_is_made_once_however_many_ask_for_it(
        self, world: DiscordWorld, front: DiscordFrontEnd, asked: Asked
    ) -> None:
        another = front.surface(asked.address, person=Person("1"), guard=unguarded)
        await asyncio.gather(
            asked.surface.working(""),
            asked.surface.post(KEY, "one", last=True),
            another.post(PartKey(TURN, PartKind.TEXT, 1), "two", last=True),
        )
        assert len(world.threads("general")) == 1
        assert sorted(asked.texts()) == ["one", "two"]

    async def test_it_may_have_been_made_by_someone_else(self, world: DiscordWorld, asked: Asked) -> None:
        await world.open_thread("grace", "general", "mine", on=asked.message)
        await asked.surface.post(KEY, "42", last=True)
        assert asked.texts() == ["42"]

    async def test_it_may_have_been_made_by_a_call_whose_answer_was_lost(
        self, world: DiscordWorld, asked: Asked
    ) -> None:
        world.faults.break_down("POST /channels/*/messages/*/threads", 503, after=True)
        with pytest.raises(Unreachable):
            await asked.surface.post(KEY, "42", last=True)
        await asked.surface.post(KEY, "42", last=True)
        assert asked.texts() == ["42"]

    async def test_where_it_is_forbidden_every_part_replies_to_the_question(
        self, world: DiscordWorld, asked: Asked
    ) -> None:
        world.place("general").denied = Permission.CREATE_PUBLIC_THREADS
        first = await asked.surface.post(KEY, "one", last=True)
        await asked.surface.post(PartKey(TURN, PartKind.TEXT, 1), "two", last=True)
        assert world.threads("general") == []
        question, *parts = world.messages("general")
        assert [part.content for part in parts] == ["one", "two"]
        assert {part.reference.message_id for part in parts if part.reference} == {question.id}
        assert (
            await asked.surface.find(PartKey(TURN, PartKind.TEXT, 2), after=first, known=[str(parts[1].id)])
            is None
        )
        assert not world.pings

    async def test_a_forum_post_is_its_own_thread(self, world: DiscordWorld, front: DiscordFrontEnd) -> None:
        post = await world.create_forum_post("ada", "help", "It broke", f"{world.mention} why?")
        asked = Asked(world, front, post, "help")
        await asked.surface.post(KEY, "because", last=True)
        assert asked.texts() == ["because"]
        assert not world.calls("POST /channels/*/messages/*/threads")

    async def test_an_archived_one_is_opened_by_what_is_posted(self, world: DiscordWorld, asked: Asked) -> None:
        await asked.surface.post(KEY, "one", last=True)
        await world.archive(asked.message)
        await asked.surface.post(PartKey(TURN, PartKind.TEXT, 1), "two", last=True)
        assert asked.texts() == ["one", "two"]

    async def test_an_archived_one_is_opened_for_an_edit(self, world: DiscordWorld, asked: Asked) -> None:
        part = await asked.surface.post(KEY, "one", last=False)
        await world.archive(asked.message)
        await asked.surface.edit(KEY, part, "one two", shown="one", last=True)
        assert asked.texts() == ["one two"]

    async def test_a_locked_one_is_gone(self, world: DiscordWorld, asked: Asked) -> None:
        part = await asked.surface.post(KEY, "one", last=False)
        await world.archive(asked.message, archived=True, locked=True)
        with pytest.raises(Gone):
            await asked.surface.post(PartKey(TURN, PartKind.TEXT, 1), "two", last=True)
        with pytest.raises(Gone):
            await asked.surface.edit(KEY, part, "one two", shown="one", last=True)

    async def test_a_deleted_one_is_gone(self, world: DiscordWorld, asked: Asked) -> None:
        part = await asked.surface.post(KEY, "one", last=False)
        await world.delete_channel(asked.message)
        with pytest.raises(Gone):
            await asked.surface.edit(KEY, part, "one two", shown="one", last=True)

    @pytest.mark.slow
    async def test_a_server_that_put_the_bot_out_is_gone(self, front: DiscordFrontEnd) -> None:
        surface = front.surface(Address("discord", "1", "2", "3"), person=Person("1"), guard=unguarded)
        await eventually(front.client.is_ready)
        with pytest.raises(Gone):
            await surface.post(KEY, "42", last=True)

    async def test_a_question_deleted_before_the_first_part_is_gone(
        self, world: DiscordWorld, asked: Asked
    ) -> None:
        await world.delete("ada", "general", asked.message)
        with pytest.raises(Gone):
            await asked.surface.post(KEY, "42", last=True)


class TestParts:
    async def test_a_post_pings_nobody_and_shows_no_preview(self, world: DiscordWorld, asked: Asked) -> None:
        text = f"@everyone <@{world.person('grace').id}> https://example.com/leak"
        part = await asked.surface.post(KEY, text, last=True)
        await asked.surface.edit(KEY, part, f"{text}!", shown=text, last=True)
        assert asked.texts() == [f"{text}!"]
        assert not world.pings
        assert not world.unfurls

    async def test_a_post_repeated_is_one_message(self, world: DiscordWorld, asked: Asked) -> None:
        first = await asked.surface.post(KEY, "42", last=True)
        assert await asked.surface.post(KEY, "42", last=True) == first
        assert asked.texts() == ["42"]

    async def test_an_edit_replaces_the_text_and_the_buttons(self, world: DiscordWorld, asked: Asked) -> None:
        part = await asked.surface.post(KEY, "4", last=False, buttons=BUTTONS[:1])
        await asked.surface.edit(KEY, part, "42", shown="4", last=True, buttons=BUTTONS[1:])
        message = world.messages(asked.message)[-1]
        assert message.content == "42"
        (row,) = message.components
        assert [(item["custom_id"], item["label"]) for item in row["components"]] == [
            (custom_id(BUTTONS[1]), "Try again")
        ]
        await asked.surface.edit(KEY, part, "42", shown="42", last=True)
        assert world.messages(asked.message)[-1].components == []

    async def test_an_edit_that_changes_nothing_costs_nothing(self, world: DiscordWorld, asked: Asked) -> None:
        part = await asked.surface.post(KEY, "42", last=False)
        await asked.surface.edit(KEY, part, "42", shown="42", last=False)
        assert not world.calls(EDIT)

    async def test_a_full_part_fits_and_more_is_refused(self, world: DiscordWorld, asked: Asked) -> None:
        assert asked.surface.style.limit == MAX_TEXT
        await asked.surface.post(KEY, "x" * MAX_TEXT, last=True)
        with pytest.raises(Refused):
            await asked.surface.post(PartKey(TURN, PartKind.TEXT, 1), "x" * (MAX_TEXT + 1), last=True)

    async def test_a_part_can_be_taken_away(self, world: DiscordWorld, asked: Asked) -> None:
        part = await asked.surface.post(KEY, "42", last=True)
        await world.archive(asked.message)
        await asked.surface.delete(part)
        await asked.surface.delete(part)
        assert asked.texts() == []

    async def test_a_deleted_part_is_gone(self, world: DiscordWorld, asked: Asked) -> None:
        part = await asked.surface.post(KEY, "4", last=False)
        del world.place(asked.message).messages[int(part)]
        with pytest.raises(Gone):
            await asked.surface.edit(KEY, part, "42", shown="4", last=True)

    async def test_without_a_connection_nothing_is_reachable(self, asked: Asked, world: DiscordWorld) -> None:
        settings = DiscordSettings.model_validate({"token": "abc"})
        idle = DiscordFrontEnd(settings, MemoryInbox())
        with pytest.raises(Unreachable):
            await idle.surface(asked.address, person=Person("1"), guard=unguarded).post(KEY, "42", last=True)
        await idle.downloads.close()


class TestTroubles:
    async def test_a_post_whose_answer_was_lost_is_found(
        self, world: DiscordWorld, front: DiscordFrontEnd, asked: Asked
    ) -> None:
        before = await asked.surface.post(KEY, "one", last=True)
        lost = PartKey(TURN, PartKind.TEXT, 1)
        assert await asked.surface.find(lost, after=before, known=[before]) is None
        world.faults.break_down(SEND, 503, after=True)
        with pytest.raises(Unreachable):
            await asked.surface.post(lost, "two", last=True)
        await eventually(lambda: front.echoes.message(lost.nonce))
        found = await asked.surface.find(lost, after=before, known=[before])
        assert found == str(world.messages(asked.message)[-1].id)
        assert asked.texts() == ["one", "two"]

    async def test_after_a_restart_it_is_found_among_others(
        self, world: DiscordWorld, asked: Asked, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = await asked.surface.post(KEY, "one", last=True)
        await world.say("grace", asked.message, "hm")
        lost = await asked.surface.post(PartKey(TURN, PartKind.TEXT, 1), "two", last=True)
        async with connected(world, MemoryInbox()) as restarted:
            surface = restarted.surface(asked.address, person=Person("1"), guard=unguarded)
            key = PartKey(TURN, PartKind.TEXT, 1)
            # So soon a repeat finds it for certain.
            assert await surface.find(key, after=before, known=[before]) is None
            assert await surface.post(key, "two", last=True) == lost
        monkeypatch.setattr("bridge.frontends.discord.surface.NONCE_LIVES", timedelta(0))
        async with connected(world, MemoryInbox()) as restarted:
            surface = restarted.surface(asked.address, person=Person("1"), guard=unguarded)
            assert await surface.find(key, after=before, known=[before]) == lost
            assert await surface.find(key, after=before, known=[before, lost]) is None
            other = PartKey(TURN, PartKind.TEXT, 2)
            await surface.post(other, "three", last=True)
            assert await surface.find(key, after=lost, known=[before]) is None
        assert asked.texts() == ["one", "two", "three"]

    async def test_after_a_restart_the_message_with_the_stop_button_is_known_at_once(
        self, world: DiscordWorld, asked: Asked
    ) -> None:
        stop = [Button("stop", "Stop", TURN)]
        before = await asked.surface.post(KEY, "one", last=True)
        grows = await asked.surface.post(PartKey(TURN, PartKind.TEXT, 1), "two", last=False, buttons=stop)
        async with connected(world, MemoryInbox()) as restarted:
            surface = restarted.surface(asked.address, person=Person("1"), guard=unguarded)
            assert await surface.find(PartKey(TURN, PartKind.TEXT, 1), after=before, known=[before]) == grows
            another = PartKey("another turn", PartKind.TEXT, 0)
            assert await surface.find(another, after=before, known=[before]) is None

    async def test_a_finished_message_that_is_posted_again_gets_no_stop_button(
        self, world: DiscordWorld, asked: Asked
    ) -> None:
        """Who takes over doesn't know yet that it was finished."""
        stop = [Button("stop", "Stop", TURN)]
        first = await asked.surface.post(KEY, "one", last=True)
        async with connected(world, MemoryInbox()) as restarted:
            surface = restarted.surface(asked.address, person=Person("1"), guard=unguarded)
            assert await surface.post(KEY, "one", last=False, buttons=stop) == first
            assert world.messages(asked.message)[-1].components == []
            await surface.edit(KEY, first, "one and two", shown="one", last=False, buttons=stop)
            assert world.messages(asked.message)[-1].components != []
            await surface.edit(KEY, first, "one and two", shown="one and two", last=True)
        assert asked.texts() == ["one and two"]
        assert world.messages(asked.message)[-1].components == []

    async def test_a_connection_cut_after_the_post(self, world: DiscordWorld, asked: Asked) -> None:
        await asked.surface.post(KEY, "one", last=True)
        world.faults.hang_up(SEND, after=True)
        with pytest.raises(Unreachable):
            await asked.surface.post(PartKey(TURN, PartKind.TEXT, 1), "two", last=True)
        await asked.surface.post(PartKey(TURN, PartKind.TEXT, 1), "two", last=True)
        assert asked.texts() == ["one", "two"]

    @pytest.mark.slow
    async def test_discord_py_itself_repeats_after_a_500_and_it_is_harmless(
        self, world: DiscordWorld, asked: Asked
    ) -> None:
        world.faults.break_down(SEND, 500, after=True)
        await asked.surface.post(KEY, "42", last=True)
        assert asked.texts() == ["42"]

    @pytest.mark.parametrize("seconds", [0.05, 75])
    async def test_a_429_is_handed_on_at_once(self, world: DiscordWorld, asked: Asked, seconds: float) -> None:
        world.faults.throttle(SEND, retry_after=seconds)
        with pytest.raises(Throttled) as raised:
            await asked.surface.post(KEY, "42", last=True)
        assert raised.value.retry_after == pytest.approx(seconds)
        await asked.surface.post(KEY, "42", last=True)
        assert asked.texts() == ["42"]

    @pytest.mark.parametrize("status", [400, 429])
    async def test_an_edit_too_many_of_an_old_part_closes_it(
        self, world: DiscordWorld, asked: Asked, status: int
    ) -> None:
        part = await asked.surface.post(KEY, "4", last=False)
        world.faults.refuse(EDIT, status, 30046)
        with pytest.raises(PartFull):
            await asked.surface.edit(KEY, part, "42", shown="4", last=False)
        world.faults.clear()
        world.faults.refuse(EDIT, status, 30046)
        with pytest.raises(Throttled):
            await asked.surface.edit(KEY, part, "42", shown="4", last=True)
        world.faults.clear()
        await asked.surface.edit(KEY, part, "42", shown="4", last=True)
        assert asked.texts() == ["42"]


async def test_a_long_429_for_an_edit_of_an_old_part_closes_it() -> None:
    late = 0.0
    world = DiscordWorld(clock=lambda: time.time() - 7200 + late)
    async with connected(world, MemoryInbox()) as front:
        asked = Asked(world, front, await world.say("ada", "general", f"{world.mention} hello"))
        part = await asked.surface.post(KEY, "0", last=False)
        late = 7200.0
        for number in range(1, 4):
            await asked.surface.edit(KEY, part, str(number), shown=None, last=False)
        with pytest.raises(PartFull):
            await asked.surface.edit(KEY, part, "4", shown=None, last=False)


class TestFiles:
    async def test_files_go_up_with_a_line_of_text(
        self, world: DiscordWorld, asked: Asked, tmp_path: Path
    ) -> None:
        uploads = [upload(tmp_path / name, name.encode()) for name in ("a.csv", "b.txt")]
        sent = await asked.surface.upload(PartKey(TURN, PartKind.FILE), uploads, "Two files")
        assert await asked.surface.upload(PartKey(TURN, PartKind.FILE), uploads, "Two files") == sent
        message = world.messages(asked.message)[-1]
        assert (str(message.id), message.content) == (sent, "Two files")
        assert [(file.name, world.bytes_of(file)) for file in message.attachments] == [
            ("a.csv", b"a.csv"),
            ("b.txt", b"b.txt"),
        ]
        assert message.flags & MessageFlag.SUPPRESS_EMBEDS

    async def test_a_file_needs_no_text(self, world: DiscordWorld, asked: Asked, tmp_path: Path) -> None:
        await asked.surface.upload(PartKey(TURN, PartKind.FILE), [upload(tmp_path / "a.csv", b"1")])
        assert len(world.messages(asked.message)[-1].attachments) == 1

    async def test_the_limit_is_the_servers(self, world: DiscordWorld, inbox: MemoryInbox) -> None:
        world.guild.boost_tier = 2
        async with connected(world, inbox) as front:
            surface = front.surface(
                Address("discord", str(world.guild.id), "1", "2"), person=Person("1"), guard=unguarded
            )
            assert surface.style.max_file_bytes == 50 * 1024 * 1024
            direct = front.surface(Address("discord", "", "1", "1"), person=Person("1"), guard=unguarded)
            assert direct.style.max_file_bytes == 10 * 1024 * 1024

    async def test_a_file_too_large_is_refused(self, asked: Asked, tmp_path: Path) -> None:
        large = upload(tmp_path / "large.bin", b"x" * (asked.surface.style.max_file_bytes + 1))
        with pytest.raises(Refused):
            await asked.surface.upload(PartKey(TURN, PartKind.FILE), [large])


def upload(path: Path, data: bytes) -> Upload:
    path.write_bytes(data)
    return Upload(path.name, path, "application/octet-stream", len(data))


def assert_empty(folder: Path) -> None:
    assert list(folder.iterdir()) == []


class TestFetching:
    @pytest.fixture
    async def attached(self, world: DiscordWorld, front: DiscordFrontEnd, asked: Asked) -> RemoteFile:
        await world.say("ada", "general", "look", [("a.txt", "text/plain", b"0123456789")])
        (attachment,) = world.messages("general")[-1].attachments
        return RemoteFile(str(attachment.id), "a.txt", "text/plain", 10, world.url_of(attachment))

    async def test_an_attachment_comes_down(self, asked: Asked, attached: RemoteFile, tmp_path: Path) -> None:
        await asked.surface.fetch(attached, tmp_path / "a", 10)
        assert (tmp_path / "a").read_bytes() == b"0123456789"

    @pytest.mark.parametrize("claimed", [10, 1])
    async def test_it_is_never_more_than_is_allowed(
        self, asked: Asked, attached: RemoteFile, tmp_path: Path, claimed: int
    ) -> None:
        lying = RemoteFile(attached.id, attached.name, attached.media_type, claimed, attached.url)
        with pytest.raises(Refused):
            await asked.surface.fetch(lying, tmp_path / "a", 9)
        assert_empty(tmp_path)

    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:1/attachments/1/2/a.txt",
            "https://cdn.discordapp.com.example.com/a.txt",
            "https://cdn.discordapp.com@example.com/a.txt",
            "https://cdn.discordapp.com:8443/a.txt",
            "http://cdn.discordapp.com/a.txt",
            "file:///etc/passwd",
            "no url",
            "https://[broken/",
        ],
    )
    async def test_nobody_else_is_asked(self, asked: Asked, tmp_path: Path, url: str) -> None:
        with pytest.raises(Refused):
            await asked.surface.fetch(RemoteFile("1", "a.txt", "text/plain", 1, url), tmp_path / "a", 10)
        assert_empty(tmp_path)

    async def test_a_file_that_is_no_longer_there(
        self, asked: Asked, attached: RemoteFile, tmp_path: Path
    ) -> None:
        lost = RemoteFile("1", "a.txt", "text/plain", 10, attached.url.replace(attached.id, "1"))
        with pytest.raises(Gone):
            await asked.surface.fetch(lost, tmp_path / "a", 10)


class TestContext:
    async def test_a_thread_is_read_with_the_message_it_hangs_on(
        self, world: DiscordWorld, front: DiscordFrontEnd
    ) -> None:
        root = await world.say("ada", "general", "the build is red", [("log.txt", "text/plain", b"red")])
        thread = await world.open_thread("ada", "general", "build", on=root)
        await world.say("grace", thread, "since noon")
        earlier = Asked(world, front, thread)
        await earlier.surface.post(KEY, "I was here before", last=True)
        question = await world.say("grace", thread, f"{world.mention} why?")
        said = await earlier.surface.earlier(str(question))
        assert [(one.author_name, one.text) for one in said] == [
            ("Ada Lovelace", "the build is red"),
            ("Grace Hopper", "since noon"),
        ]
        assert [file.name for file in said[0].files] == ["log.txt"]

    async def test_a_mention_by_reply_brings_what_it_replies_to(
        self, world: DiscordWorld, front: DiscordFrontEnd
    ) -> None:
        await world.say("grace", "general", "not this")
        replied = await world.say("grace", "general", "the build is red", [("log.txt", "text/plain", b"red")])
        asked = Asked(world, front, await world.say("ada", "general", f"{world.mention} why?", reply_to=replied))
        (said,) = await asked.surface.earlier(str(asked.message))
        assert (said.author_name, said.text) == ("Grace Hopper", "the build is red")
        assert [file.name for file in said.files] == ["log.txt"]

    async def test_a_forum_posts_first_message_counts(self, world: DiscordWorld, front: DiscordFrontEnd) -> None:
        post = await world.create_forum_post("ada", "help", "It broke", "nothing works")
        for number in range(60):
            await world.say("grace", post, f"me too {number}")
        question = await world.say("grace", post, f"{world.mention} why?")
        said = await Asked(world, front, post, "help").surface.earlier(str(question))
        assert [said[0].text, said[1].text, said[-1].text] == [
            "# It broke\n\nnothing works",
            "me too 10",
            "me too 59",
        ]
        assert len(said) == 51

    async def test_a_thread_that_hangs_on_no_message(self, world: DiscordWorld, front: DiscordFrontEnd) -> None:
        thread = await world.open_thread("ada", "general", "alone")
        await world.say("ada", thread, "hello")
        question = await world.say("ada", thread, f"{world.mention} why?")
        assert await Asked(world, front, thread).surface.earlier(str(question)) == [
            ContextMessage("Ada Lovelace", "hello")
        ]

    async def test_a_question_in_a_channel_has_nothing_before_it(self, world: DiscordWorld, asked: Asked) -> None:
        assert await asked.surface.earlier(str(asked.message)) == []


def typing_tasks() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == typing_sign.TASK]


class TestSignsOfLife:
    @pytest.fixture
    def typing(self, world: DiscordWorld) -> Callable[[], int]:
        return lambda: len(world.calls("POST /channels/*/typing"))

    async def test_typing_goes_on_until_it_is_ended(
        self,
        direct: tuple[int, DiscordSurface],
        typing: Callable[[], int],
        monkeypatch: pytest.MonkeyPatch,
        world: DiscordWorld,
    ) -> None:
        monkeypatch.setattr(typing_sign, "REPEAT", 0.01)
        _, surface = direct
        await surface.working("")
        await surface.working("reading")
        await world.until(lambda: typing() >= 3)
        await surface.working(None)
        ended = typing()
        await surface.post(KEY, "done", last=True)
        await asyncio.sleep(0.05)
        assert typing() <= ended + 1

    async def test_it_ends_by_itself(
        self, direct: tuple[int, DiscordSurface], front: DiscordFrontEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(typing_sign, "REPEAT", 0.01)
        monkeypatch.setattr(typing_sign, "LIMIT", 0.05)
        _, surface = direct
        await surface.working("")
        assert typing_tasks()
        await eventually(lambda: not typing_tasks())

    async def test_what_a_turn_that_was_cut_short_left_ends_with_the_next_one(
        self, direct: tuple[int, DiscordSurface], front: DiscordFrontEnd
    ) -> None:
        channel, cut_short = direct
        await cut_short.working("")
        assert typing_tasks()
        taken_up = front.surface(
            Address("discord", "", str(channel), str(channel)), person=Person("1"), guard=unguarded
        )
        await taken_up.working(None)
        await eventually(lambda: not typing_tasks())

    async def test_it_never_costs_a_reply(self, world: DiscordWorld, asked: Asked) -> None:
        world.faults.break_down("POST /channels/*/typing", 503, times=100)
        await asked.surface.working("")
        await asked.surface.post(KEY, "42", last=True)
        await asked.surface.working(None)
        assert asked.texts() == ["42"]

    async def test_ending_what_never_began(self, direct: tuple[int, DiscordSurface]) -> None:
        await direct[1].working(None)
