"""A reply arrives whole and once: paced, split, resumed, begun anew, whatever a platform's calls do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.store.values import PartRecord
from bridge.turns import pump
from bridge.turns.hold import Hold
from bridge.turns.parts import Parts
from bridge.turns.reply import Reply
from bridge.turns.steps import Steps
from bridge.turns.surface import Button, Gone, PartKey, PartKind, Refused, Sending, Upload
from bridge.turns.text import MAX_REPLY, ReplyText
from tests.e2e.waiting import PATIENCE
from tests.examples import examples
from tests.turns.world import STYLE, MemoryPlatform, MemorySurface, part_name

TURN = "0123456789abcdef"
FILE = PartKey(TURN, PartKind.FILE, 0)


class MemoryHold(Hold):
    """Keeps the parts as the database would; what rides along is lost where it doesn't `keep`, as at a kill."""

    def __init__(self, *, keeps: bool = True) -> None:
        self.recorded: dict[tuple[str, int], PartRecord] = {}
        self.keeps = keeps
        self.steps: str | None = None

    async def guard(self) -> None:
        return

    def note(self, turn: str, part: PartRecord) -> None:
        if self.keeps:
            self.recorded[part.kind, part.index] = part

    async def record(self, turn: str, part: PartRecord) -> None:
        self.recorded[part.kind, part.index] = part

    def note_steps(self, turn: str, steps: Callable[[], str]) -> None:
        if self.keeps:
            self.steps = steps()

    async def forget(self, turn: str, kind: str, index: int) -> None:
        self.recorded.pop((kind, index), None)


def reply_on(platform: MemoryPlatform, hold: Hold | None = None, *, resumed: bool = False) -> Reply:
    hold = hold or MemoryHold()
    records = hold.recorded.values() if isinstance(hold, MemoryHold) else ()
    parts = Parts(TURN, records, resumed=resumed)
    steps = Steps(hold.steps if isinstance(hold, MemoryHold) else None)
    return Reply(MemorySurface(platform), hold, parts, turn=TURN, asked="q", last_part=None, steps=steps)


def paragraphs(count: int) -> str:
    return "\n\n".join(f"Paragraph {number} " + "word " * 20 + "end." for number in range(count))


def words(platform: MemoryPlatform) -> list[str]:
    return " ".join(platform.texts()).split()


def names(platform: MemoryPlatform) -> list[str]:
    return [part_name(message.key) for message in platform.messages]


def check_arrived(platform: MemoryPlatform, text: str) -> None:
    """Whole, in order, once, finished, and nothing on the way was too long."""
    assert words(platform) == text.split()
    assert names(platform) == sorted(set(names(platform)), key=int)
    assert all(message.finished for message in platform.messages)
    assert all(not message.buttons for message in platform.messages)
    assert all(len(shown) <= STYLE.limit for message in platform.messages for shown in message.history)


def check_only_grew(platform: MemoryPlatform) -> None:
    for message in platform.messages:
        lengths = [len(shown.strip()) for shown in message.history]
        assert lengths == sorted(lengths), message.history


async def test_the_first_words_are_shown_while_the_agent_still_talks() -> None:
    platform = MemoryPlatform()
    async with reply_on(platform) as reply:
        reply.text("The first words ")
        await platform.until(lambda: platform.messages)
        [message] = platform.messages
        assert message.text.strip() == "The first words"
        assert not message.finished
        assert [button.action for button in message.buttons] == ["stop"]
        reply.text("and the last.")
        await reply.finish()
    [message] = platform.messages
    assert message.text == "The first words and the last."
    assert message.finished
    assert message.buttons == ()


async def test_a_long_reply_becomes_parts_in_order() -> None:
    platform, text = MemoryPlatform(), paragraphs(20)
    async with reply_on(platform) as reply:
        for start in range(0, len(text), 37):
            reply.text(text[start : start + 37])
            await asyncio.sleep(0)
        await reply.finish()
    assert len(platform.messages) > 3
    check_arrived(platform, text)


