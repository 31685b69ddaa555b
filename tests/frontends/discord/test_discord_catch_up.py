"""What people wrote while nobody listened is taken once, in order, and nothing that is too old."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from bridge.frontends.discord import catch_up, gateway, listeners, messages
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.inbound import Address
from bridge.playground.discord import DiscordWorld, Permission
from bridge.playground.discord.model import Json
from bridge.playground.discord.sessions import Session
from bridge.turns.surface import PartKey, PartKind
from tests.frontends.discord.running import PATIENCE, MemoryInbox, connected, eventually, ready, serving
from tests.turns.world import unguarded

HOUR = 3600.0
MESSAGES = "GET /channels/*/messages"


@dataclass
class Clock:
    """Now, less so many seconds."""

    late: float = 0.0

    def __call__(self) -> float:
        return time.time() - self.late


@dataclass
class Talk:
    """What was said, by thread, that the agent has to hear."""

    said: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, thread: int, message: int) -> None:
        self.said[str(thread)].append(str(message))

    def count(self) -> int:
        return sum(map(len, self.said.values()))

    def heard(self, inbox: MemoryInbox) -> bool:
        heard: dict[str, list[str]] = defaultdict(list)
        for turn in inbox.turns:
            heard[turn.address.thread].append(turn.message_id)
        return heard == self.said


async def called(world: DiscordWorld, talk: Talk, channel: int | str = "general", text: str = "first") -> int:
    """A question in a channel, with a thread on it."""
    question = await world.say("ada", channel, f"{world.mention} {text}")
    await world.open_thread("ada", channel, "asked", on=question)
    talk.add(question, question)
    return question


async def test_two_hundred_messages_in_ten_channels() -> None:
    clock = Clock(26 * HOUR)
    world = DiscordWorld(clock=clock, channels=[f"room-{number}" for number in range(10)])
    inbox, talk = MemoryInbox(), Talk()
    direct = world.direct("ada").id
    rooms = [channel.name for channel in world.channels.values() if channel.name.startswith("room-")]
    threads: dict[str, int] = {}
    async with connected(world, inbox):
        for room in rooms:
            threads[room] = await called(world, talk, room)
        talk.add(direct, await world.say("ada", direct, "hello"))
        post = await world.create_forum_post("ada", "help", "It broke", f"{world.mention} why?")
        talk.add(post, post)
        await eventually(lambda: talk.heard(inbox))

    clock.late = 25 * HOUR
    for room in rooms:
        await world.say("grace", room, f"{world.mention} too old")
        await world.say("grace", threads[room], "too old as well")
    await world.say("ada", direct, "too old as well")

    clock.late = 0.0
    for number in range(10):
        for room in rooms:
            talk.add(threads[room], await world.say("grace", threads[room], f"follow-up {number}"))
            await world.say("grace", room, "not for a bot")
    for number in range(8):
        for room in rooms:
            question = await world.say("ada", room, f"{world.mention} question {number}")
            talk.add(question, question)
        talk.add(direct, await world.say("ada", direct, f"direct {number}"))
        talk.add(direct, await world.say("ada", direct, f"and again {number}"))
    for number in range(4):
        post = await world.create_forum_post("grace", "help", f"Broken {number}", f"{world.mention} why?")
        talk.add(post, post)
    assert talk.count() == 12 + 200

    async with serving(world, inbox) as front:
        # Not everything is fetched yet when people go on writing: that comes after it.
        await world.until(lambda: world.gateway.connected)
        for room in rooms:
            talk.add(threads[room], await world.say("grace", threads[room], "live"))
        async with asyncio.timeout(PATIENCE):
            await eventually(lambda: talk.heard(inbox), within=30)
        assert front.trouble() is None
    assert all(turn.position == int(turn.message_id) for turn in inbox.turns)
    assert not [call for call in world.calls() if call.status == 429]


class TestWhatItCosts:
    async def test_places_where_nothing_happened_cost_nothing(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        for channel in ("general", "random"):
            await world.say("ada", channel, f"{world.mention} hello")
        await eventually(lambda: len(inbox.turns) == 2)
        before = len(world.calls(MESSAGES))
        for turn in inbox.turns:  # our own replies are nothing new either
            surface = front.surface(turn.address, person=turn.person, guard=unguarded)
            await surface.post(PartKey(turn.message_id[-16:], PartKind.TEXT), "hello", last=True)
        newest = max(world.channels[int(turn.address.thread)].last_message_id or 0 for turn in inbox.turns)
        await eventually(lambda: front._all_served()[0].listeners.newest_heard >= newest)
        with capture_logs() as logs:
            world.gateway.invalidate()
            await world.until(lambda: world.gateway.identified == 2)
            await ready(front)
            await eventually(lambda: any(log["event"] == "discord.caught_up" for log in logs))
        assert len(world.calls(MESSAGES)) == before

    async def test_what_is_fetched_is_bounded(self, world: DiscordWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(catch_up, "MAX_MESSAGES", 3)  # Discord's own line at a thread's beginning is one
        monkeypatch.setattr(catch_up, "PAGE", 3)
        monkeypatch.setattr(catch_up, "MAX_PLACES", 2)
        inbox, talk = MemoryInbox(), Talk()
        async with connected(world, inbox):
            threads = [await called(world, talk, text=f"question {number}") for number in range(3)]
            await eventually(lambda: talk.heard(inbox))
        for thread in threads:
            for number in range(3):
                await world.say("ada", thread, f"{number}")
        with capture_logs() as logs:
            async with connected(world, inbox):
                await eventually(lambda: any(log["event"] == "discord.caught_up" for log in logs))
        cut = [log for log in logs if log["event"] == "discord.catch_up_cut_off"]
        assert [log.get("places") for log in cut][:1] == [1]
        taken = [turn.address.thread for turn in inbox.turns[3:]]
        assert sorted(taken) == sorted([str(threads[1])] * 2 + [str(threads[2])] * 2)


class TestWhatHidesIt:
    """What was written is found, whatever was posted after it."""

    async def test_a_reply_of_ours_after_it(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        talk = Talk()
        thread = await called(world, talk)
        await eventually(lambda: talk.heard(inbox))
        world.gateway.invalidate()
        talk.add(thread, await world.say("grace", thread, "missed"))
        surface = front.surface(inbox.turns[0].address, person=inbox.turns[0].person, guard=unguarded)
        await surface.post(PartKey("turn", PartKind.TEXT), "an answer to the first", last=True)
        await eventually(lambda: talk.heard(inbox))

    async def test_a_first_mention_in_a_channel_without_conversations(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        talk = Talk()
        await called(world, talk)
        await eventually(lambda: talk.heard(inbox))
        world.gateway.invalidate()
        await world.say("grace", "random", "not for a bot")
        await called(world, talk, "random")
        await eventually(lambda: talk.heard(inbox))

    async def test_the_very_first_mention_just_before_the_start(
        self, world: DiscordWorld, inbox: MemoryInbox
    ) -> None:
        """And none that is older: nobody waits for that any more."""
        clock = Clock(HOUR)
        world = DiscordWorld(clock=clock)
        await world.say("grace", "general", f"{world.mention} an hour ago")
        clock.late = 60.0
        talk = Talk()
        await called(world, talk, "random")
        async with connected(world, inbox):
            await eventually(lambda: talk.heard(inbox))

    async def test_what_was_said_before_a_mention_that_was_read_is_no_follow_up(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        """Its event comes only after the mention was read and has made the thread the agent's."""
        root = await world.say("grace", "general", "the printer is on fire")
        thread = await world.open_thread("grace", "general", "fire", on=root)
        await eventually(lambda: front._all_served()[0].listeners.newest_heard >= root)
        front._all_served()[0].listeners.gate.clear()
        await world.say("ada", thread, "again?")
        asked = [
            await world.say("grace", thread, f"{world.mention} what now?"),
            await world.say("grace", thread, "hello?"),
        ]
        await eventually(lambda: front._all_served()[0].listeners._waiting == 3)
        await front.catch_up()
        await eventually(lambda: not front._all_served()[0].listeners._waiting)
        assert [turn.message_id for turn in inbox.turns] == [str(message) for message in asked]

    async def test_a_first_direct_message_is_found_by_the_second(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        """Discord names no direct messages at the start of a session."""
        talk = Talk()
        direct = world.direct("ada").id
        world.gateway.invalidate()
        for number in range(2):
            talk.add(direct, await world.say("ada", direct, f"missed {number}"))
        await world.until(lambda: world.gateway.identified == 2)
        await ready(front)
        assert inbox.turns == []
        talk.add(direct, await world.say("ada", direct, "hello?"))
        await eventually(lambda: talk.heard(inbox))

    async def test_what_was_answered_in_a_direct_message_is_not_asked_again(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        direct = world.direct("ada").id
        world.gateway.invalidate()
        await world.say("ada", direct, "answered long ago")
        await world.say(world.bot.name, direct, "an answer")
        await world.until(lambda: world.gateway.identified == 2)
        await ready(front)
        new = await world.say("ada", direct, "hello?")
        await eventually(lambda: inbox.turns)
        assert [turn.message_id for turn in inbox.turns] == [str(new)]


class TestWhen:
    async def written_while_away(self, world: DiscordWorld, thread: int, talk: Talk) -> None:
        for number in range(3):
            talk.add(thread, await world.say("grace", thread, f"missed {number}"))

    async def test_after_a_session_that_was_begun_anew(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        talk = Talk()
        thread = await called(world, talk)
        await eventually(lambda: talk.heard(inbox))
        world.gateway.invalidate()  # nothing that is written now is ever replayed
        await self.written_while_away(world, thread, talk)
        await eventually(lambda: talk.heard(inbox))

    async def test_when_the_core_asks_for_it(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        talk = Talk()
        thread = await called(world, talk)
        await eventually(lambda: talk.heard(inbox))
        await self.written_while_away(world, thread, talk)
        await eventually(lambda: talk.heard(inbox))
        del inbox.turns[2:]  # as a store would have that was away meanwhile
        await asyncio.gather(front.catch_up(), front.catch_up())
        assert talk.heard(inbox)

    async def test_it_returns_where_there_is_nothing_to_ask(self, world: DiscordWorld, inbox: MemoryInbox) -> None:
        async with serving(world, inbox) as front:
            await asyncio.wait_for(front.catch_up(), PATIENCE)
        await asyncio.wait_for(front.catch_up(), PATIENCE)

    async def test_a_server_that_comes_late_is_looked_at_too(
        self, world: DiscordWorld, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gateway, "GUILDS_WITHIN", 0.05)
        talk = Talk()
        async with connected(world, inbox):
            await called(world, talk)
            await eventually(lambda: talk.heard(inbox))
        # A thread that only its server can tell of.
        post = await world.open_thread("ada", "general", "another")
        talk.add(post, await world.say("ada", post, f"{world.mention} and here?"))
        dispatch = Session.dispatch
        held: list[Json] = []

        def without_servers(self: Session, event: str, data: Json) -> None:
            if event == "GUILD_CREATE":
                held.append(data)
            else:
                dispatch(self, event, data)

        monkeypatch.setattr(Session, "dispatch", without_servers)
        with capture_logs() as logs:
            async with serving(world, inbox):
                await eventually(lambda: any(log["event"] == "discord.caught_up" for log in logs))
                assert not talk.heard(inbox)
                monkeypatch.setattr(Session, "dispatch", dispatch)
                world.dispatch("GUILD_CREATE", held[0])
                await eventually(lambda: talk.heard(inbox))


class TestWhileTheStoreIsAway:
    async def test_what_could_not_be_stored_is_fetched_in_its_order(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        talk = Talk()
        thread = await called(world, talk)
        await eventually(lambda: talk.heard(inbox))
        inbox.refusals = 5
        for number in range(5):
            talk.add(thread, await world.say("grace", thread, f"number {number}"))
        await eventually(lambda: talk.heard(inbox))

    async def test_what_overloads_it_is_left_with_all_that_follows_in_its_channel(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        talk = Talk()
        thread, other = await called(world, talk), await called(world, talk, "random")
        await eventually(lambda: talk.heard(inbox))
        inbox.overloaded = {"number 1"}
        for number in range(4):
            talk.add(thread, await world.say("grace", thread, f"number {number}"))
        talk.add(other, await world.say("grace", other, "elsewhere"))
        await eventually(lambda: any(turn.text == "elsewhere" for turn in inbox.turns))
        await eventually(lambda: any(turn.text == "number 0" for turn in inbox.turns))
        assert not any(turn.text in ("number 2", "number 3") for turn in inbox.turns)
        inbox.overloaded = set()
        await eventually(lambda: talk.heard(inbox))

    async def test_what_waits_behind_one_that_is_left_is_left_too(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        talk = Talk()
        direct = world.direct("ada").id
        inbox.held, inbox.overloaded = "number 0", {"number 0"}
        inbox.gate.clear()
        for number in range(4):
            talk.add(direct, await world.say("ada", direct, f"number {number}"))
        await world.say("ada", "general", f"{world.mention} elsewhere")
        await eventually(lambda: [turn.text for turn in inbox.turns] == ["elsewhere"])
        inbox.gate.set()
        await eventually(lambda: world.calls(MESSAGES))
        assert len(inbox.turns) == 1
        inbox.overloaded = set()
        await eventually(lambda: len(inbox.turns) == 5)
        assert [turn.message_id for turn in inbox.turns[1:]] == talk.said[str(direct)]

    async def test_of_many_that_wait_the_newest_are_left(
        self,
        world: DiscordWorld,
        inbox: MemoryInbox,
        front: DiscordFrontEnd,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(listeners, "MAX_WAITING", 5)
        talk = Talk()
        direct = world.direct("ada").id
        inbox.held = "number 0"
        inbox.gate.clear()
        with capture_logs() as logs:
            for number in range(20):
                talk.add(direct, await world.say("ada", direct, f"number {number}"))
            await eventually(lambda: any(log["event"] == "discord.left_to_catch_up" for log in logs))
            assert inbox.turns == []
            inbox.gate.set()
            await eventually(lambda: talk.heard(inbox))
        assert len([log for log in logs if log["event"] == "discord.left_to_catch_up"]) == 1

    async def test_live_events_wait_until_it_is_known_where_to_look(
        self, world: DiscordWorld, inbox: MemoryInbox
    ) -> None:
        talk = Talk()
        async with connected(world, inbox):
            thread = await called(world, talk)
            await eventually(lambda: talk.heard(inbox))
        talk.add(thread, await world.say("grace", thread, "missed"))
        inbox.refusals = 2
        async with serving(world, inbox):
            await world.until(lambda: world.gateway.connected)
            talk.add(thread, await world.say("grace", thread, "live"))
            await eventually(lambda: talk.heard(inbox))


class TestWhatDiscordAnswers:
    @pytest.fixture
    async def missed(self, world: DiscordWorld, inbox: MemoryInbox) -> Talk:
        """A thread and a channel with a message each that nobody heard."""
        talk = Talk()
        async with connected(world, inbox):
            thread = await called(world, talk)
            await eventually(lambda: talk.heard(inbox))
        talk.add(thread, await world.say("grace", thread, "missed"))
        question = await world.say("grace", "general", f"{world.mention} missed too")
        talk.add(question, question)
        return talk

    @pytest.mark.parametrize("status", [503, 400, 403])
    async def test_an_outage_or_an_unknown_answer_is_waited_out(
        self, world: DiscordWorld, inbox: MemoryInbox, missed: Talk, status: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(catch_up, "FIRST_PAUSE", 0.01)
        world.faults.break_down(MESSAGES, status, times=7)
        async with connected(world, inbox):
            await eventually(lambda: missed.heard(inbox))

    async def test_a_limit_is_waited_out(self, world: DiscordWorld, inbox: MemoryInbox, missed: Talk) -> None:
        world.faults.throttle(MESSAGES, retry_after=0.05, times=5)
        async with connected(world, inbox):
            await eventually(lambda: missed.heard(inbox))

    async def test_a_place_that_is_hidden_hides_no_other(
        self, world: DiscordWorld, inbox: MemoryInbox, missed: Talk
    ) -> None:
        world.faults.refuse(f"GET /channels/{inbox.turns[0].address.thread}/messages", 403, 50001)
        async with connected(world, inbox):
            await eventually(lambda: len(inbox.turns) == 2)
        assert inbox.turns[1].text == "missed too"

    async def test_a_message_that_breaks_us_hides_no_other(
        self, world: DiscordWorld, inbox: MemoryInbox, missed: Talk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = messages.text

        def text(message: object, me: object) -> str:
            words = whole(message, me)  # type: ignore[arg-type]
            if words == "missed":
                raise AttributeError("a mistake of ours")
            return words

        monkeypatch.setattr(messages, "text", text)
        async with connected(world, inbox):
            await eventually(lambda: len(inbox.turns) == 2)
        assert inbox.turns[1].text == "missed too"


class TestTheRootOfAThread:
    async def test_a_reply_where_the_root_calls_the_agent_brings_the_root_along(
        self, world: DiscordWorld, inbox: MemoryInbox
    ) -> None:
        root = await world.say("ada", "general", f"{world.mention} never heard")
        thread = await world.open_thread("ada", "general", "asked", on=root)
        async with connected(world, inbox):
            message = await world.say("grace", thread, "and?")
            await eventually(lambda: len(inbox.turns) == 2)
        here = Address("discord", str(world.guild.id), str(world.place("general").id), str(root))
        assert [(turn.address, turn.message_id) for turn in inbox.turns] == [
            (here, str(root)),
            (here, str(message)),
        ]

    async def test_others_are_looked_at_once(
        self, world: DiscordWorld, inbox: MemoryInbox, front: DiscordFrontEnd
    ) -> None:
        root = await world.say("ada", "general", "among people")
        thread = await world.open_thread("ada", "general", "talk", on=root)
        alone = await world.open_thread("ada", "general", "on no message")
        for number in range(3):
            for place in (thread, alone):
                await world.say("grace", place, f"and {number}?")
        question = await world.say("grace", thread, f"{world.mention} help us")
        await eventually(lambda: [turn.message_id for turn in inbox.turns] == [str(question)])
        await eventually(lambda: len(world.calls("GET /channels/*/messages/*")) == 2)

    async def test_old_ones_are_not_looked_at(self) -> None:
        clock = Clock(25 * HOUR)
        world = DiscordWorld(rate=None, clock=clock)
        inbox = MemoryInbox()
        root = await world.say("ada", "general", f"{world.mention} long ago")
        thread = await world.open_thread("ada", "general", "asked", on=root)
        clock.late = 0.0
        async with connected(world, inbox):
            await world.say("grace", thread, "and?")
            await world.say("grace", "general", f"{world.mention} now")
            await eventually(lambda: [turn.text for turn in inbox.turns] == ["now"])
        assert not world.calls("GET /channels/*/messages/*")


async def test_where_threads_are_forbidden_the_chain_is_read(world: DiscordWorld, inbox: MemoryInbox) -> None:
    world.place("general").denied = Permission.CREATE_PUBLIC_THREADS
    async with connected(world, inbox) as front:
        await world.say("ada", "general", f"{world.mention} first")
        await eventually(lambda: inbox.turns)
        turn = inbox.turns[0]
        surface = front.surface(turn.address, person=turn.person, guard=unguarded)
        posted = await surface.post(PartKey("0123456789abcdef", PartKind.TEXT), "yes?", last=True)
    message = await world.say("grace", "general", "and why?", reply_to=int(posted))
    async with connected(world, inbox):
        await eventually(lambda: len(inbox.turns) == 2)
    assert (inbox.turns[1].address, inbox.turns[1].message_id) == (turn.address, str(message))
