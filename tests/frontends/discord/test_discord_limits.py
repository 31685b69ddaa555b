"""What each request passes before it goes out: Discord's windows, the bot's budget, the guard of its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bridge.frontends.discord import calls, surface
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.calls import Bucket, Calls
from bridge.frontends.discord.settings import REQUESTS_A_SECOND
from bridge.frontends.discord.surface import DiscordSurface
from bridge.frontends.discord.telling import WAITING
from bridge.inbound import Address, Person, RemoteFile
from bridge.playground.discord import Call, DiscordWorld
from bridge.turns.surface import Fenced, PartKey, PartKind, Sending, Throttled, Upload
from tests.frontends.discord.running import PATIENCE, MemoryInbox, connected, eventually
from tests.turns.world import unguarded

TURN = "0123456789abcdef"
KEY = PartKey(TURN, PartKind.TEXT)
THREADS = "POST /channels/*/messages/*/threads"
EDIT = "PATCH /channels/*/messages/*"
MARKS = "* /channels/*/messages/*/reactions/*/@me"


def answer(limit: int, remaining: int, reset_after: float) -> Any:
    headers = {
        "X-Ratelimit-Limit": str(limit),
        "X-Ratelimit-Remaining": str(remaining),
        "X-Ratelimit-Reset-After": str(reset_after),
    }
    return SimpleNamespace(headers=headers)


class TestABucket:
    @pytest.fixture
    async def bucket(self) -> Bucket:
        return Bucket(None)

    async def used(self, bucket: Bucket, limit: int, remaining: int, reset_after: float) -> None:
        async with bucket:
            bucket.update(answer(limit, remaining, reset_after))

    async def test_a_window_that_ends_late_is_used_while_there_is_room(self, bucket: Bucket) -> None:
        for remaining in (1, 0):
            await self.used(bucket, 2, remaining, 300)
        with pytest.raises(discord.RateLimited) as raised:
            await bucket.acquire()
        assert raised.value.retry_after == pytest.approx(300, abs=5)

    async def test_whoever_spends_it_has_the_answer_at_once(self, bucket: Bucket) -> None:
        await asyncio.wait_for(self.used(bucket, 5, 0, 3600), PATIENCE)

    async def test_the_next_waits_for_the_windows_end(self, bucket: Bucket) -> None:
        await self.used(bucket, 1, 0, 0.05)
        began = asyncio.get_running_loop().time()
        await bucket.acquire()
        assert asyncio.get_running_loop().time() - began >= 0.05

    async def test_until_it_is_known_one_at_a_time_goes(self, bucket: Bucket) -> None:
        await bucket.acquire()
        second = asyncio.ensure_future(bucket.acquire())
        await asyncio.sleep(0)
        assert not second.done()
        await bucket.__aexit__(None, None, None)
        await second

    async def test_words_that_are_urgent_pass_those_that_are_not(self, bucket: Bucket) -> None:
        made = Calls(40)
        order: list[str] = []

        async def go(name: str, *, urgent: bool) -> None:
            with made.guarded(unguarded, urgent=urgent):
                async with bucket:
                    order.append(name)

        await bucket.acquire()
        waiting = [asyncio.ensure_future(go(f"growth {n}", urgent=False)) for n in range(3)]
        await asyncio.sleep(0)
        waiting.append(asyncio.ensure_future(go("last", urgent=True)))
        await asyncio.sleep(0)
        await bucket.__aexit__(None, None, None)
        await asyncio.gather(*waiting)
        assert order == ["last", "growth 0", "growth 1", "growth 2"]

    @pytest.mark.parametrize("admitted", [False, True])
    async def test_a_call_that_is_cancelled_gives_its_place_back(self, bucket: Bucket, admitted: bool) -> None:
        await bucket.acquire()
        waiting = asyncio.ensure_future(bucket.acquire())
        await asyncio.sleep(0)
        if admitted:
            await bucket.__aexit__(None, None, None)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        if not admitted:
            await bucket.__aexit__(None, None, None)
        await asyncio.wait_for(bucket.acquire(), PATIENCE)

    async def test_a_queue_too_long_is_handed_on(self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(calls, "LONGEST_WAIT", 0.02)
        await bucket.acquire()
        with pytest.raises(discord.RateLimited):
            await bucket.acquire()


async def test_the_windows_of_few_channels_are_remembered(
    world: DiscordWorld, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MAX_BUCKETS", 8)
    people = [world.add_person(f"Person{number}") for number in range(20)]
    async with connected(world, inbox) as front:
        for person in people:
            channel = str(world.direct(person.id).id)
            surface = front.surface(Address("discord", "", channel, channel), person=Person("1"), guard=unguarded)
            await surface.post(PartKey(channel[-16:], PartKind.TEXT), "hello", last=True)
        assert len(front.client.http._buckets) == 8


class Counting:
    """A guard that counts, and refuses once it is told to."""

    def __init__(self) -> None:
        self.awaited = 0
        self.fenced = False

    async def __call__(self) -> None:
        self.awaited += 1
        if self.fenced:
            raise Fenced


class Turn:
    """A question in a channel and its surface, with a guard that counts."""

    def __init__(self, world: DiscordWorld, front: DiscordFrontEnd, question: int) -> None:
        self.world = world
        self.question = question
        self.guard = Counting()
        place = str(world.place("general").id)
        self.address = Address("discord", str(world.guild.id), place, str(question))
        person = Person(str(world.person("ada").id), "Ada")
        self.surface: DiscordSurface = front.surface(self.address, person=person, guard=self.guard)
        self.before = len(world.calls())

    @property
    def calls(self) -> list[Call]:
        return self.world.calls()[self.before :]


@pytest.fixture
async def turn(world: DiscordWorld, front: DiscordFrontEnd, inbox: MemoryInbox) -> Turn:
    question = await world.say("ada", "general", f"{world.mention} what is the answer?")
    await eventually(lambda: inbox.turns)
    return Turn(world, front, question)


def everything(turn: Turn, folder: Path) -> dict[str, Callable[[], Awaitable[object]]]:
    """Each call of a surface that asks Discord anything."""
    surface, asked = turn.surface, str(turn.question)
    upload = Upload("a.txt", folder / "a.txt", "text/plain", 1)
    upload.path.write_bytes(b"1")
    url = f"{turn.world.base_url}/attachments/1/2/a.txt?ex=1"
    file = RemoteFile(f"{turn.address.channel}/{asked}/2", "a.txt", "text/plain", 1, url)
    text, other = PartKey(TURN, PartKind.TEXT, 1), PartKey(TURN, PartKind.TEXT, 2)
    return {
        "post": lambda: surface.post(text, "words", last=True),
        "upload": lambda: surface.upload(PartKey(TURN, PartKind.FILE), [upload]),
        "edit": lambda: surface.edit(other, asked, "more", shown=None, last=True),
        "delete": lambda: surface.delete("7"),
        "find": lambda: surface.find(other, after=asked, known=()),
        "earlier": lambda: surface.earlier(asked),
        "fetch": lambda: surface.fetch(file, folder / "b.txt", 10),
        "download": lambda: surface.fetch(replace(file, id="2", url=url[:-5]), folder / "b.txt", 10),
        "mark_waiting": lambda: surface.mark_waiting(asked, waits=True),
        "say_undeliverable": lambda: surface.say_undeliverable(asked, "It can't be shown."),
    }


NAMES = [
    "post",
    "upload",
    "edit",
    "delete",
    "find",
    "earlier",
    "fetch",
    "download",
    "mark_waiting",
    "say_undeliverable",
]


class TestTheGuard:
    @pytest.mark.parametrize("name", NAMES)
    async def test_it_is_awaited_before_each_request(self, turn: Turn, tmp_path: Path, name: str) -> None:
        await asyncio.gather(everything(turn, tmp_path)[name](), return_exceptions=True)
        await eventually(lambda: all(call.status is not None for call in turn.calls))
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "discord.join"))
        assert turn.calls
        assert turn.guard.awaited == len(turn.calls)

    @pytest.mark.parametrize("name", NAMES)
    async def test_one_that_refuses_lets_no_request_out(self, turn: Turn, tmp_path: Path, name: str) -> None:
        turn.guard.fenced = True
        (outcome,) = await asyncio.gather(everything(turn, tmp_path)[name](), return_exceptions=True)
        assert turn.calls == []
        assert turn.guard.awaited
        if name in ("mark_waiting", "say_undeliverable"):  # these never raise
            assert not outcome
        else:
            assert isinstance(outcome, Fenced)

    async def test_signs_of_life_are_guarded_too(self, turn: Turn, monkeypatch: pytest.MonkeyPatch) -> None:
        turn.guard.fenced = True
        await turn.surface.working("")
        await eventually(lambda: turn.guard.awaited)
        assert turn.calls == []

    @pytest.mark.slow
    async def test_it_is_awaited_before_each_repeat_of_discord_pys_own(self, turn: Turn) -> None:
        turn.world.faults.break_down("POST /channels/*/messages", 500, times=1)
        await turn.surface.post(KEY, "words", last=True)
        assert len([call for call in turn.calls if call.path.endswith("/messages")]) == 2
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "discord.join"))
        assert turn.guard.awaited == len(turn.calls)


class TestThreadsThatHaveToWait:
    async def test_a_second_mention_is_answered_at_once_with_the_real_limits(self, waits: list[float]) -> None:
        world = DiscordWorld()
        inbox = MemoryInbox()
        async with connected(world, inbox) as front:
            for number in range(5):
                asked = Turn(world, front, await world.say("ada", "general", f"{world.mention} number {number}"))
                await asked.surface.post(PartKey(f"{number:016}", PartKind.TEXT), "here", last=True)
        assert waits == []
        assert len(world.threads("general")) == 5
        assert [call.status for call in world.calls(THREADS)] == [201] * 5

    async def test_one_that_is_refused_for_long_shows_that_it_waits(self, turn: Turn) -> None:
        turn.world.faults.throttle(THREADS, retry_after=219)
        with pytest.raises(Throttled) as raised:
            await turn.surface.post(KEY, "words", last=True)
        assert raised.value.retry_after == 219
        question = turn.world.messages("general")[-1]
        await eventually(lambda: question.reactions.get(WAITING))
        await turn.surface.post(KEY, "words", last=True)
        assert question.reactions == {}

    async def test_one_that_waits_here_shows_it_too(self, turn: Turn, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(surface, "HELD_BACK", 0.01)
        turn.world.faults.delay(THREADS, 0.2)
        question = turn.world.messages("general")[-1]
        await turn.surface.post(KEY, "words", last=True)
        assert [call.method for call in turn.world.calls(MARKS)] == ["PUT", "DELETE"]
        assert question.reactions == {}

    async def test_after_a_restart_the_mark_is_taken_away(self, turn: Turn, inbox: MemoryInbox) -> None:
        turn.world.faults.throttle(THREADS, retry_after=219)
        with pytest.raises(Throttled):
            await turn.surface.post(KEY, "words", last=True)
        question = turn.world.messages("general")[-1]
        await eventually(lambda: question.reactions.get(WAITING))
        async with connected(turn.world, inbox) as restarted:
            await Turn(turn.world, restarted, turn.question).surface.post(KEY, "words", last=True)
        assert question.reactions == {}


class TestSlots:
    @pytest.fixture
    async def world(self) -> DiscordWorld:
        return DiscordWorld()

    @pytest.fixture
    async def part(self, turn: Turn) -> str:
        return await turn.surface.post(KEY, "0", last=False)

    async def edit(self, turn: Turn, part: str, text: str, sending: Sending) -> None:
        async with turn.surface.slot(sending):
            await turn.surface.edit(KEY, part, text, shown=None, last=sending is Sending.LAST)

    async def test_growth_leaves_room_for_the_last_words(self, turn: Turn, part: str) -> None:
        for number in range(4):
            await self.edit(turn, part, str(number), Sending.GROWTH)
        growing = asyncio.create_task(self.edit(turn, part, "grown", Sending.GROWTH))
        await asyncio.sleep(0)
        await self.edit(turn, part, "the last words", Sending.LAST)
        assert not growing.done(), "it waits for the window's end"
        growing.cancel()
        await asyncio.gather(growing, return_exceptions=True)
        assert [call.status for call in turn.world.calls(EDIT)] == [200] * 5

    @pytest.mark.slow
    async def test_the_whole_bot_keeps_below_discords_limit(self, world: DiscordWorld, turn: Turn) -> None:
        """More reads at once than a second takes; Discord's own limit is the simulator's."""
        count = REQUESTS_A_SECOND + 15
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(turn.surface.earlier(str(turn.question)) for _ in range(count)))
        assert len(turn.calls) >= count
        assert {call.status for call in turn.calls} == {200}

    @pytest.mark.slow
    async def test_a_limit_of_the_whole_bot_holds_every_call_back(self, world: DiscordWorld, turn: Turn) -> None:
        world.faults.throttle("*", retry_after=0.3, everywhere=True)
        with pytest.raises(Throttled):
            await turn.surface.earlier(str(turn.question))
        began = asyncio.get_running_loop().time()
        await turn.surface.earlier(str(turn.question))
        assert asyncio.get_running_loop().time() - began >= 0.25