FAULTS = st.lists(st.sampled_from(["", "", "lost", "unheard", "throttled", "full"]), max_size=12)


def quickly(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("bridge.turns.retry.FIRST_PAUSE", 0.001)
    patch.setattr("bridge.turns.retry.LONGEST_PAUSE", 0.002)


@examples(60)
@given(
    faults=FAULTS,
    appends=st.booleans(),
    stop_button=st.booleans(),
    deltas=st.integers(5, 200),
    length=st.integers(1, 9),
)
def test_whatever_the_platforms_calls_do_the_reply_arrives_once(
    faults: list[str], appends: bool, stop_button: bool, deltas: int, length: int
) -> None:
    text = paragraphs(length)

    async def main() -> None:
        style = replace(STYLE, appends=appends, working_part=stop_button)
        platform = MemoryPlatform(style=style, faults=list(faults))
        async with asyncio.timeout(PATIENCE):
            async with reply_on(platform) as reply:
                for start in range(0, len(text), deltas):
                    reply.text(text[start : start + deltas])
                    await asyncio.sleep(0)
                await reply.finish()
        check_arrived(platform, text)
        if not faults:
            check_only_grew(platform)

    with pytest.MonkeyPatch.context() as patch:
        quickly(patch)
        asyncio.run(main())


@examples(60)
@given(
    kills=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    appends=st.booleans(),
    stop_button=st.booleans(),
    recorded=st.booleans(),
)
def test_a_restart_between_any_two_calls_goes_on_in_the_same_messages(
    kills: list[int], appends: bool, stop_button: bool, recorded: bool
) -> None:
    """Whether the parts were recorded before the kill or not. What people read never shrinks on the way."""
    text = paragraphs(9)

    async def main() -> None:
        style = replace(STYLE, appends=appends, working_part=stop_button)
        platform, hold = MemoryPlatform(style=style), MemoryHold(keeps=recorded)
        for attempt, kill in enumerate([*kills, None]):
            async with reply_on(platform, hold, resumed=attempt > 0) as reply:
                for step, start in enumerate(range(0, len(text), 40)):
                    if step == kill:
                        break
                    reply.text(text[start : start + 40])
                    await asyncio.sleep(0)
                else:
                    await reply.finish(text)
        check_arrived(platform, text)
        check_only_grew(platform)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pump, "RECORD_EVERY", 0.0)
        asyncio.run(main())


@examples(80)
@given(
    broke_off=st.integers(0, 1200),
    loops=st.integers(0, 12),
    faults=FAULTS,
    same=st.booleans(),
    pace=st.integers(20, 300),
)
def test_an_answer_that_begins_anew_at_any_time_stands_there_once(
    broke_off: int, loops: int, faults: list[str], same: bool, pace: int
) -> None:
    """The agent broke off and is read again, while calls of the first try are still under way."""
    text = paragraphs(9)
    first = text if same else "Something else. " * 80

    async def main() -> None:
        platform = MemoryPlatform(style=replace(STYLE, appends=same), faults=list(faults))
        async with asyncio.timeout(PATIENCE):
            async with reply_on(platform) as reply:
                reply.text(first[:broke_off])
                for _ in range(loops):
                    await asyncio.sleep(0)
                reply.begin_anew()
                for start in range(0, len(text), pace):
                    reply.text(text[start : start + pace])
                    await asyncio.sleep(0)
                await reply.finish()
        if same:
            check_arrived(platform, text)
        else:  # other words are cut where the first ones were
            assert "".join(words(platform)) == "".join(text.split())
            assert all(message.finished for message in platform.messages)

    with pytest.MonkeyPatch.context() as patch:
        quickly(patch)
        asyncio.run(main())


