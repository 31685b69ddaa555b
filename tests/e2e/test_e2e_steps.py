"""What people see of an agent's steps, on both platforms, with the real bridge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters import echo
from adapters.base import Checkpoint, Done, Event, Message, Source, Status, Step, StepState, Text
from bridge.playground.slack.tasks import plan_block
from bridge.turns import pump
from tests.e2e.people import People, Thread
from tests.e2e.running import at_rest, serving, settings_for
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]

PAGE = Source("https://example.com/cats", "All about cats")


class Working:
    """Where the echo agent would answer: it takes two steps, and waits in the second until it is let on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        yield Checkpoint(conversation or "c", {"state": "asked"})
        yield Status("Looking around")
        yield Step("search", "Search the web", detail="for cats")
        yield Step("search", "Search the web", StepState.DONE, "3 found", (PAGE,))
        yield Step("read", "Read them @everyone <!channel>")
        await self.go_on.wait()
        yield Step("read", "Read them", StepState.DONE)
        yield Text("Cats purr.")
        yield Done()


@pytest.fixture
def working(monkeypatch: pytest.MonkeyPatch) -> Working:
    agent = Working()
    monkeypatch.setattr(echo.Echo, "ask", lambda _, *words, **named: agent.ask(*words, **named))
    monkeypatch.setattr(pump, "WORKING_AFTER", 0.0)
    return agent


def seen(town: Town, people: People, thread: Thread) -> str:
    """All that stands in the bot's messages, the cards of Slack included."""
    texts = [shown.text for shown in people.shown(thread)]
    if people.name == "slack":
        for message in town.slack.thread(thread.channel, thread.id):
            plans = [plan_block(message.tasks), *(block for block in message.blocks if block["type"] == "plan")]
            texts += [
                f"[{plan['title']}: "
                + ", ".join(f"{card['title']} {card['status']}" for card in plan["tasks"])
                + "]"
                for plan in plans
                if plan
            ]
    return "\n".join(texts)


RUNNING = {"slack": "Search the web complete, Read them", "discord": "-# ⏳ Read them"}
ENDED = {
    "slack": "Cats purr.\n[Done in 2 steps: Search the web complete, Read them complete]",
    "discord": "Cats purr.",
}


async def test_steps_are_followed_while_the_agent_works(
    town: Town, people: People, platform: str, database: Path, working: Working
) -> None:
    async with serving(settings_for(town, platform, database), people):
        thread = await people.say("ada", "general", "@threadbridge cats?")
        await eventually(lambda: RUNNING[platform] in seen(town, people, thread))
        if platform == "slack":
            assert "[Looking around: " in seen(town, people, thread)
        working.go_on.set()
        assert await at_rest(database, 1) == ["done"]
    assert len(people.shown(thread)) == 1
    assert seen(town, people, thread) == ENDED[platform]


async def test_after_a_restart_the_same_message_goes_on(
    town: Town, people: People, platform: str, database: Path, working: Working
) -> None:
    settings = settings_for(town, platform, database)
    async with serving(settings, people):
        thread = await people.say("ada", "general", "@threadbridge cats?")
        await eventually(lambda: RUNNING[platform] in seen(town, people, thread))
        [before] = people.shown(thread)
    async with serving(settings, people):
        await eventually(lambda: RUNNING[platform] in seen(town, people, thread))
        working.go_on.set()
        assert await at_rest(database, 1) == ["done"]
    assert [shown.id for shown in people.shown(thread)] == [before.id]
    assert seen(town, people, thread) == ENDED[platform]
