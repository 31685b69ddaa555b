"""An agent's steps through the real SDK: as cards in the reply's own stream, and in its messages where none is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapters.base import Source, Step, StepState
from bridge.frontends.slack import live
from bridge.frontends.slack.cards import CARD_BYTES, MAX_CARDS, MORE, plan_of
from bridge.frontends.slack.surface import PART_BYTES, SlackSurface
from bridge.playground.slack import SlackWorld
from bridge.playground.slack.tasks import plan_block
from bridge.render.measure import utf8
from bridge.turns.steps import Steps
from bridge.turns.surface import Button, PartFull, PartKey, Progress

Shown = Callable[[], list[str]]
RUNNING, DONE, FAILED, PENDING = StepState.RUNNING, StepState.DONE, StepState.FAILED, StepState.PENDING
PAGE = Source("https://example.com/a", "A page")
SEARCH = Progress("Looking around", (Step("a", "Search", RUNNING, "for cats"),))
READ = Progress("Reading", (Step("a", "Search", DONE, "3 found", (PAGE,)), Step("b", "Read")))
WHOLE = Progress("Done in 2 steps", (Step("a", "Search", DONE, "3 found", (PAGE,)), Step("b", "Read", DONE)))
AGAIN = Button("retry", "Try again", "turn000000000001")


def plan(world: SlackWorld, ts: str) -> dict[str, Any]:
    """The plan that people see in a message."""
    message = world.message("general", ts)
    streamed = plan_block(message.tasks)
    plans = [streamed] if streamed else [block for block in message.blocks if block["type"] == "plan"]
    [found] = plans
    return found


def cards(world: SlackWorld, ts: str) -> list[tuple[str, str, str, str]]:
    return [
        (card["task_id"], card["status"], said(card.get("details")), said(card.get("output")))
        for card in plan(world, ts)["tasks"]
    ]


def said(rich: dict[str, Any] | None) -> str:
    return rich["elements"][0]["elements"][0]["text"] if rich else ""


def methods(world: SlackWorld) -> list[str]:
    return [call.method.removeprefix("chat.") for call in world.made_calls]


async def test_cards_stand_in_the_replys_own_stream(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    ts = await surface.post(key, "", last=False, progress=SEARCH)
    assert plan(world, ts)["title"] == "Looking around"
    assert cards(world, ts) == [("a", "in_progress", "for cats", "")]
    await surface.edit(key, ts, "Words", shown="", last=False, progress=READ)
    await surface.edit(key, ts, "Words and", shown="Words", last=False, progress=READ)
    assert cards(world, ts) == [("a", "complete", "for cats", "3 found"), ("b", "in_progress", "", "")]
    await surface.edit(key, ts, "Words and all.", shown="Words and", last=True, buttons=[AGAIN], progress=WHOLE)
    assert shown() == ["Words and all."]
    assert plan(world, ts)["title"] == "Done in 2 steps"
    assert cards(world, ts) == [("a", "complete", "for cats", "3 found"), ("b", "complete", "", "")]
    assert plan(world, ts)["tasks"][0]["sources"] == [{"type": "url", "url": PAGE.url, "text": PAGE.title}]
    assert methods(world) == ["startStream", "appendStream", "appendStream", "stopStream"]


async def test_only_what_changed_is_sent(world: SlackWorld, surface: SlackSurface, key: PartKey) -> None:
    ts = await surface.post(key, "", last=False, progress=READ)
    changed = Progress("Reading", (READ.steps[0], Step("b", "Read", FAILED)))
    await surface.edit(key, ts, "", shown="", last=False, progress=changed)
    await surface.edit(key, ts, "", shown="", last=False, progress=changed)
    [call] = world.calls("chat.appendStream")
    assert call.args["chunks"] == [{"type": "task_update", "id": "b", "title": "Read", "status": "error"}]


async def test_steps_may_come_after_the_words(world: SlackWorld, surface: SlackSurface, key: PartKey) -> None:
    ts = await surface.post(key, "Words", last=False)
    await surface.edit(key, ts, "Words", shown="Words", last=False, progress=SEARCH)
    assert cards(world, ts) == [("a", "in_progress", "for cats", "")]


@pytest.mark.parametrize("refused", ["channel_type_not_supported", "invalid_chunks"])
async def test_where_there_are_no_streams_they_are_blocks(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown, refused: str
) -> None:
    world.faults.refuse("chat.startStream", refused, times=9)
    ts = await surface.post(key, "", last=False, progress=SEARCH)
    assert cards(world, ts) == [("a", "in_progress", "for cats", "")]
    await surface.edit(key, ts, "Words", shown="", last=False, progress=READ)
    await surface.edit(key, ts, "Words.", shown="Words", last=True, buttons=[AGAIN], progress=WHOLE)
    assert shown() == ["Words."]
    assert cards(world, ts) == [("a", "complete", "", "3 found"), ("b", "complete", "", "")]


async def test_the_final_rewriting_keeps_the_cards(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    ts = await surface.post(key, "Two plus two is", last=False, progress=READ)
    await surface.edit(key, ts, "It is four.", shown="Two plus two is", last=True, progress=WHOLE)
    assert shown() == ["It is four."]
    assert [status for _, status, _, _ in cards(world, ts)] == ["complete", "complete"]


async def test_another_process_goes_on_with_the_same_cards(
    world: SlackWorld, make_surface: Callable[[], SlackSurface], key: PartKey, shown: Shown
) -> None:
    ts = await make_surface().post(key, "", last=False, progress=SEARCH)
    successor = make_surface()
    await successor.edit(key, ts, "", shown=None, last=False, progress=READ)
    assert cards(world, ts) == [("a", "complete", "", "3 found"), ("b", "in_progress", "", "")]
    await successor.edit(key, ts, "Words.", shown="", last=True, progress=WHOLE)
    assert shown() == ["Words."]
    assert len(cards(world, ts)) == 2


async def test_cards_without_words_outlive_their_stream(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing at which the part could end, so it goes on as an ordinary message."""
    ts = await surface.post(key, "", last=False, progress=SEARCH)
    monkeypatch.setattr(live, "STREAM_SECONDS", -1.0)
    await surface.edit(key, ts, "", shown="", last=False, progress=READ)
    assert [status for _, status, _, _ in cards(world, ts)] == ["complete", "in_progress"]
    await surface.edit(key, ts, "Words.", shown="", last=True, progress=WHOLE)
    assert shown() == ["Words."]