@examples(80)
@given(
    streamed=st.integers(0, 1200),
    lead=st.sampled_from(["", "Let me look at that.\n\n"]),
    same=st.booleans(),
    loops=st.integers(0, 40),
    faults=FAULTS,
    length=st.integers(0, 6),
)
def test_the_final_text_stands_there_whatever_was_streamed(
    streamed: int, lead: str, same: bool, loops: int, faults: list[str], length: int
) -> None:
    """It may come at any time, while parts that it has no use for are on their way, or with the same words in other
    places. What is recorded then gives the same parts again."""
    final = paragraphs(length).replace("word", "last")
    begun = lead + (final if same else paragraphs(10))

    async def main() -> None:
        platform, hold = MemoryPlatform(faults=list(faults)), MemoryHold()
        async with asyncio.timeout(PATIENCE):
            async with reply_on(platform, hold) as reply:
                reply.text(begun[:streamed])
                for _ in range(loops):
                    await asyncio.sleep(0)
                await reply.finish(final)
        check_arrived(platform, final)
        again = ReplyText(STYLE, [part.ends for part in hold.recorded.values() if part.ends is not None])
        again.finish(final)
        assert [part.text for part in again.parts()] == platform.texts()

    with pytest.MonkeyPatch.context() as patch:
        quickly(patch)
        asyncio.run(main())


async def test_words_that_moved_are_recorded_where_they_stand_now() -> None:
    """What came before them became shorter, and they read the same: a restart must cut there, not where they were."""
    platform, hold = MemoryPlatform(), MemoryHold()
    final = paragraphs(10)
    async with reply_on(platform, hold) as reply:
        reply.text(f"I look at it.\n\n{final}")
        await platform.until(lambda: sum(message.finished for message in platform.messages) >= 2)
        await reply.finish(final)
    again = ReplyText(STYLE, [part.ends for part in hold.recorded.values() if part.ends is not None])
    again.finish(final)
    assert [part.text for part in again.parts()] == platform.texts()


async def test_an_answer_that_only_grew_at_the_end_is_not_rewritten() -> None:
    platform = MemoryPlatform()
    async with reply_on(platform) as reply:
        reply.text("Hello ")
        await platform.until(lambda: platform.messages)
        await reply.finish("Hello world")
    [message] = platform.messages
    assert message.text == "Hello world"
    check_only_grew(platform)


# --- pace -----------------------------------------------------------------------------------------------------------


class Waits:
    """Counts how often a reply waits for its pacer, and lets it wait for ever."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.one = asyncio.Event()
        real = pump.Pump._pause
        waits = self

        async def pause(self: pump.Pump) -> None:
            if self._pacer.delay(asyncio.get_running_loop().time()) > 0:
                waits.begun += 1
                waits.one.set()
            await real(self)

        patch.setattr(pump.Pump, "_pause", pause)


async def test_the_last_words_do_not_wait_for_the_pacer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its interval is longer than the test may take: only what isn't paced comes."""
    waits = Waits(monkeypatch)
    platform, text = MemoryPlatform(style=replace(STYLE, interval=10_000.0)), paragraphs(9)
    async with reply_on(platform) as reply:
        reply.text("Paragraph ")
        await platform.until(lambda: platform.messages)
        reply.text(text.removeprefix("Paragraph ")[:300])
        await waits.one.wait()
        assert len(platform.messages[0].history) == 1, "what grows waits"
        reply.text(text[310:])
        await reply.finish()
    assert waits.begun == 1
    check_arrived(platform, text)


async def test_what_a_call_is_for_is_told_to_the_budget() -> None:
    platform = MemoryPlatform()
    async with reply_on(platform) as reply:
        reply.text("one ")
        await platform.until(lambda: platform.messages)
        reply.text("two ")
        await platform.until(lambda: "two" in platform.messages[0].text)
        await reply.finish("one two three")
        await reply.notice(0, "And that.")
    assert platform.slots == [Sending.FIRST, Sending.GROWTH, Sending.LAST, Sending.LAST]


