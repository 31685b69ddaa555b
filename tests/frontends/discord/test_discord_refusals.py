"""What Discord refuses, or answers in a way that nobody knows; and where the person still hears of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.reading import NAMELESS
from bridge.frontends.discord.rest import UNKNOWN_TRIES
from bridge.frontends.discord.surface import DiscordSurface
from bridge.frontends.discord.telling import UNDELIVERABLE
from bridge.inbound import Address, Person
from bridge.playground.discord import DiscordWorld, Permission
from bridge.turns.surface import Gone, PartKey, PartKind, Refused, SurfaceError, Throttled, Unreachable, Upload
from tests.frontends.discord.running import MemoryInbox, eventually
from tests.turns.world import unguarded

TURN = "0123456789abcdef"
SENTENCE = "I wrote an answer, but Discord won't let me show it."
SEND = "POST /channels/*/messages"
THREADS = "POST /channels/*/messages/*/threads"


@pytest.fixture
async def asked(world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd) -> int:
    question = await world.say("ada", "general", f"{world.mention} what is the answer?")
    await eventually(lambda: inbox.turns)
    return question


@pytest.fixture
def surface(world: DiscordWorld, front: DiscordFrontEnd, asked: int) -> DiscordSurface:
    address = Address("discord", str(world.guild.id), str(world.place("general").id), str(asked))
    return front.surface(address, person=Person(str(world.person("ada").id)), guard=unguarded)


def key(kind: PartKind, index: int = 0) -> PartKey:
    return PartKey(TURN, kind, index)


async def put(surface: DiscordSurface, part: PartKey, folder: Path) -> str:
    """Post a part of any kind."""
    if not part.kind.is_upload:
        return await surface.post(part, f"words of {part.nonce}", last=True)
    path = folder / "f0"
    path.write_bytes(part.nonce.encode())
    return await surface.upload(part, [Upload("a.txt", path, "text/plain", path.stat().st_size)], "a file")


class TestEveryKindOfPart:
    @pytest.mark.parametrize("kind", PartKind)
    async def test_is_one_message_however_often_it_is_posted(
        self, world: DiscordWorld, front: DiscordFrontEnd, surface: DiscordSurface, tmp_path: Path, kind: PartKind
    ) -> None:
        world.faults.hang_up(SEND, after=True)
        with pytest.raises(Unreachable):
            await put(surface, key(kind), tmp_path)
        repeated = await put(surface, key(kind), tmp_path)
        assert await put(surface, key(kind), tmp_path) == repeated
        assert [str(message.id) for message in world.messages(surface_thread(world)) if message.content] == [
            repeated
        ]

    @pytest.mark.parametrize("kind", PartKind)
    async def test_is_found_after_its_answer_was_lost(
        self, world: DiscordWorld, front: DiscordFrontEnd, surface: DiscordSurface, tmp_path: Path, kind: PartKind
    ) -> None:
        first = await surface.post(key(PartKind.TEXT, 7), "the first part", last=True)
        world.faults.hang_up(SEND, after=True)
        with pytest.raises(Unreachable):
            await put(surface, key(kind), tmp_path)
        await eventually(lambda: front.echoes.message(key(kind).nonce))
        found = await surface.find(key(kind), after=first, known={first})
        assert found == str(world.messages(surface_thread(world))[-1].id)


def surface_thread(world: DiscordWorld) -> int:
    return world.threads("general")[0].id


class TestAnAnswerThatNobodyKnows:
    def calls(
        self, surface: DiscordSurface, message: str, folder: Path
    ) -> dict[str, Callable[[], Awaitable[object]]]:
        return {
            SEND: lambda: surface.post(key(PartKind.TEXT, 1), "more", last=True),
            "POST /channels/*/messages ": lambda: put(surface, key(PartKind.FILE), folder),
            "PATCH /channels/*/messages/*": lambda: surface.edit(
                key(PartKind.TEXT), message, "more", shown=None, last=True
            ),
            "DELETE /channels/*/messages/*": lambda: surface.delete(message),
            "GET /channels/*/messages": lambda: surface.find(key(PartKind.TEXT, 2), after=message, known=()),
            "GET /channels/*/messages/*": lambda: surface.earlier(message),
        }

    @pytest.mark.parametrize(("status", "code"), [(400, 999_999), (403, 0), (404, 0), (409, 999_999), (302, 0)])
    async def test_it_is_no_refusal_until_it_came_often(
        self, world: DiscordWorld, surface: DiscordSurface, tmp_path: Path, status: int, code: int
    ) -> None:
        message = await surface.post(key(PartKind.TEXT), "words", last=False)
        for route, call in self.calls(surface, message, tmp_path).items():
            world.faults.refuse(route.strip(), status, code, times=UNKNOWN_TRIES + 1)
            raised: list[type[SurfaceError]] = []
            for _ in range(UNKNOWN_TRIES + 1):
                with pytest.raises(SurfaceError) as error:
                    await call()
                assert isinstance(error.value, Unreachable | Refused)
                raised.append(type(error.value))
            assert not any(issubclass(kind, Refused) for kind in raised[:-1]), route
            assert raised[-1] is Refused, route
            world.faults.clear()

    async def test_it_counts_only_in_a_row(self, world: DiscordWorld, surface: DiscordSurface) -> None:
        for number in range(UNKNOWN_TRIES + 2):
            world.faults.refuse(SEND, 400, 999_999)
            with pytest.raises(Unreachable):
                await surface.post(key(PartKind.TEXT, number), "words", last=True)
            await surface.post(key(PartKind.TEXT, number), "words", last=True)

    @pytest.mark.parametrize("status", [200, 201])
    async def test_a_success_that_is_not_discords_is_not_taken_for_one(
        self, world: DiscordWorld, surface: DiscordSurface, status: int
    ) -> None:
        await surface.post(key(PartKind.TEXT), "words", last=True)
        world.faults.break_down(SEND, status)  # answered with HTML, as a login page does
        with pytest.raises(Unreachable):
            await surface.post(key(PartKind.TEXT, 1), "more", last=True)

    async def test_where_no_thread_can_be_made_for_an_unknown_reason_the_channel_gets_the_reply_in_the_end(
        self, world: DiscordWorld, surface: DiscordSurface, asked: int
    ) -> None:
        world.faults.refuse(THREADS, 400, 999_999, times=UNKNOWN_TRIES + 1)
        for _ in range(UNKNOWN_TRIES):
            with pytest.raises(Unreachable):
                await surface.post(key(PartKind.TEXT), "words", last=True)
        await surface.post(key(PartKind.TEXT), "words", last=True)
        reply = world.messages("general")[-1]
        assert reply.reference is not None
        assert (reply.content, reply.reference.message_id) == ("words", asked)


class TestWhatIsRefusedForGood:
    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (400, 200_000, Refused),  # AutoMod
            (400, 240_000, Refused),
            (403, 50_013, Gone),
            (403, 50_001, Gone),
            (403, 160_005, Gone),
            (413, 40_005, Refused),
        ],
    )
    async def test_a_post(
        self, world: DiscordWorld, surface: DiscordSurface, status: int, code: int, kind: type[Exception]
    ) -> None:
        world.faults.refuse(SEND, status, code)
        with pytest.raises(kind):
            await surface.post(key(PartKind.TEXT), "words", last=True)

    async def test_a_channel_that_it_may_not_see_any_more(
        self, world: DiscordWorld, surface: DiscordSurface
    ) -> None:
        world.faults.refuse(THREADS, 403, 50_001)
        with pytest.raises(Gone):
            await surface.post(key(PartKind.TEXT), "words", last=True)

    async def test_slow_mode_is_waited_out(self, world: DiscordWorld, surface: DiscordSurface) -> None:
        world.faults.refuse(SEND, 429, 20_016)
        with pytest.raises(Throttled):
            await surface.post(key(PartKind.TEXT), "words", last=True)

    async def test_a_thread_whose_name_is_blocked_gets_a_neutral_one(
        self, world: DiscordWorld, surface: DiscordSurface
    ) -> None:
        world.faults.refuse(THREADS, 400, 200_001)
        await surface.post(key(PartKind.TEXT), "words", last=True)
        assert [thread.name for thread in world.threads("general")] == [NAMELESS]


class TestSayingThatItCannotBeSaid:
    def texts(self, world: DiscordWorld, place: int | str) -> list[str]:
        bot = world.bot.id
        return [
            message.content for message in world.messages(place) if message.author.id == bot and message.content
        ]

    async def test_in_the_thread(self, world: DiscordWorld, surface: DiscordSurface, asked: int) -> None:
        await surface.mark_waiting(str(asked), waits=False)
        world.faults.refuse(SEND, 400, 200_000)
        with pytest.raises(Refused):
            await surface.post(key(PartKind.TEXT), "words", last=True)
        assert await surface.say_undeliverable(str(asked), SENTENCE)
        assert self.texts(world, asked) == [SENTENCE]

    async def test_it_is_said_once_however_often_it_is_tried(
        self, world: DiscordWorld, surface: DiscordSurface, asked: int
    ) -> None:
        await surface.post(key(PartKind.TEXT), "words", last=True)
        for _ in range(2):
            assert await surface.say_undeliverable(str(asked), SENTENCE)
        assert self.texts(world, asked) == ["words", SENTENCE]

    async def test_else_in_reply_to_the_question(
        self, world: DiscordWorld, surface: DiscordSurface, asked: int
    ) -> None:
        world.place("general").denied = Permission.SEND_MESSAGES_IN_THREADS
        with pytest.raises(Gone):
            await surface.post(key(PartKind.TEXT), "words", last=True)
        assert await surface.say_undeliverable(str(asked), SENTENCE)
        reply = world.messages("general")[-1]
        assert reply.reference is not None
        assert (reply.content, reply.reference.message_id) == (SENTENCE, asked)
        assert not world.pings

    async def test_else_in_a_direct_message(
        self, world: DiscordWorld, surface: DiscordSurface, asked: int
    ) -> None:
        world.place("general").denied = Permission.SEND_MESSAGES | Permission.SEND_MESSAGES_IN_THREADS
        assert await surface.say_undeliverable(str(asked), SENTENCE)
        assert self.texts(world, world.direct("ada").id) == [SENTENCE]

    async def test_else_by_a_reaction(self, world: DiscordWorld, surface: DiscordSurface, asked: int) -> None:
        world.place("general").denied = Permission.SEND_MESSAGES | Permission.SEND_MESSAGES_IN_THREADS
        world.person("ada").takes_direct = False
        assert await surface.say_undeliverable(str(asked), SENTENCE)
        assert UNDELIVERABLE in world.messages("general")[-1].reactions

    async def test_else_nowhere(self, world: DiscordWorld, surface: DiscordSurface, asked: int) -> None:
        world.faults.refuse("*", 403, 50_001, times=50)
        assert not await surface.say_undeliverable(str(asked), SENTENCE)

    async def test_a_follow_up_is_never_answered_outside_its_thread_for_all_to_read(
        self, world: DiscordWorld, surface: DiscordSurface, asked: int
    ) -> None:
        await surface.post(key(PartKind.TEXT), "words", last=True)
        follow_up = await world.say("ada", asked, "and then?")
        await world.archive(asked, archived=True, locked=True)
        before = len(world.messages("general"))
        assert await surface.say_undeliverable(str(follow_up), SENTENCE)
        assert len(world.messages("general")) == before
        assert self.texts(world, world.direct("ada").id) == [SENTENCE]

    # Without 500, which discord.py repeats by itself for half a minute a call.
    @pytest.mark.parametrize("status", [400, 403, 404, 503, 429])
    async def test_it_never_raises(
        self, world: DiscordWorld, surface: DiscordSurface, asked: int, status: int
    ) -> None:
        world.faults.refuse("*", status, 999_999, times=50)
        assert not await surface.say_undeliverable(str(asked), SENTENCE)


@pytest.mark.parametrize("filler", ["x", "🧵", "<@1> "])
async def test_the_bridges_own_words_fit_a_message(
    world: DiscordWorld, surface: DiscordSurface, asked: int, filler: str
) -> None:
    await surface.post(key(PartKind.NOTICE), filler * 3000, last=True)
    assert await surface.say_undeliverable(str(asked), filler * 3000)
    notice, undeliverable = (message.content for message in world.messages(asked) if message.content)
    assert notice == undeliverable
    assert notice.endswith("…")


async def test_marks_come_and_go(world: DiscordWorld, surface: DiscordSurface, asked: int) -> None:
    question = world.messages("general")[-1]
    await surface.mark_waiting(str(asked), waits=True)
    await surface.mark_waiting(str(asked), waits=True)
    assert list(question.reactions) == ["⏳"]
    await surface.mark_waiting(str(asked), waits=False)
    assert question.reactions == {}
    await surface.post(key(PartKind.TEXT), "words", last=True)
    follow_up = await world.say("ada", asked, "and then?")
    await surface.mark_waiting(str(follow_up), waits=True)
    assert list(world.messages(asked)[-1].reactions) == ["⏳"]


@pytest.mark.parametrize("trouble", [(403, 50_013), (403, 90_001), (404, 10_008), (400, 999_999), (429, 0)])
async def test_a_mark_never_raises(
    world: DiscordWorld, surface: DiscordSurface, asked: int, trouble: tuple[int, int]
) -> None:
    world.faults.refuse("*", *trouble)
    await surface.mark_waiting(str(asked), waits=True)


MENTIONS = [
    "@everyone",
    "@here",
    "<@1>",
    "<@!1>",
    "<@&1>",
    "<#1>",
    "<:a:1>",
    "<a:a:1>",
    "<t:1>",
    "</ask:1>",
    "<id:home>",
]


@pytest.mark.parametrize("mention", MENTIONS)
async def test_nothing_that_goes_out_holds_a_mention(
    world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox, tmp_path: Path, mention: str
) -> None:
    question = await world.say("ada", "general", f"{world.mention} `{mention}` {mention}")
    await eventually(lambda: inbox.turns)
    turn = inbox.turns[-1]
    surface = front.surface(turn.address, person=turn.person, guard=unguarded)
    await surface.post(key(PartKind.NOTICE), f"I couldn't read {mention}.txt", last=True)
    for kind in (PartKind.FILE, PartKind.ANSWER):
        path = tmp_path / "f0"
        path.write_bytes(b"1")
        await surface.upload(key(kind), [Upload(f"{mention}.txt", path, "text/plain", 1)], f"Here is {mention}")
    await surface.say_undeliverable(str(question), f"No {mention}")
    said = [message for message in world.messages(question) if message.content]
    assert len(said) == 4
    assert not [message for message in said if mention in message.content]
    assert mention not in world.threads("general")[0].name
    for message in said:
        for file in message.attachments:
            assert mention not in f"{file.name}{file.title}"
    assert not world.pings
