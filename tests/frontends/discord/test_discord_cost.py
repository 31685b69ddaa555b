"""What a reply costs in requests, and who is told of it."""

from __future__ import annotations

import asyncio

import pytest

from bridge.frontends.discord import typing_sign
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.surface import DiscordSurface
from bridge.inbound import Person
from bridge.playground.discord import DiscordWorld, Permission
from bridge.turns.surface import Button, PartKey, PartKind, Sending
from tests.frontends.discord.running import MemoryInbox, connected, eventually
from tests.turns.world import unguarded

TURN = "0123456789abcdef"
KEY = PartKey(TURN, PartKind.TEXT)
STOP = Button("stop", "Stop", TURN)
TYPING = "POST /channels/*/typing"


async def asked(world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox) -> DiscordSurface:
    before = len(inbox.turns)
    await world.say("ada", "general", f"{world.mention} what is the answer?")
    await eventually(lambda: len(inbox.turns) > before)
    turn = inbox.turns[-1]
    return front.surface(turn.address, person=turn.person, guard=unguarded)


async def reply(surface: DiscordSurface, growth: int = 3, turn: str = TURN) -> str:
    """As the core does it: a sign of life, words, more of them, the end."""
    key = PartKey(turn, PartKind.TEXT)
    await surface.working("")
    words = "words"
    async with surface.slot(Sending.FIRST):
        part = await surface.post(key, words, last=False, buttons=[STOP])
    for number in range(growth):
        async with surface.slot(Sending.GROWTH):
            await surface.edit(key, part, f"{words} {number}", shown=words, last=False, buttons=[STOP])
        words = f"{words} {number}"
    async with surface.slot(Sending.LAST):
        await surface.edit(key, part, f"{words}.", shown=words, last=True)
    await surface.working(None)
    return part


def made(world: DiscordWorld) -> list[str]:
    """The requests so far, in words: method and the last named part of the path."""
    return [
        f"{call.method} {next(piece for piece in reversed(call.path.split('/')) if not piece.isdigit())}"
        for call in world.calls()
    ]


async def test_a_first_mention_costs_four_requests_besides_growth(
    world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox
) -> None:
    surface = await asked(world, front, inbox)
    before = len(world.calls())
    await reply(surface, growth=3)
    await eventually(lambda: "PUT thread-members" in made(world))
    assert sorted(made(world)[before:]) == sorted(
        ["POST threads", "PUT thread-members", "POST messages", *["PATCH messages"] * 3, "PATCH messages"]
    )


async def test_a_follow_up_costs_two(world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox) -> None:
    first = await asked(world, front, inbox)
    await reply(first)
    await eventually(lambda: "PUT thread-members" in made(world))
    await eventually(lambda: front.client.get_channel(int(inbox.turns[0].address.thread)))
    turn = inbox.turns[0]
    surface = front.surface(turn.address, person=turn.person, guard=unguarded)
    before = len(world.calls())
    part = await surface.post(PartKey("another", PartKind.TEXT), "words", last=False, buttons=[STOP])
    await surface.edit(PartKey("another", PartKind.TEXT), part, "words.", shown="words", last=True)
    assert made(world)[before:] == ["POST messages", "PATCH messages"]


async def test_words_that_come_at_once_need_no_typing_and_silence_does(
    world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reply(await asked(world, front, inbox))
    assert not world.calls(TYPING)
    monkeypatch.setattr(typing_sign, "SIGN_AFTER", 0.01)
    surface = await asked(world, front, inbox)
    await surface.working("")
    await world.until(lambda: len(world.calls(TYPING)) == 1)
    # The thread is there before the first word is.
    assert len(world.threads("general")) == 2
    await surface.working(None)


async def test_words_put_the_sign_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typing_sign, "SIGN_AFTER", 0.0)
    prepared = asyncio.Event()
    sent: list[None] = []

    async def prepare() -> None:
        prepared.set()

    async def send() -> None:
        sent.append(None)

    for shown in (True, False):
        prepared.clear()
        sign = typing_sign.TypingSign(prepare, send, lambda _: None)
        sign.start()
        if shown:
            sign.words()
        await prepared.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        sign.stop()
        assert len(sent) == (0 if shown else 1)