async def test_a_first_message_that_is_held_back_shows_on_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "HELD_BACK", 0.01)
    platform, go_on = MemoryPlatform(), asyncio.Event()

    class Holding(MemorySurface):
        async def post(self, *arguments: object, **named: object) -> str:
            await go_on.wait()
            return await super().post(*arguments, **named)  # type: ignore[arg-type]

    reply = Reply(
        Holding(platform), MemoryHold(), Parts(TURN, (), resumed=False), turn=TURN, asked="q", last_part=None
    )
    async with reply:
        reply.text("hello ")
        await platform.until(lambda: platform.marks)
        assert platform.marks == [True]
        assert platform.messages == []
        go_on.set()
        await reply.finish()
    assert platform.marks == [True, False]
    assert platform.texts() == ["hello"]


async def test_a_first_message_that_is_taken_at_once_leaves_no_sign() -> None:
    platform = MemoryPlatform()
    async with reply_on(platform) as reply:
        await reply.finish("hello")
    assert platform.marks == []


# --- the message that carries the Stop button -----------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "WORKING_AFTER", 0.0)


WITH_STOP = replace(STYLE, working_part=True)


@pytest.mark.usefixtures("at_once")
async def test_a_message_with_stop_stands_in_until_the_first_words_take_its_place() -> None:
    platform = MemoryPlatform(style=WITH_STOP)
    async with reply_on(platform) as reply:
        await platform.until(lambda: platform.messages)
        [message] = platform.messages
        assert (message.text, [one.action for one in message.buttons]) == (pump.WORKING, ["stop"])
        reply.signs.working("reading a file")
        await platform.until(lambda: message.text == "reading a file")
        assert [one.action for one in message.buttons] == ["stop"]
        reply.text("The answer ")
        await platform.until(lambda: "The answer" in message.text)
        assert [one.action for one in message.buttons] == ["stop"]
        await reply.finish("The answer is 42.")
    [message] = platform.messages
    assert (message.text, message.buttons, message.finished) == ("The answer is 42.", (), True)


@pytest.mark.usefixtures("at_once")
async def test_the_message_that_stood_in_is_taken_away_where_no_words_came() -> None:
    platform, hold = MemoryPlatform(style=WITH_STOP), MemoryHold()
    async with reply_on(platform, hold) as reply:
        await platform.until(lambda: platform.messages)
        await reply.finish("")
        await reply.notice(0, "The agent sent an empty reply.")
    assert platform.texts() == ["The agent sent an empty reply."]
    assert list(hold.recorded) == [("n", 0)]


@pytest.mark.usefixtures("at_once")
async def test_nothing_stands_in_where_the_platform_has_a_sign_of_its_own() -> None:
    platform = MemoryPlatform()
    async with reply_on(platform) as reply:
        reply.signs.working("thinking")
        await platform.until(lambda: platform.labels)
        await reply.finish("x")
    assert names(platform) == ["0"]
    assert platform.messages[0].history == ["x"]


@pytest.mark.usefixtures("at_once")
async def test_a_message_that_stood_in_before_a_restart_becomes_the_reply() -> None:
    platform, hold = MemoryPlatform(style=WITH_STOP), MemoryHold()
    async with reply_on(platform, hold):
        await platform.until(lambda: platform.messages)
    async with reply_on(platform, hold, resumed=True) as reply:
        await reply.finish("The answer.")
    assert platform.texts() == ["The answer."]


@examples(30)
@given(deltas=st.integers(20, 900), faults=FAULTS)
def test_the_newest_part_carries_stop_until_the_end(deltas: int, faults: list[str]) -> None:
    text = paragraphs(9)

    async def main() -> None:
        platform = MemoryPlatform(style=WITH_STOP, faults=list(faults))
        complete = False

        class Watching(MemorySurface):
            async def post(self, *arguments: object, **named: object) -> str:
                posted = await super().post(*arguments, **named)  # type: ignore[arg-type]
                newest = platform.messages[-1]
                assert [one.action for one in newest.buttons] == ["stop"] or (complete and newest.finished)
                return posted

        parts = Parts(TURN, (), resumed=False)
        reply = Reply(Watching(platform), MemoryHold(), parts, turn=TURN, asked="q", last_part=None)
        async with reply:
            for start in range(0, len(text), deltas):
                reply.text(text[start : start + deltas])
                await asyncio.sleep(0)
            complete = True
            await reply.finish()
        check_arrived(platform, text)

    with pytest.MonkeyPatch.context() as patch:
        quickly(patch)
        asyncio.run(main())


