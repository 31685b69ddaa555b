"""What people press under a finished reply: asked again once, rated, told to the agent; whatever fails in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from adapters.base import AgentError, Checkpoint, Done, File, InputRequest, Text, Unavailable
from bridge.inbound import Address, Person, RemoteFile
from bridge.prompts import EVERYTHING, UnderReply
from bridge.store.database import Database
from bridge.store.decisions import Decided
from bridge.store.desk import Desk
from bridge.store.feedback import MAX_WORDS
from bridge.turns import ratings, reactions
from bridge.turns.inbox import Press
from bridge.turns.ratings import Ratings
from bridge.turns.surface import Button, Guard, Mark, Surface
from bridge.turns.under_reply import AGAINS, NO_ANSWER, NOT_RATED, THANKS
from tests.turns.agents import Backend, FileAgent, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, LATER, STYLE, MemoryPlatform, MemorySurface, inbound

HANGS = 7  # files at once, of a platform whose reactions are never answered
FILE = RemoteFile("F1", "notes.txt", "text/plain", 5, "memory:F1")


def actions(platform: MemoryPlatform, index: int = -1) -> list[tuple[str, str]]:
    return [(button.action, button.value) for button in platform.messages[index].buttons]


def button(platform: MemoryPlatform, action: str, value: str = "", *, index: int = -1) -> Button:
    found = platform.messages[index].buttons
    return next(one for one in found if (one.action, one.value) == (action, value))


@dataclass
class RatedAgent(ScriptedAgent):
    backend: Backend
    rated: list[tuple[str, bool, str]] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    async def rate(self, conversation: str, checkpoint: Checkpoint, good: bool, words: str) -> None:
        if self.faults:
            raise self.faults.pop(0)
        assert checkpoint.data["phase"] == "sent"
        self.rated.append((conversation, good, words))


async def test_an_answer_has_its_buttons_and_nothing_else_has(database: Database) -> None:
    platform, backend = MemoryPlatform(), Backend()
    async with running(Bridge(database, platform, ScriptedAgent(backend), under_reply=EVERYTHING)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        assert actions(platform) == [("again", ""), ("rate", "good"), ("rate", "bad")]
        backend.script = [Text("Hm."), AgentError("broke")]
        await bridge.intake.take(inbound(LATER))
        await bridge.until_state("done", "failed")
        assert [one.action for one in platform.messages[-1].buttons] == ["retry"]
        assert all(one.action == "retry" for message in platform.messages[1:] for one in message.buttons)


@pytest.mark.parametrize("wanted", [(), ("rate",), ("files", "again")])
async def test_the_settings_name_the_buttons(database: Database, wanted: tuple[UnderReply, ...]) -> None:
    platform = MemoryPlatform(contents={"F1": b"hello"})
    async with running(Bridge(database, platform, ScriptedAgent(Backend()), under_reply=wanted)) as bridge:
        await bridge.intake.take(inbound(1, files=(FILE,)))
        await bridge.until_state("done")
        assert {action for action, _ in actions(platform)} == set(wanted)


async def test_only_the_last_part_of_the_text_has_them_also_above_a_file(database: Database) -> None:
    words = [Text(f"Line {number} of a long answer.\n\n") for number in range(40)]
    backend = Backend([*words, File("a.txt", "a.txt")], contents={"a.txt": b"made"})
    platform = MemoryPlatform()
    async with running(Bridge(database, platform, FileAgent(backend), under_reply=EVERYTHING)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        texts = [one for one in platform.messages if one.key.kind == "p"]
        assert len(texts) > 1
        assert [bool(one.buttons) for one in texts] == [False] * (len(texts) - 1) + [True]
        assert [one.action for one in texts[-1].buttons] == ["again", "rate", "rate", "files"]
        assert not platform.messages[-1].buttons, "the file"


async def test_an_answer_without_words_has_none(database: Database) -> None:
    backend = Backend([File("a.txt", "a.txt")], contents={"a.txt": b"made"})
    platform = MemoryPlatform()
    async with running(Bridge(database, platform, FileAgent(backend), under_reply=EVERYTHING)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        assert not any(message.buttons for message in platform.messages)


async def test_buttons_cost_no_call(database: Database) -> None:
    calls: list[int] = []
    for wanted in ((), EVERYTHING):
        platform = MemoryPlatform()
        async with running(Bridge(database, platform, ScriptedAgent(Backend()), under_reply=wanted)) as bridge:
            await bridge.intake.take(inbound(1, thread=f"{len(calls)}.0"))
            await bridge.until_state("done")
        calls.append(platform.calls)
    assert calls[0] == calls[1]


async def test_a_part_that_was_full_and_turned_out_to_be_the_last_gets_them(database: Database) -> None:
    platform = MemoryPlatform()
    backend = Backend()
    backend.script = [
        Text("First words.\n\n"),
        lambda: platform.until(lambda: platform.messages),
        lambda: _fault(platform),
        Text("Second ones.\n\n"),
        lambda: platform.until(lambda: platform.messages[0].finished),
        Done(text="First words.\n\nSecond"),
    ]
    async with running(Bridge(database, platform, ScriptedAgent(backend), under_reply=EVERYTHING)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        assert platform.texts() == ["First words.\n\nSecond"]
        assert actions(platform) == [("again", ""), ("rate", "good"), ("rate", "bad")]


async def _fault(platform: MemoryPlatform) -> None:
    platform.faults.append("full")


# --- again --------------------------------------------------------------------------------------------------------


async def test_it_is_answered_again_once_and_both_answers_stand(database: Database) -> None:
    platform, backend = MemoryPlatform(), Backend()
    async with running(Bridge(database, platform, ScriptedAgent(backend), under_reply=EVERYTHING)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        first = button(platform, "again")
        said = await asyncio.gather(*(bridge.press(first) for _ in range(4)))
        assert sorted(said) == sorted([AGAINS[Decided.SENT], *[AGAINS[Decided.TOO_LATE]] * 3])
        await platform.until(lambda: len(platform.messages) == 2 and actions(platform))
        await bridge.until_state("done")
        assert backend.asked == ["question 1", "question 1"]
        assert platform.texts() == ["answer to question 1"] * 2
        assert await bridge.press(first) == AGAINS[Decided.TOO_LATE]
        assert await bridge.press(button(platform, "again")) == AGAINS[Decided.SENT], "the new one has its own"
        await platform.until(lambda: len(platform.messages) == 3)
        await bridge.until_state("done")


async def test_only_who_asked_and_only_the_newest_and_only_its_thread(database: Database) -> None:
    platform, backend = MemoryPlatform(), Backend()
    async with running(Bridge(database, platform, ScriptedAgent(backend), under_reply=EVERYTHING)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        first = button(platform, "again")
        bob = Press("again", first.turn, Person("U2", "Bob"), HERE)
        assert "Only whoever asked" in (await bridge.intake.pressed(bob)).sentence
        await bridge.intake.take(inbound(LATER))
        await bridge.until_state("done")
        assert await bridge.press(first) == AGAINS[Decided.OUTDATED]
        assert await bridge.press(Button("again", "", "no-such-turn")) == AGAINS[Decided.TOO_LATE]
        assert len(backend.asked) == 2


async def test_an_answer_to_what_the_agent_asked_back_is_not_asked_again(database: Database) -> None:
    platform, backend = MemoryPlatform(), Backend([InputRequest("Which?", ("red", "blue"))])
    async with running(Bridge(database, platform, ScriptedAgent(backend), under_reply=EVERYTHING)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("waiting")
        backend.script = [Text("Red it is.")]
        await bridge.intake.take(inbound(LATER, "red"))
        await bridge.until_state("done")
        assert {action for action, _ in actions(platform)} == {"rate"}
        turn = platform.messages[-1].buttons[0].turn
        assert await bridge.press(Button("again", "", turn)) == AGAINS[Decided.TOO_LATE]


@pytest.mark.parametrize("pressed", ["before it dies", "while it is dead"])
async def test_pressed_while_the_reply_is_not_at_its_end_and_the_process_dies(
    database: Database, pressed: str
) -> None:
    """The buttons stand there before the turn has ended: its file is still on its way."""
    platform, dies = MemoryPlatform(), asyncio.Event()
    backend = Backend([Text("Here."), File("a.txt", "a.txt")], contents={"a.txt": b"made"})

    class Dying(FileAgent):
        async def download(self, conversation: str, ref: str) -> AsyncIterator[bytes]:
            if not dies.is_set():
                await asyncio.Event().wait()
            yield backend.contents[ref]

    async def press(bridge: Bridge) -> None:
        found = platform.messages[0].buttons
        again, good = (next(one for one in found if one.action == action) for action in ("again", "rate"))
        assert await bridge.press(again) == AGAINS[Decided.SENT]
        assert await bridge.press(again) == AGAINS[Decided.TOO_LATE]
        assert await bridge.press(good) == THANKS

    first = Bridge(database, platform, Dying(backend), under_reply=EVERYTHING)
    async with running(first):
        await first.intake.take(inbound(1))
        await platform.until(lambda: platform.messages and platform.messages[0].buttons)
        if pressed == "before it dies":
            await press(first)
    if pressed == "while it is dead":
        waiting = Bridge(database, platform, Dying(backend), replica="r2", under_reply=EVERYTHING)
        async with waiting.open():
            await press(waiting)
    dies.set()
    last = Bridge(database, platform, Dying(backend), replica="r3", under_reply=EVERYTHING)
    async with running(last):
        await platform.until(lambda: len(platform.messages) == 4)
        await last.until_state("done")
        assert backend.asked == ["question 1"] * 2
        assert [one.text for one in platform.messages if one.key.kind == "p"] == ["Here."] * 2
        assert [bool(one.buttons) for one in platform.messages] == [True, False] * 2
        kept = await last.ledger.feedback(agent="support", since=None)
        assert [(one.feedback.good, one.feedback.person) for one in kept] == [(True, "slack:U1")]


# --- ratings ------------------------------------------------------------------------------------------------------


async def test_the_last_word_of_each_person_counts_and_is_told(database: Database) -> None:
    platform, agent = MemoryPlatform(), RatedAgent(Backend())
    async with running(Bridge(database, platform, agent, under_reply=EVERYTHING)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        good, bad = button(platform, "rate", "good"), button(platform, "rate", "bad")
        decision = await bridge.intake.pressed(Press("rate", good.turn, Person("U2", "Bob"), HERE, "good"))
        assert decision.sentence == THANKS
        assert [one.action for one in decision.buttons] == ["words"]
        assert await bridge.press(Button("words", "", good.turn, "why")) == NOT_RATED, "Ann said nothing yet"
        assert await bridge.press(bad) == THANKS
        await bridge.press(Button("words", "", good.turn, "x\0" * MAX_WORDS))
        assert await bridge.press(bad) == THANKS, "a second press takes no words away"
        kept = await bridge.ledger.feedback(agent=None, since=None)
        assert [(one.feedback.person, one.feedback.good, len(one.feedback.words)) for one in kept] == [
            ("slack:U1", False, MAX_WORDS // 2),
            ("slack:U2", True, 0),
        ]
        await bridge.press(good)
        tell = Ratings(bridge.feedback, {"support": agent})
        assert await tell.tell_some() == 2
        assert sorted(agent.rated) == [("conv", True, ""), ("conv", True, "")]
        assert await tell.tell_some() == 0, "told once"


@pytest.mark.parametrize("action", ["rate", "words"])
async def test_what_is_no_answer_of_the_thread_can_not_be_rated(database: Database, action: str) -> None:
    platform = MemoryPlatform()
    async with running(Bridge(database, platform, ScriptedAgent(Backend()), under_reply=EVERYTHING)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.intake.take(inbound(1, thread="200.0"))
        await bridge.until_state("done")
        turn = next(one.buttons[0].turn for one in platform.messages)
        records = await bridge.ledger.turns(state=None, thread="200.0", limit=1)
        other = records[0].turn.id
        assert turn
        refusal = NO_ANSWER if action == "rate" else NOT_RATED
        for forged in (other, "no-such-turn", "'; --"):
            assert await bridge.press(Button(action, "", forged, "good")) == refusal  # type: ignore[arg-type]
        assert await bridge.press(Button("rate", "", other, "odd")) == NO_ANSWER
        assert not await bridge.ledger.feedback(agent=None, since=None)


async def test_a_service_that_fails_is_told_later_and_not_for_ever(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ratings, "PAUSE", 0.0)
    platform, agent = MemoryPlatform(), RatedAgent(Backend())
    async with running(Bridge(database, platform, agent, under_reply=EVERYTHING)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        tell = Ratings(bridge.feedback, {"support": agent})
        await bridge.press(button(platform, "rate", "good"))
        agent.faults = [Unavailable("away"), ValueError("a bug")]
        assert [await tell.tell_some() for _ in range(4)] == [1, 1, 1, 0]
        assert agent.rated == [("conv", True, "")]
        await bridge.press(button(platform, "rate", "bad"))
        agent.faults = [Unavailable("away")] * 100
        told = [await tell.tell_some() for _ in range(ratings.TRIES + 1)]
        assert told == [1] * ratings.TRIES + [0]


async def test_replicas_tell_it_once(database: Database) -> None:
    platform, agent = MemoryPlatform(), RatedAgent(Backend())
    async with running(Bridge(database, platform, agent, under_reply=EVERYTHING)) as bridge:
        for number in range(8):
            await bridge.intake.take(inbound(1, thread=f"{number}.0"))
        await bridge.until_state("done")
        for index in range(8):
            one = button(platform, "rate", "good", index=index)
            [record] = [
                found
                for found in await bridge.ledger.turns(state=None, thread=None, limit=20)
                if found.turn.id == one.turn
            ]
            address = Address("slack", "T1", "C1", record.thread.thread)
            assert await bridge.press(one, address) == THANKS
        tells = [Ratings(bridge.feedback, {"support": agent}) for _ in range(3)]
        assert sum(await asyncio.gather(*(one.tell_some() for one in tells))) == 8
        assert len(agent.rated) == 8


async def test_an_agent_that_takes_no_ratings_and_an_earlier_conversation_are_left_alone(
    database: Database,
) -> None:
    platform, agent = MemoryPlatform(), RatedAgent(Backend())
    async with running(Bridge(database, platform, agent, under_reply=EVERYTHING)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        good = button(platform, "rate", "good")
        await bridge.press(good)
        assert await Ratings(bridge.feedback, {"support": ScriptedAgent(Backend())}).tell_some() == 1
        overview = await Desk(bridge.engine).overview(HERE)
        assert overview is not None
        assert await Desk(bridge.engine).begin_anew(overview, "other", Person("U1"))
        await bridge.press(good)
        tell = Ratings(bridge.feedback, {"support": agent, "other": agent})
        assert [await tell.tell_some(), await tell.tell_some()] == [1, 0]
        assert not agent.rated


# --- reactions ------------------------------------------------------------------------------------------------------


class MarkingPlatform(MemoryPlatform):
    """One that shows by reactions what became of a question."""

    def surface(self, address: Address, *, person: Person, guard: Guard) -> Surface:
        return MarkingSurface(self, guard)


class MarkingSurface(MemorySurface):
    async def mark(self, asked: str, stands: Mark | None) -> None:
        self._platform.sentences.append(f"{asked} {stands}")
        if self._platform.style.max_files == HANGS:
            await asyncio.Event().wait()


async def test_a_question_is_marked_as_seen_and_as_done_only_if_it_was_answered(database: Database) -> None:
    platform, backend = MarkingPlatform(), Backend()
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        assert platform.sentences == ["100.0-1 seen", "100.0-1 done"]
        backend.script = [AgentError("broke")]
        await bridge.intake.take(inbound(2))
        await bridge.until_state("done", "failed")
        assert platform.sentences[2:] == ["100.0-2 seen", "100.0-2 None"]


async def test_a_mark_that_hangs_holds_no_reply_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactions, "MARK_WITHIN", 0.05)
    platform = MarkingPlatform(style=replace(STYLE, max_files=HANGS))
    async with running(Bridge(database, platform, ScriptedAgent(Backend()))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        assert platform.texts() == ["answer to question 1"]