class TestWhoeverAsked:
    async def test_is_a_member_of_the_thread(
        self, world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox
    ) -> None:
        await (await asked(world, front, inbox)).post(KEY, "words", last=True)
        ada = world.person("ada").id
        await eventually(lambda: ada in members(world))
        assert not world.pings

    @pytest.mark.parametrize("trouble", [(403, 50_013), (404, 10_007), (400, 30_033), (400, 999_999), (429, 0)])
    async def test_a_reply_never_fails_for_that(
        self, world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox, trouble: tuple[int, int]
    ) -> None:
        world.faults.refuse("PUT /channels/*/thread-members/*", *trouble)
        surface = await asked(world, front, inbox)
        await surface.post(KEY, "words", last=True)
        await eventually(lambda: world.calls("PUT /channels/*/thread-members/*"))
        await surface.post(PartKey(TURN, PartKind.TEXT, 1), "more words", last=True)

    async def test_is_told_of_a_long_answer_and_nobody_else_is(
        self, world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox
    ) -> None:
        front.notify_after = 1e-6
        await reply(await asked(world, front, inbox))
        assert [ping.target for ping in world.pings] == [str(world.person("ada").id)]
        (thread,) = world.threads("general")
        assert world.messages(thread.id)[-1].content.startswith("-# <@")

    @pytest.mark.parametrize("after", [0.0, 3600.0])
    async def test_is_not_told_of_a_short_one_or_without_the_setting(
        self, world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox, after: float
    ) -> None:
        front.notify_after = after
        await reply(await asked(world, front, inbox))
        assert not world.pings

    async def test_is_not_told_of_a_turn_that_answered_nothing(
        self, world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox
    ) -> None:
        front.notify_after = 1e-6
        surface = await asked(world, front, inbox)
        await surface.working("")
        await surface.post(PartKey(TURN, PartKind.NOTICE), "Stopped.", last=True)
        await surface.working(None)
        assert not world.pings

    async def test_telling_never_costs_a_reply(
        self, world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox
    ) -> None:
        front.notify_after = 1e-6
        surface = await asked(world, front, inbox)
        await surface.post(KEY, "words", last=True)
        world.faults.refuse("POST /channels/*/messages", 400, 999_999)
        await surface.working(None)

    async def test_where_threads_are_forbidden_too(
        self, world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox
    ) -> None:
        world.place("general").denied = Permission.CREATE_PUBLIC_THREADS
        front.notify_after = 1e-6
        await reply(await asked(world, front, inbox))
        assert [ping.target for ping in world.pings] == [str(world.person("ada").id)]


def members(world: DiscordWorld) -> dict[int, float]:
    (thread,) = world.threads("general")
    assert thread.thread is not None
    return thread.thread.members


@pytest.mark.slow
async def test_mentions_in_one_channel_wait_for_no_limit(waits: list[float]) -> None:
    """With Discord's limits as they are, those of the whole bot among them."""
    world, inbox = DiscordWorld(), MemoryInbox()
    async with connected(world, inbox) as front:

        async def answered(number: int) -> None:
            question = await world.say("ada", "general", f"{world.mention} number {number}")
            await eventually(lambda: any(turn.message_id == str(question) for turn in inbox.turns))
            turn = next(turn for turn in inbox.turns if turn.message_id == str(question))
            surface = front.surface(turn.address, person=Person(turn.person.id), guard=unguarded)
            await reply(surface, growth=4, turn=f"{number:016}")

        for number in range(5):
            await answered(number)
        await asyncio.gather(*map(answered, range(5, 10)))
    assert waits == []
    assert len(world.threads("general")) == 10
    assert not [call for call in world.calls() if call.status == 429]