# --- the rest ---------------------------------------------------------------------------------------------------------


async def test_notices_and_files_are_posted_once_over_a_lost_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    platform, hold = MemoryPlatform(faults=["unheard", "unheard"]), MemoryHold()
    path = tmp_path / "a.txt"
    path.write_text("content")
    for attempt in range(2):
        async with reply_on(platform, hold, resumed=attempt > 0) as reply:
            await reply.finish("")
            await reply.upload(FILE, Upload("a.txt", path, "text/plain", 7))
            await reply.notice(0, "That failed.", (Button("retry", "Try again", TURN),))
    assert names(platform) == ["f0", "n0"]
    assert platform.messages[0].files == (("a.txt", b"content"),)


async def test_a_deleted_channel_ends_the_reply() -> None:
    platform = MemoryPlatform(faults=["gone"])
    async with reply_on(platform) as reply:
        reply.text("hello ")
        with pytest.raises(Gone):
            await reply.finish()


async def test_a_reply_that_a_person_stops_on_the_platform_stays_as_it_is() -> None:
    platform, stopped = MemoryPlatform(), asyncio.Event()
    async with reply_on(platform) as reply:
        reply.on_stop(stopped.set)
        reply.text("Once upon a time ")
        await platform.until(lambda: platform.messages)
        platform.faults = ["stopped"]
        reply.text("there was more ")
        await stopped.wait()
        reply.text("and more")
        await reply.finish()
    assert [text.strip() for text in platform.texts()] == ["Once upon a time"]


class SlowSigns(MemorySurface):
    """The first sign takes its time, those after it none; each is seen when it has arrived."""

    def __init__(self, platform: MemoryPlatform) -> None:
        super().__init__(platform)
        self.go_on = asyncio.Event()
        self.begun: list[str | None] = []

    async def working(self, label: str | None) -> None:
        self.begun.append(label)
        self._platform.changed.set()
        if len(self.begun) == 1:
            await self.go_on.wait()
        await super().working(label)


async def test_only_the_newest_sign_of_life_counts() -> None:
    platform = MemoryPlatform()
    surface = SlowSigns(platform)
    parts = Parts(TURN, (), resumed=False)
    async with Reply(surface, MemoryHold(), parts, turn=TURN, asked="q", last_part=None) as reply:
        reply.signs.working("reading")
        await platform.until(lambda: surface.begun)
        reply.signs.working("thinking")
        reply.signs.working("writing")
        for _ in range(5):
            await asyncio.sleep(0)
        assert surface.begun == ["reading"]
        surface.go_on.set()
        await platform.until(lambda: len(platform.labels) == 2)
        await reply.finish("x")
    assert platform.labels == ["reading", "writing"]


async def test_what_is_longer_than_messages_can_be_says_so() -> None:
    platform = MemoryPlatform(style=replace(STYLE, limit=50_000))
    async with reply_on(platform) as reply:
        reply.text("a " * MAX_REPLY)
        await reply.finish()
        assert reply.overflowed
        assert reply.length == 2 * MAX_REPLY
    assert sum(len(text) for text in platform.texts()) <= MAX_REPLY


async def test_a_refused_first_part_says_why() -> None:
    platform = MemoryPlatform(style=replace(STYLE, measure=lambda text: 10_000))
    async with reply_on(platform) as reply:
        with pytest.raises(Refused):
            await reply.notice(0, "too long")
