"""Steps from the agent to the thread and into the database, on both kinds."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from adapters.base import Done, RunFailed, StepState, Text
from adapters.base import Step as AgentStep
from bridge.store.database import Database
from tests.turns.agents import Backend, CancellableAgent, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import STYLE, MemoryPlatform, Posted, inbound

SEARCH = AgentStep("search", "Search\0 the web", detail="for cats")
FOUND = replace(SEARCH, state=StepState.DONE, detail="3 found")
READ = AgentStep("read", "Read them")


@pytest.fixture
def platform() -> MemoryPlatform:
    return MemoryPlatform(style=replace(STYLE, cards=True))


def shown(message: Posted) -> list[tuple[str, str]]:
    return [(step.id, step.state.value) for step in message.progress.steps]


async def stored(bridge: Bridge) -> list[tuple[str, str]]:
    [record] = await bridge.ledger.turns(state=None, thread=None, limit=9)
    return [(row[0], row[2]) for row in json.loads(record.turn.steps or "{}").get("steps", [])]


async def test_steps_are_shown_and_stored_with_the_turn(database: Database, platform: MemoryPlatform) -> None:
    backend = Backend([SEARCH, FOUND, READ, Text("Cats purr."), Done()])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        assert await stored(bridge) == [("search", "done"), ("read", "done")]
    [message] = platform.messages
    assert (message.text, shown(message)) == ("Cats purr.", [("search", "done"), ("read", "done")])
    assert message.progress.phase == "Done in 2 steps"


async def test_a_turn_without_steps_stores_none(database: Database, platform: MemoryPlatform) -> None:
    async with running(Bridge(database, platform, ScriptedAgent(Backend()))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        [record] = await bridge.ledger.turns(state=None, thread=None, limit=9)
        assert record.turn.steps is None


@pytest.mark.parametrize("words", ["", "Cats "])
async def test_a_failed_turn_leaves_its_steps_readable(
    database: Database, platform: MemoryPlatform, words: str
) -> None:
    async def seen() -> None:
        await platform.until(lambda: platform.messages and platform.messages[0].text.strip() == words.strip())

    says = [Text(words)] if words else []
    backend = Backend([SEARCH, FOUND, READ, *says, seen, RunFailed("broken")])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("failed")
    answer, notice = platform.messages
    assert (answer.text.strip(), answer.finished) == (words.strip(), True)
    assert shown(answer) == [("search", "done"), ("read", "failed")]
    assert answer.progress.phase == "Failed after 2 steps"
    assert notice.text == RunFailed.sentence


async def test_after_a_stop_there_are_no_more_steps(database: Database, platform: MemoryPlatform) -> None:
    stopped = asyncio.Event()
    late = AgentStep("late", "Too late")
    backend = Backend([SEARCH, stopped.wait, late, Text("never"), Done()])  # type: ignore[list-item]
    async with running(Bridge(database, platform, CancellableAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await platform.until(lambda: platform.messages)
        [stop] = platform.messages[0].buttons
        assert await bridge.press(stop) == ""
        await platform.until(lambda: platform.messages[0].finished)
        stopped.set()
        await bridge.until_state("cancelled")
        assert await stored(bridge) == [("search", "failed")]
    answer = platform.messages[0]
    assert (shown(answer), answer.progress.phase) == ([("search", "failed")], "Stopped after 1 step")
    assert answer.progress.steps[0].detail == "stopped"


async def test_another_process_shows_the_same_steps(database: Database, platform: MemoryPlatform) -> None:
    """It is killed after a step's card was recorded; the agent yields only what is new."""
    gate = asyncio.Event()
    backend = Backend([SEARCH, FOUND, READ, gate.wait, Done()])  # type: ignore[list-item]
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        while await stored(bridge) != [("search", "done"), ("read", "running")]:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.02)
    backend.script = [replace(READ, state=StepState.DONE), Text("Cats purr."), Done()]
    backend.running.clear()
    async with running(Bridge(database, platform, ScriptedAgent(backend), replica="r1")) as bridge:
        await bridge.until_state("done")
    [message] = platform.messages
    assert shown(message) == [("search", "done"), ("read", "done")]
    assert backend.asked == ["question 1"]