async def test_a_part_that_rolls_over_leaves_no_step_running(
    world: SlackWorld, surface: SlackSurface, key: PartKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps()
    steps.add(Step("a", "Search", DONE))
    steps.add(Step("b", "Read"))
    ts = await surface.post(key, "Words", last=False, progress=steps.of(0))
    monkeypatch.setattr(live, "STREAM_SECONDS", -1.0)
    with pytest.raises(PartFull):
        await surface.edit(key, ts, "Words and", shown="Words", last=False, progress=steps.of(0))
    monkeypatch.undo()
    steps.close(0)
    await surface.edit(key, ts, "Words and", shown="Words", last=True, progress=steps.of(0))
    assert cards(world, ts) == [("a", "complete", "", ""), ("b", "complete", "", "goes on below")]
    following = await surface.post(PartKey(key.turn, key.kind, 1), "", last=False, progress=steps.of(1))
    assert cards(world, following) == [("b", "in_progress", "", "")]


async def test_a_part_whose_text_is_unknown_ends_with_its_steps(
    world: SlackWorld, make_surface: Callable[[], SlackSurface], key: PartKey
) -> None:
    ts = await make_surface().post(key, "Words", last=False, progress=SEARCH)
    failed = Progress("Failed after 1 step", (Step("a", "Search", FAILED),))
    await make_surface().close(key, ts, progress=failed)
    assert (plan(world, ts)["title"], cards(world, ts)) == (failed.phase, [("a", "error", "for cats", "")])
    assert world.message("general", ts).streaming == "completed"


async def test_cards_that_slack_refuses_cost_no_words(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    ts = await surface.post(key, "Words", last=False)
    world.faults.refuse("chat.appendStream", "invalid_chunks")
    world.faults.refuse("chat.update", "invalid_blocks")
    await surface.edit(key, ts, "Words and", shown="Words", last=False, progress=SEARCH)
    await surface.edit(key, ts, "Words and all.", shown="Words and", last=True, progress=WHOLE)
    assert shown() == ["Words and all."]


async def test_the_longest_text_and_the_most_cards_fit_into_a_message(
    world: SlackWorld, surface: SlackSurface, key: PartKey, shown: Shown
) -> None:
    steps = Steps()
    for number in range(100):
        steps.add(Step(str(number), f"Step {number} " + "x" * 90, DONE, "y" * 200, (PAGE,)))
    text = "word " * (PART_BYTES // 5)
    ts = await surface.post(key, text, last=True, progress=steps.of(0))
    await surface.edit(key, ts, text, shown=None, last=True, progress=steps.of(0))
    assert shown() == [text]
    assert cards(world, ts)[-1][0] == MORE
    assert plan(world, ts)["tasks"][-1]["title"].startswith("+")


def test_cards_are_few_and_those_that_stand_there_stay() -> None:
    steps = Steps()
    before = plan_of(steps.of(0))
    for number in range(100):
        steps.add(Step(str(number), "S" * 30, detail="d" * 150))
        after = before.then(steps.of(0))
        ids = [card.id for card in after.cards]
        assert [card.id for card in before.cards if card.id != MORE] == ids[
            : len(before.cards) - (MORE in [card.id for card in before.cards])
        ]
        assert len(ids) <= MAX_CARDS
        assert sum(card.size for card in after.cards) <= CARD_BYTES
        assert after.cards[-1].status == "in_progress"
        steps.add(Step(str(number), "S" * 30, DONE, "what came of it " * 10))
        before = after.then(steps.of(0))
        assert sum(card.size for card in before.cards) <= CARD_BYTES
    assert MORE in [card.id for card in before.cards]
    assert {card.status for card in before.cards} == {"complete"}
    assert utf8(before.cards[-1].title) < 20


async def test_hostile_steps_mention_nobody(world: SlackWorld, surface: SlackSurface, key: PartKey) -> None:
    steps = Steps()
    evil = "<!channel> <@U123> @here <https://evil.example|click>"
    steps.phase(evil)
    steps.add(Step("a", evil, detail=evil, sources=(Source("https://example.com", evil),)))
    ts = await surface.post(key, "", last=False, progress=steps.of(0))
    await surface.edit(key, ts, "x", shown=None, last=True, progress=steps.of(0))
    for call in world.made_calls:
        for mention in ("<!channel", "<@U123", "@here"):
            assert mention not in str(call.args)
    assert (world.pings, world.unfurls) == ([], [])
