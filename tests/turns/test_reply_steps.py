"""An agent's steps in its reply's own messages: when they are shown, how often, and what a restart makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import Step, StepState
from bridge.turns import pump
from bridge.turns.steps import Ending
from bridge.turns.surface import NO_PROGRESS, Progress, Sending
from tests.e2e.waiting import PATIENCE
from tests.examples import examples
from tests.turns.test_reply import FAULTS, MemoryHold, paragraphs, quickly, reply_on, words
from tests.turns.world import STYLE, MemoryPlatform, Posted

CARDS = replace(STYLE, cards=True, appends=True)
LINE = replace(STYLE, working_part=True)
DONE, FAILED, RUNNING = StepState.DONE, StepState.FAILED, StepState.RUNNING


def titles(message: Posted) -> list[tuple[str, str]]:
    return [(step.title, step.state.value) for step in message.progress.steps]


def steps_shown(platform: MemoryPlatform) -> list[str]:
    """Ids of the steps that stand in the thread where they ended, in order."""
    return [
        step.id
        for message in platform.messages
        for step in message.progress.steps
        if step.detail != "goes on below"
    ]


async def test_the_first_step_shows_at_once_and_the_words_grow_below_it() -> None:
    platform = MemoryPlatform(style=replace(CARDS, interval=10_000.0))
    async with reply_on(platform) as reply:
        reply.step(Step("a", "Search the web"))
        await platform.until(lambda: platform.messages)
        [message] = platform.messages
        assert (message.text, titles(message)) == ("", [("Search the web", "running")])
        assert [button.action for button in message.buttons] == ["stop"]
        assert reply.first_words_after is None
        reply.text("First words ")
        await platform.until(lambda: message.text)
        reply.settle(Ending.WHOLE)
        await reply.finish("First words and the last.")
    assert (message.text, message.finished, message.buttons) == ("First words and the last.", True, ())
    assert message.progress == Progress("Done in 1 step", (Step("a", "Search the web", DONE),))
    assert platform.slots == [Sending.FIRST, Sending.FIRST, Sending.LAST]
    assert len(platform.messages) == 1


async def test_steps_that_come_together_are_one_call() -> None:
    platform = MemoryPlatform(style=CARDS)
    async with reply_on(platform) as reply:
        reply.text("I look. ")
        await platform.until(lambda: platform.messages)
        for number in range(40):
            reply.step(Step(str(number), f"Step {number}"))
            reply.step(Step(str(number), f"Step {number}", DONE))
        await platform.until(lambda: platform.messages[0].progress)
        assert len(platform.messages[0].followed) == 2
        reply.settle(Ending.WHOLE)
        await reply.finish()
    assert platform.slots == [Sending.FIRST, Sending.GROWTH, Sending.LAST]


async def test_a_turn_without_steps_makes_no_other_calls() -> None:
    platform = MemoryPlatform(style=CARDS)
    async with reply_on(platform) as reply:
        reply.text("one ")
        await platform.until(lambda: platform.messages)
        reply.status("thinking")
        for _ in range(20):
            await asyncio.sleep(0)
        reply.settle(Ending.WHOLE)
        await reply.finish("one two")
    assert platform.slots == [Sending.FIRST, Sending.LAST]
    assert platform.messages[0].followed == [NO_PROGRESS, NO_PROGRESS]


@pytest.mark.parametrize("style", [CARDS, LINE], ids=["cards", "line"])
async def test_a_step_sets_the_sign(style: object) -> None:
    platform = MemoryPlatform(style=style)  # type: ignore[arg-type]
    async with reply_on(platform) as reply:
        reply.step(Step("a", "Search the web"))
        await platform.until(lambda: "Search the web" in platform.labels)
        assert reply.signs.label == "Search the web"
        await reply.finish("x")


async def test_what_runs_when_a_part_is_full_goes_on_in_the_next() -> None:
    platform = MemoryPlatform(style=CARDS)
    async with reply_on(platform) as reply:
        reply.step(Step("a", "Search", DONE))
        reply.step(Step("b", "Read"))
        reply.text("Words ")
        await platform.until(lambda: platform.messages and platform.messages[0].text)
        platform.faults = ["full"]
        reply.text("and more ")
        await platform.until(lambda: len(platform.messages) == 2)
        first, second = platform.messages
        assert titles(first) == [("Search", "done"), ("Read", "done")]
        assert (first.finished, first.progress.phase) == (True, "Goes on below")
        assert (second.text, titles(second)) == ("", [("Read", "running")])
        reply.step(Step("b", "Read", DONE, "12 pages"))
        reply.text("than that ")
        reply.settle(Ending.WHOLE)
        await reply.finish()
    assert titles(second) == [("Read", "done")]
    assert second.progress.phase == "Done in 2 steps"
    assert words(platform) == ["Words", "and", "more", "than", "that"]


async def test_a_part_that_closes_by_its_length_takes_running_steps_along_before_more_words_come() -> None:
    platform = MemoryPlatform(style=CARDS)
    async with reply_on(platform) as reply:
        reply.step(Step("a", "Search"))
        reply.text(paragraphs(5))
        await platform.until(lambda: len(platform.messages) > 1 and platform.messages[0].finished)
        assert platform.messages[0].progress.phase == "Goes on below"
        reply.settle(Ending.WHOLE)
        await reply.finish()
    assert steps_shown(platform) == ["a"]
    assert titles(platform.messages[-1]) == [("Search", "done")]
    assert all(message.finished for message in platform.messages)


@pytest.mark.parametrize(
    ("ending", "state", "title"),
    [(Ending.FAILED, "failed", "Failed after 1 step"), (Ending.STOPPED, "failed", "Stopped after 1 step")],
)
async def test_cards_without_words_stay_readable(ending: Ending, state: str, title: str) -> None:
    platform, hold = MemoryPlatform(style=CARDS), MemoryHold()
    async with reply_on(platform, hold) as reply:
        reply.step(Step("a", "Search"))
        await platform.until(lambda: platform.messages)
        reply.settle(ending)
        reply.step(Step("b", "Too late"))
        await (reply.close() if ending is Ending.FAILED else reply.finish(""))
    [message] = platform.messages
    assert (message.finished, message.buttons) == (True, ())
    assert (message.progress.phase, titles(message)) == (title, [("Search", state)])
    assert hold.recorded["p", 0].digest is not None


async def test_a_failure_after_words_ends_the_steps_in_their_part() -> None:
    platform = MemoryPlatform(style=CARDS)
    async with reply_on(platform) as reply:
        reply.step(Step("a", "Search"))
        reply.text("Words ")
        await platform.until(lambda: platform.messages and platform.messages[0].text)
        reply.settle(Ending.FAILED)
        await reply.close()
    assert titles(platform.messages[0]) == [("Search", "failed")]


@pytest.mark.parametrize("style", [CARDS, LINE], ids=["cards", "line"])
@pytest.mark.parametrize("faulty", [False, True])
def test_a_restart_between_any_two_calls_goes_on_with_the_same_steps(style: object, faulty: bool) -> None:
    """The words once, each step once where it ended, in the same messages; nothing runs at the end."""

    @examples(40)
    @given(
        kills=st.lists(st.integers(1, 30), max_size=4),
        recorded=st.booleans(),
        stand_in=st.booleans(),
        faults=FAULTS if faulty else st.just([]),
    )
    def whatever(kills: list[int], recorded: bool, stand_in: bool, faults: list[str]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pump, "RECORD_EVERY", 0.0)
            patch.setattr(pump, "WORKING_AFTER", 0.0 if stand_in else 1_000.0)
            quickly(patch)
            asyncio.run(_killed(style, kills, recorded, faults))

    whatever()


async def _killed(style: object, kills: list[int], recorded: bool, faults: list[str]) -> None:
    text = paragraphs(9)
    platform, hold = MemoryPlatform(style=style, faults=list(faults)), MemoryHold(keeps=recorded)  # type: ignore[arg-type]
    async with asyncio.timeout(PATIENCE):
        for attempt, kill in enumerate([*kills, None]):
            async with reply_on(platform, hold, resumed=attempt > 0) as reply:
                if await _play(reply, text, kill):
                    reply.settle(Ending.WHOLE)
                    await reply.finish(text)
    assert words(platform) == text.split()
    assert all(message.finished and not message.buttons for message in platform.messages)
    assert len({message.key for message in platform.messages}) == len(platform.messages)
    if style is LINE:
        assert all(message.progress == NO_PROGRESS for message in platform.messages)
        return
    for message in platform.messages:
        assert all(step.state is DONE for step in message.progress.steps)
    if recorded and not faults:
        assert steps_shown(platform) == [str(number) for number in range(0, 30, 3)]
    else:  # where nothing was recorded, one that moved may stand in other parts than before
        assert set(steps_shown(platform)) == {str(number) for number in range(0, 30, 3)}


async def _play(reply: object, text: str, kill: int | None) -> bool:
    for number in range(30):
        if number == kill:
            return False
        if number % 3 == 0:
            reply.step(Step(str(number), f"Step {number}"))  # type: ignore[attr-defined]
        reply.text(text[number * 40 : number * 40 + 40])  # type: ignore[attr-defined]
        if number % 3 == 2:
            name = str(number - 2)
            reply.step(Step(name, f"Step {name}", DONE))  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    reply.text(text[30 * 40 :])  # type: ignore[attr-defined]
    return True


async def test_after_a_restart_the_cards_go_on_before_a_word_has_come() -> None:
    platform, hold = MemoryPlatform(style=CARDS), MemoryHold()
    async with reply_on(platform, hold) as reply:
        reply.step(Step("a", "Search", DONE))
        reply.step(Step("b", "Read"))
        await platform.until(lambda: platform.messages)
    async with reply_on(platform, hold, resumed=True) as reply:
        reply.step(Step("a", "Search"))  # yielded again
        reply.step(Step("b", "Read", DONE))
        await platform.until(lambda: titles(platform.messages[0])[1:] == [("Read", "done")])
        assert titles(platform.messages[0])[0] == ("Search", "done")
        reply.settle(Ending.WHOLE)
        await reply.finish("The answer.")
    [message] = platform.messages
    assert (message.text, message.progress.phase) == ("The answer.", "Done in 2 steps")


@pytest.mark.parametrize("known", [True, False], ids=["the step was stored", "it wasn't"])
async def test_cards_take_no_words_back_that_were_shown_and_not_recorded(known: bool) -> None:
    """The process died within a second of its last words."""
    platform, hold = MemoryPlatform(style=CARDS), MemoryHold()
    async with reply_on(platform, hold) as reply:
        reply.step(Step("a", "Search", DONE))
        await platform.until(lambda: platform.messages)
        hold.keeps = False
        if not known:
            hold.steps = None
        reply.text("The whole answer. ")
        await platform.until(lambda: "whole" in platform.messages[0].text)
    async with reply_on(platform, hold, resumed=True) as reply:
        reply.step(Step("a", "Search", DONE))
        reply.step(Step("b", "Read"))
        for _ in range(100):
            await asyncio.sleep(0)
        reply.settle(Ending.WHOLE)
        await reply.finish("The whole answer.")
    [message] = platform.messages
    shown = [text for text in message.history if text]
    assert message.history[-len(shown) :] == shown
    assert (message.text, message.progress.phase) == ("The whole answer.", "Done in 2 steps")


# --- a line -----------------------------------------------------------------------------------------------------


async def test_a_line_below_the_words_is_replaced_and_gone_at_the_end() -> None:
    platform = MemoryPlatform(style=LINE)
    async with reply_on(platform) as reply:
        reply.text("Words ")
        await platform.until(lambda: platform.messages)
        [message] = platform.messages
        await follow(platform, reply.step, message)
        reply.settle(Ending.WHOLE)
        await reply.finish("Words.")
    assert [progress.phase for progress in message.followed] == ["", "Search", "Read", ""]
    assert message.text == "Words."


async def follow(platform: MemoryPlatform, step: Callable[[Step], None], message: Posted) -> None:
    step(Step("a", "Search"))
    await platform.until(lambda: message.progress.phase == "Search")
    step(Step("a", "Search", DONE))
    step(Step("b", "Read"))
    await platform.until(lambda: message.progress.phase == "Read")


async def test_the_message_that_stands_in_says_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "WORKING_AFTER", 0.0)
    platform = MemoryPlatform(style=LINE)
    async with reply_on(platform) as reply:
        await platform.until(lambda: platform.messages)
        [message] = platform.messages
        assert message.text == pump.WORKING
        await follow(platform, reply.step, message)
        assert (message.text, [button.action for button in message.buttons]) == ("", ["stop"])
        await reply.finish("The answer.")
    assert (message.text, message.progress) == ("The answer.", NO_PROGRESS)
