"""What turns wait for: a person's answer, an agent that is away or quiet, a platform that gives nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.base import (
    Checkpoint,
    Done,
    Event,
    InputRequest,
    Message,
    RateLimited,
    Status,
    Table,
    Text,
    Unavailable,
    Uncertain,
)
from bridge.inbound import ContextMessage, Person, RemoteFile
from bridge.store.database import Database
from bridge.turns import ask, outages, prepare
from bridge.turns.ask import MAX_ARTIFACTS, QUIET, UNREACHED
from bridge.turns.surface import Guard, PartKind, Surface, Throttled, Unreachable
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, FileAgent, ScriptedAgent, Step
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, LATER, MemoryPlatform, MemorySurface, inbound

# --- the person -------------------------------------------------------------------------------------------------------


class Painter:
    """Asks which colour, once; whatever resumes that is the answer."""

    def __init__(self, choices: tuple[str, ...] = ()) -> None:
        self.choices = choices
        self.asked: list[str] = []
        self.answers: list[str] = []
        self.working = asyncio.Event()
        self.go_on = asyncio.Event()

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        if resume is not None:
            self.answers.append(message.text)
            yield Checkpoint("c", {"phase": "answered"})
            yield Done(f"Painted {message.text}.")
            return
        self.asked.append(message.text)
        yield Checkpoint("c", {"phase": "asked"})
        if len(self.asked) > 1:
            yield Done("No colour needed.")
            return
        self.working.set()
        await self.go_on.wait()
        yield InputRequest("Which colour?", self.choices)


async def test_a_message_written_before_the_request_was_shown_waits_for_its_answer(
    database: Database, platform: MemoryPlatform
) -> None:
    painter = Painter()
    async with running(Bridge(database, platform, painter)) as bridge:
        await bridge.intake.take(inbound(1, "paint it"))
        await painter.working.wait()
        await bridge.intake.take(inbound(2, "and be quick"))
        painter.go_on.set()
        await bridge.until_state("waiting", "received")
        assert painter.answers == []
        await bridge.intake.take(inbound(LATER, "blue"))
        await bridge.until_state("done")
    assert painter.answers == ["blue"]
    assert painter.asked == ["paint it", "and be quick"]
    assert platform.texts() == ["Which colour?", "Painted blue.", "No colour needed."]


async def test_a_pressed_choice_answers_once(database: Database, platform: MemoryPlatform) -> None:
    painter = Painter(("blue", "red"))
    painter.go_on.set()
    async with running(Bridge(database, platform, painter)) as bridge:
        await bridge.intake.take(inbound(1, "paint it"))
        await bridge.until_state("waiting")
        blue, red, *_ = platform.messages[-1].buttons
        pressed = await asyncio.gather(*(bridge.press(button) for button in (red, red, blue)))
        assert sorted(pressed) == ["", "That was decided already.", "That was decided already."]
        await bridge.until_state("done")
        assert await bridge.press(blue) == "That was decided already."
    [color] = painter.answers  # whichever press the database took first
    assert painter.asked == ["paint it"]
    assert platform.texts()[-1] == f"Painted {color}."


async def test_more_choices_than_a_platform_has_buttons_are_a_list(
    quick: Database, platform: MemoryPlatform
) -> None:
    painter = Painter(tuple(f"colour {number}" for number in range(26)))
    painter.go_on.set()
    async with running(Bridge(quick, platform, painter)) as bridge:
        await bridge.intake.take(inbound(1, "paint it"))
        await bridge.until_state("waiting")
        parts = [message for message in platform.messages if message.key.kind is PartKind.REQUEST]
        assert [button.action for part in parts for button in part.buttons] == ["answer", "abandon"]
        assert all(f"colour {number}" in " ".join(platform.texts()) for number in range(26))
        await bridge.intake.take(inbound(LATER, "7"))
        await bridge.until_state("done")
    assert painter.answers == ["colour 6"], "the list is numbered, and the agent doesn't know that"


async def test_whoever_goes_on_abandons_an_uncertain_turn(database: Database, platform: MemoryPlatform) -> None:
    backend = Backend([Uncertain("the connection broke")])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "transfer it"))
        await bridge.until_state("waiting")
        again, leave = platform.messages[-1].buttons
        backend.script = []
        await bridge.intake.take(inbound(LATER, "never mind"))
        await bridge.until_state("cancelled", "done")
        assert await bridge.outcome() == ("cancelled", "abandoned")
        assert await bridge.press(again) == await bridge.press(leave) == "That was decided already."
    assert backend.asked == ["transfer it", "never mind"]


async def test_leaving_it_ends_an_uncertain_turn(quick: Database, platform: MemoryPlatform) -> None:
    backend = Backend([Uncertain("the connection broke")])
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "transfer it"))
        await bridge.until_state("waiting")
        assert await bridge.press(platform.messages[-1].buttons[1]) == "All right, I'll leave it."
        await bridge.until_state("cancelled")
        assert await bridge.outcome() == ("cancelled", "abandoned")
    assert backend.asked == ["transfer it"]


@pytest.mark.usefixtures("swept")
async def test_a_reply_that_could_not_be_delivered_is_delivered_again_without_asking(
    database: Database, platform: MemoryPlatform
) -> None:
    platform.faults = ["gone"]
    backend = Backend()
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("failed")
        [turn] = await bridge.states()
        assert platform.texts() == []
        assert len(platform.sentences) == 1
        assert await bridge.ledger.retry(turn)
        bridge.runner.wake()
        await bridge.until_state("done")
        assert not await bridge.ledger.retry(turn)
    assert platform.texts() == ["answer to question 1"]
    assert backend.asked == ["question 1"]


@pytest.mark.usefixtures("swept")
async def test_a_request_that_could_not_be_delivered_is_one_again_when_it_is(
    quick: Database, platform: MemoryPlatform
) -> None:
    platform.faults = ["gone"]
    painter = Painter(("blue", "red"))
    painter.go_on.set()
    async with running(Bridge(quick, platform, painter)) as bridge:
        await bridge.intake.take(inbound(1, "paint it"))
        await bridge.until_state("failed")
        [turn] = await bridge.states()
        assert await bridge.ledger.retry(turn)
        bridge.runner.wake()
        await bridge.until_state("waiting")
        await bridge.press(platform.messages[-1].buttons[0])
        await bridge.until_state("done")
    assert painter.answers == ["blue"]
    assert painter.asked == ["paint it"]


# --- the agent --------------------------------------------------------------------------------------------------------


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(outages, "LONGEST_PAUSE", 0.002)


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize(
    "error", [Unavailable("503"), RateLimited("429", retry_after=0.0)], ids=["away", "limited"]
)
async def test_an_agent_that_is_away_for_a_moment_is_waited_for_and_asked_once(
    database: Database, platform: MemoryPlatform, error: Unavailable | RateLimited
) -> None:
    class Away(ScriptedAgent):
        left = 5

        async def ask(
            self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
        ) -> AsyncIterator[Event]:
            async for event in super().ask(conversation, message, resume=resume):
                yield event
                if isinstance(event, Text) and self.left:
                    self.left -= 1
                    raise error

    backend = Backend([Text("The answer "), Text("is 42."), Table("t", ("a",), ((1,),)), Done()])
    async with running(Bridge(database, platform, Away(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
    assert backend.asked == ["question 1"]
    texts = [message.text for message in platform.messages if message.key.kind is PartKind.TEXT]
    assert texts == ["The answer is 42."]
    assert len([message for message in platform.messages if message.files]) == 1
    assert UNREACHED in platform.labels


@pytest.mark.usefixtures("short_pauses")
async def test_an_agent_that_stays_away_fails_the_turn_in_the_end(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "OUTAGE_PATIENCE", 0.01)
    backend = Backend([Text("So far so good"), Unavailable("503")])
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("failed")
        assert await bridge.outcome() == ("failed", "unavailable")
        backend.script = [Text("So far so good, and done"), Done()]
        await bridge.press(platform.messages[-1].buttons[0])
        await bridge.until_state("failed", "done")
    assert backend.asked == ["question 1"], "it goes on from where it stood"
    assert platform.texts() == ["So far so good", Unavailable.sentence, "So far so good, and done"]


async def test_a_stop_ends_the_waiting_for_an_agent(quick: Database, platform: MemoryPlatform) -> None:
    backend = Backend([Unavailable("503")])
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await platform.until(lambda: UNREACHED in platform.labels)
        await bridge.intake.stop(HERE)
        await bridge.until_state("cancelled")
    assert platform.texts() == [ask.STOPPED]


async def test_an_agent_that_is_quiet_is_said_to_be(quick: Database, platform: MemoryPlatform) -> None:
    go_on = asyncio.Event()
    backend = Backend([Status("thinking"), go_on.wait, Text("here"), Done()])  # type: ignore[list-item]
    async with running(Bridge(quick, platform, ScriptedAgent(backend), quiet_after=0.01)) as bridge:
        await bridge.intake.take(inbound(1))
        await platform.until(lambda: QUIET in platform.labels)
        go_on.set()
        await bridge.until_state("done")
    assert platform.labels[-1] is None


async def test_an_agent_that_talks_is_not_quiet(quick: Database, platform: MemoryPlatform) -> None:
    async def breathe() -> None:
        await asyncio.sleep(0)

    script: list[Step] = [step for _ in range(50) for step in (Text("word "), breathe)]
    backend = Backend([*script, Done()])
    async with running(Bridge(quick, platform, ScriptedAgent(backend), quiet_after=30.0)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
    assert QUIET not in platform.labels


class SlowSigns(MemorySurface):
    """A label takes its time, and counts when it has arrived; taking it away is quick."""

    go_on: asyncio.Event
    begun: asyncio.Event

    async def working(self, label: str | None) -> None:
        if label == "thinking":
            self.begun.set()
            await self.go_on.wait()
        await super().working(label)


async def test_no_sign_of_life_outlives_the_turn(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label that is on its way when the turn ends doesn't arrive after its end was shown."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    def surface(address: object, *, person: Person, guard: Guard) -> Surface:
        made = SlowSigns(platform, guard)
        made.begun, made.go_on = begun, go_on
        return made

    monkeypatch.setattr(platform, "surface", surface)
    backend = Backend([Status("thinking"), begun.wait, Text("done"), Done()])  # type: ignore[list-item]
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await begun.wait()
        await platform.until(lambda: platform.messages)
        go_on.set()
        await bridge.until_state("done")
        await eventually(lambda: not bridge.runner._held)
    assert platform.labels[-1] is None


async def test_no_more_files_than_so_many_come_of_one_turn(quick: Database, platform: MemoryPlatform) -> None:
    tables = [Table(f"t{number}", ("a",), ((number,),)) for number in range(MAX_ARTIFACTS + 3)]
    async with running(Bridge(quick, platform, FileAgent(Backend([Text("x"), *tables, Done()])))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
    assert len([message for message in platform.messages if message.files]) == MAX_ARTIFACTS == 20


# --- the platform -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Unreachable("503"), Throttled("429", 30.0)], ids=["away", "limited"])
async def test_what_the_platform_does_not_give_is_waited_for_a_while_and_then_missing(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Then the question is asked without it, and agent and person are told."""
    monkeypatch.setattr(prepare, "PATIENCE", 0.02)
    monkeypatch.setattr("bridge.turns.retry.FIRST_PAUSE", 0.005)

    class Giving(MemorySurface):
        async def fetch(self, file: RemoteFile, to: Path, max_bytes: int) -> None:
            raise error

        async def earlier(self, before: str) -> list[ContextMessage]:
            raise error

    def surface(address: object, *, person: Person, guard: Guard) -> Surface:
        return Giving(platform, guard)

    monkeypatch.setattr(platform, "surface", surface)
    backend = Backend()
    files = (RemoteFile("F1", "a.txt", "text/plain", 3, ""),)
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "what is this?", mid_thread=True, files=files))
        await bridge.until_state("done")
    [asked] = backend.asked
    assert asked == "what is this?\n\n(Attached, but it could not be read: a.txt)"
    assert platform.texts()[0] == ("I couldn't read what was written here before, a.txt; the agent was told so.")


async def test_a_platform_that_takes_no_word_does_not_keep_the_question_from_the_agent(
    quick: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is said before the question is sent, if it can be said within a while."""
    monkeypatch.setattr(ask, "PATIENCE", 0.02)
    monkeypatch.setattr("bridge.turns.retry.FIRST_PAUSE", 0.005)
    monkeypatch.setattr("bridge.turns.retry.LONGEST_PAUSE", 0.01)
    backend = Backend()
    platform.contents = {"F1": b"x" * 2000}
    refused = 0

    class Silent(MemorySurface):
        async def post(self, *arguments: object, **named: object) -> str:
            nonlocal refused
            if not backend.asked:
                refused += 1
                raise Unreachable("503")
            return await super().post(*arguments, **named)  # type: ignore[arg-type]

    def surface(address: object, *, person: Person, guard: Guard) -> Surface:
        return Silent(platform, guard)

    monkeypatch.setattr(platform, "surface", surface)
    files = (RemoteFile("F1", "a.txt", "text/plain", 3, ""),)
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, files=files))
        await bridge.until_state("done")
    assert refused
    assert len(backend.asked) == 1
