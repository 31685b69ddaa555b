"""Choices and approvals on both platforms: a restart and a fail-over between what is shown and the press on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.base import Agent, Approval, Checkpoint, Done, Event, InputRequest, Message
from bridge.settings import Settings
from tests.e2e.people import People, Shown, SlackPeople, Thread, text_of
from tests.e2e.running import at_rest, serving, settings_for
from tests.e2e.town import Town
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]

BOT = "@threadbridge"
PAINT = Approval("Paint the house", "With a **brush**.")
COLOURS = tuple(f"colour {number}" for number in range(1, 13))


@dataclass
class Careful:
    """Does nothing without leave, and asks for a colour. What it was told outlives it."""

    asked: list[str] = field(default_factory=list)
    told: list[Message] = field(default_factory=list)
    approval: Approval = PAINT
    choices: tuple[str, ...] = ()

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        if resume is not None and resume.data.get("asked") != message.id:
            yield Checkpoint("c", {"asked": message.id})
            self.told.append(message)
            yield Done(f"Done with {message.text}.")
            return
        yield Checkpoint("c", {"asked": message.id})
        if resume is None:
            self.asked.append(message.text)
        if "colour" in message.text:
            yield InputRequest("Which colour?", self.choices)
        else:
            yield self.approval


@pytest.fixture
def careful(monkeypatch: pytest.MonkeyPatch) -> Careful:
    agent = Careful()

    @asynccontextmanager
    async def agents(*_: Any, **__: Any) -> AsyncIterator[Mapping[str, Agent]]:
        yield {"general": agent}

    monkeypatch.setattr("bridge.app.open_agents", agents)
    return agent


@pytest.fixture
def settings(town: Town, platform: str, database: Path) -> Settings:
    return settings_for(town, platform, database)


def waiting(people: People, thread: Thread, label: str) -> Shown | None:
    """The message with this button."""
    return next((one for one in people.shown(thread) if label in one.buttons), None)


async def asks(people: People, text: str, label: str) -> tuple[Thread, Shown]:
    thread = await people.say("ada", "general", f"{BOT} {text}")
    return thread, await eventually(lambda: waiting(people, thread, label))


async def test_an_approval_that_is_pressed_after_a_restart(
    people: People, careful: Careful, settings: Settings, database: Path, platform: str
) -> None:
    async with serving(settings, people):
        thread, shown = await asks(people, "paint it", "Approve")
        assert await at_rest(database, 1) == ["waiting"]
    assert "Paint the house" in shown.text
    async with serving(settings, people):
        await people.press("grace", shown, "Approve")
        [told] = await eventually(lambda: people.private("grace"))
        assert "Nothing was decided." in told.text
        assert people.named("ada") in told.text
        await people.reply("grace", thread, "just do it")
        await asyncio.gather(*(people.press("ada", shown, "Approve") for _ in range(2)))
        await eventually(lambda: [one for one in people.shown(thread) if "Done with Approved." in one.text])
        await eventually(lambda: any("decided already" in one.text for one in people.private("ada")))
        # What was written meanwhile is asked then.
        await eventually(lambda: [one for one in people.shown(thread) if one.buttons and one.id != shown.id])
        await eventually(lambda: [one for one in people.shown(thread) if one.id == shown.id and not one.buttons])
    [first, *_] = careful.told
    assert first.decision is not None
    assert (first.decision.approved, careful.asked[0]) == (True, "paint it")
    assert first.person is not None
    assert first.person.platform == platform
    assert len([one for one in careful.told if one.decision and one.decision.approved]) == 1
    text = next(one.text for one in people.shown(thread) if one.id == shown.id)
    assert "Approved · " in text
    assert "Until" not in text


async def test_it_is_declined_with_a_reason(
    people: People, careful: Careful, settings: Settings, database: Path
) -> None:
    async with serving(settings, people):
        thread, shown = await asks(people, "paint it", "Approve")
        await at_rest(database, 1)
        await people.press("grace", shown, "Decline")
        assert (await eventually(lambda: people.private("grace")))[0].text.startswith("Nothing was decided.")
        await people.fill_in("ada", shown, "Decline", "it *rains* @everyone")
        await at_rest(database, 2)
        settled = await eventually(
            lambda: next((one for one in people.shown(thread) if one.id == shown.id and not one.buttons), None)
        )
    [told] = careful.told
    assert told.decision is not None
    assert (told.decision.approved, told.decision.reason) == (False, "it *rains* @everyone")
    assert "Declined · " in settled.text
    assert "rains" in settled.text


async def test_few_choices_are_buttons_and_an_answer_may_be_written_in_a_form(
    people: People, careful: Careful, settings: Settings, database: Path
) -> None:
    careful.choices = COLOURS[:2]
    async with serving(settings, people):
        thread, shown = await asks(people, "which colour?", "Write an answer")
        assert list(shown.buttons) == ["colour 1", "colour 2", "Write an answer", "Leave it"]
        await at_rest(database, 1)
        await people.fill_in("grace", shown, "Write an answer", "a light green")
        assert await at_rest(database, 2) == ["done", "done"]
        settled = await eventually(
            lambda: next((one for one in people.shown(thread) if one.id == shown.id and not one.buttons), None)
        )
    assert "Answered · " in settled.text
    assert [one.text for one in careful.told] == ["a light green"]


async def test_many_choices_are_a_select(
    people: People, careful: Careful, settings: Settings, database: Path
) -> None:
    careful.choices = COLOURS
    async with serving(settings, people):
        thread, shown = await asks(people, "which colour?", "Write an answer")
        assert list(shown.options) == list(COLOURS)
        await at_rest(database, 1)
    async with serving(settings, people):
        await people.pick("ada", shown, "colour 7")
        assert await at_rest(database, 2) == ["done", "done"]
        await eventually(lambda: not any(one.options for one in people.shown(thread)))
    assert [one.text for one in careful.told] == ["colour 7"]


async def test_what_was_abandoned_or_answered_in_words_has_no_buttons_any_more(
    people: People, careful: Careful, settings: Settings, database: Path
) -> None:
    async with serving(settings, people):
        thread, shown = await asks(people, "which colour?", "Leave it")
        await at_rest(database, 1)
        await people.press("ada", shown, "Leave it")
        await eventually(lambda: waiting(people, thread, "Leave it") is None)
        await people.reply("ada", thread, "which colour now?")
        await eventually(lambda: waiting(people, thread, "Leave it"))
        await at_rest(database, 2)
        await people.reply("ada", thread, "blue")
        await at_rest(database, 3)
        await eventually(lambda: waiting(people, thread, "Leave it") is None)
    assert "Left · " in people.shown(thread)[0].text
    assert "Answered · " in people.shown(thread)[1].text


async def test_slacks_session_is_suspended_meanwhile(town: Town, careful: Careful, database: Path) -> None:
    people = SlackPeople(town.slack)
    async with serving(settings_for(town, "slack", database), people):
        thread, shown = await asks(people, "paint it", "Approve")

        def status() -> str:
            return town.slack.session(thread.channel, thread.id).status

        await eventually(lambda: status() == "suspended")
        await at_rest(database, 1)
        await people.press("ada", shown, "Approve")
        await eventually(lambda: status() == "active")


async def test_a_replica_that_ends_leaves_its_approvals_to_the_others(
    people: People, careful: Careful, settings: Settings, postgres_url: str
) -> None:
    """Both serve; the one that showed it is gone when it is pressed, and both run when it was."""
    settings = settings.model_copy(update={"database_url": SecretStr(postgres_url)})
    ended = asyncio.Event()

    async def first() -> None:
        async with serving(settings, people):
            await ended.wait()

    leaving = asyncio.create_task(first())
    await eventually(people.connected)
    thread, shown = await asks(people, "paint it", "Approve")
    async with serving(settings, people):
        ended.set()
        await leaving
        await eventually(people.connected)
        await people.press("ada", shown, "Approve")
        await eventually(lambda: careful.told)
        await eventually(lambda: waiting(people, thread, "Approve") is None)
    assert [one.decision.approved for one in careful.told if one.decision] == [True]
    assert careful.asked == ["paint it"]


ADAPTERS = [
    ("general", "approve painting the house", "painting the house", "Approved, so I went on."),
    ("openai", "Send the letters as soon as I approve", "Send letters", "I sent the letters."),
    ("a2a", "Send the letters as soon as I approve", "Send letters", "You asked: “Approved”."),
]


@pytest.mark.parametrize(("agent", "question", "title", "done"), ADAPTERS, ids=[one[0] for one in ADAPTERS])
async def test_an_adapters_own_approval_is_decided_after_a_restart(
    people: People,
    town: Town,
    settings: Settings,
    database: Path,
    agent: str,
    question: str,
    title: str,
    done: str,
) -> None:
    """The service itself is told of the decision, once: OpenAI by its item, A2A by our extension."""
    async with serving(settings, people):
        thread = await people.say("ada", agent, f"{BOT} {question}")
        shown = await eventually(lambda: waiting(people, thread, "Approve"))
        assert await at_rest(database, 1) == ["waiting"]
    assert title in shown.text
    async with serving(settings, people):
        await people.press("grace", shown, "Approve")
        await eventually(lambda: "Nothing was decided." in text_of(people.private("grace")))
        await people.press("ada", shown, "Approve")
        assert await at_rest(database, 2) == ["done", "done"]
        await eventually(lambda: waiting(people, thread, "Approve") is None)
    assert done in text_of(people.shown(thread))
    if agent in town.simulated:
        assert [told.approved for told in town.backend(agent).decisions] == [True]
