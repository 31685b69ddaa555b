"""Who is let in, how often, and what is told to whoever isn't; one person's many questions and another's first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.base import Checkpoint, Event, InputRequest, Message
from bridge.access import Access, AccessTable, Reason, TurnsPerHour
from bridge.inbound import Address, Person, Standing
from bridge.lifecycle import Outcome
from bridge.store.database import Database
from bridge.turns import gate as gate_module
from bridge.turns.gate import NOT_YOURS, Gate
from bridge.turns.inbox import Decision, NotAllowed, Press, Unidentified
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, LATER, MemoryPlatform, inbound

ANN = Person("U1", "Ann", standing=Standing.MEMBER)
BOB = Person("U2", "Bob", standing=Standing.MEMBER)
CHIEF = Person("U3", "Chief", standing=Standing.STRANGER)
STRANGER = Person("U4", "Stranger", standing=Standing.STRANGER)
RULES = Access(AccessTable(admins=("slack:U3",)))


async def refused(bridge: Bridge, number: int, person: Person, thread: str = "100.0") -> str:
    with pytest.raises(NotAllowed) as refusal:
        await bridge.intake.take(inbound(number, person=person, thread=thread))
    return refusal.value.sentence


async def test_one_persons_fifty_questions_do_not_delay_anothers_first(
    database: Database, platform: MemoryPlatform
) -> None:
    """The first four of them never end while Bob asks and is answered."""
    held, begun = asyncio.Event(), asyncio.Event()
    asked: list[str] = []

    class Holding(ScriptedAgent):
        async def ask(
            self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
        ) -> AsyncIterator[Event]:
            asked.append(message.text)
            if message.text.startswith("Ann"):
                if len(asked) == 4:
                    begun.set()
                await held.wait()
            async for event in super().ask(message.text, message, resume=resume):
                yield event

    agent = Holding(Backend())
    async with running(Bridge(database, platform, agent, at_once=4)) as bridge:
        for number in range(50):
            await bridge.intake.take(inbound(1, f"Ann {number}", thread=f"{number}.0", person=ANN))
        await begun.wait()
        await bridge.intake.take(inbound(1, "Bob's first", thread="900.0", person=BOB))
        while "answer to Bob's first" not in platform.texts():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        assert sorted(asked) == ["Ann 0", "Ann 1", "Ann 2", "Ann 3", "Bob's first"]
        held.set()
        await bridge.until_state("done")
    assert len(asked) == 51


async def test_nothing_is_stored_of_a_strangers_question(quick: Database, platform: MemoryPlatform) -> None:
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()), gate=Gate(RULES))) as bridge:
        assert "full members only" in await refused(bridge, 1, STRANGER)
        assert await bridge.states() == {}
        assert not await bridge.intake.knows(HERE)


async def test_who_was_not_looked_up_is_neither_let_in_nor_refused(
    quick: Database, platform: MemoryPlatform
) -> None:
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()), gate=Gate(RULES))) as bridge:
        with pytest.raises(Unidentified):
            await bridge.intake.take(inbound(1, person=Person("U1")))
        with pytest.raises(Unidentified):
            await bridge.intake.pressed(Press("stop", "t", Person("U1"), HERE))
        assert await bridge.states() == {}


async def test_over_budget_it_says_when_there_is_more(quick: Database, platform: MemoryPlatform) -> None:
    gate = Gate(Access(), TurnsPerHour(person=2))
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()), gate=gate)) as bridge:
        for number in (1, 2):
            assert await bridge.intake.take(inbound(number, person=ANN))
        sentence = await refused(bridge, 3, ANN)
        assert sentence == (
            "Questions of one person are limited to 2 an hour, and yours are used up."
            " Please ask again in 60 minutes."
        )
        assert not await bridge.intake.take(inbound(2, person=ANN)), "a redelivery isn't refused"
        assert await bridge.intake.take(inbound(5, person=BOB))
        await bridge.until_state("done")


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        (TurnsPerHour(channel=1), "Questions in one channel"),
        (TurnsPerHour(agents={"support": 1}), "Questions to this agent"),
    ],
)
async def test_a_channel_and_an_agent_have_budgets_too(
    quick: Database, platform: MemoryPlatform, turns: TurnsPerHour, words: str
) -> None:
    gate = Gate(Access(), turns)
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()), gate=gate)) as bridge:
        assert await bridge.intake.take(inbound(1, person=ANN))
        assert (await refused(bridge, 1, BOB, thread="200.0")).startswith(words)


async def test_channels_of_the_same_id_in_two_workspaces_have_a_budget_each(
    quick: Database, platform: MemoryPlatform
) -> None:
    gate = Gate(Access(), TurnsPerHour(channel=1))
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()), gate=gate)) as bridge:
        for number, workspace in enumerate((HERE.workspace, "T2"), 1):
            there = replace(HERE, workspace=workspace)
            assert await bridge.intake.take(inbound(number, person=ANN, address=there))
        assert (await refused(bridge, 3, BOB, thread="200.0")).startswith("Questions in one channel")


async def test_a_thread_is_its_own_agents_whatever_the_routes_say_now(
    quick: Database, platform: MemoryPlatform
) -> None:
    """What a new route allows isn't allowed in a thread of another agent."""
    tables = {"support": AccessTable(people=("slack:U1",)), "other": AccessTable(people=("slack:U2",))}
    gate = Gate(Access(AccessTable(), {}, tables))
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()), gate=gate)) as bridge:
        assert await bridge.intake.take(inbound(1, person=ANN))
        bridge.intake._agent_for = lambda _: "other"
        assert "aren't among" in await refused(bridge, 2, BOB)
        assert await bridge.intake.take(inbound(3, person=ANN))
        await bridge.until_state("done")


async def test_a_route_to_no_agent_answers_nothing_and_says_nothing(
    quick: Database, platform: MemoryPlatform
) -> None:
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()))) as bridge:
        bridge.intake._agent_for = lambda _: ""
        assert await refused(bridge, 1, ANN) == ""
        assert await bridge.states() == {}


WHO = [(ANN, ""), (BOB, NOT_YOURS), (CHIEF, ""), (STRANGER, gate_module.SENTENCES[Reason.EXTERNAL])]


@pytest.mark.parametrize(("person", "told"), WHO, ids=lambda one: getattr(one, "name", ""))
@pytest.mark.parametrize("action", ["retry", "abandon", "stop"])
async def test_who_may_press_for_whom(
    quick: Database, platform: MemoryPlatform, person: Person, told: str, action: str
) -> None:
    """Ann asked. Bob may ask, not decide for her; the chief is an admin, though of another organisation."""
    backend = Backend(has_history=False)
    async with running(Bridge(quick, platform, ScriptedAgent(backend), gate=Gate(RULES))) as bridge:
        await bridge.intake.take(inbound(1, person=ANN))
        await bridge.until_state("done", "waiting")
        [turn] = await bridge.states()
        decision = await bridge.intake.pressed(Press(action, turn, person, HERE))  # type: ignore[arg-type]
        late = "ended already" if action == "stop" else "decided already"
        assert (decision.sentence == told) if told else (late in decision.sentence)
        assert decision.settled == ""


async def test_anyone_who_may_ask_may_choose_as_anyone_may_write_the_words(
    quick: Database, platform: MemoryPlatform
) -> None:
    backend = Backend([InputRequest("which?", ("a", "b"))])
    async with running(Bridge(quick, platform, ScriptedAgent(backend), gate=Gate(RULES))) as bridge:
        await bridge.intake.take(inbound(1, person=ANN))
        await bridge.until_state("waiting")
        assert (await bridge.outcome())[1] == Outcome.INPUT_REQUEST
        [turn] = await bridge.states()
        backend.script = ()
        told = await bridge.intake.pressed(Press("choose", turn, STRANGER, HERE, "0"))
        assert told == Decision(gate_module.SENTENCES[Reason.EXTERNAL])
        words = await bridge.intake.refuses(Press("answer", turn, STRANGER, HERE))
        assert words == gate_module.SENTENCES[Reason.EXTERNAL], "nor in a form's words"
        assert await bridge.intake.refuses(Press("answer", turn, BOB, HERE)) == ""
        assert await bridge.intake.pressed(Press("choose", turn, BOB, HERE, "1")) == Decision()
        await bridge.until_state("done")
    assert backend.asked[-1] == "b"


async def test_a_press_over_budget_is_told_each_time(quick: Database, platform: MemoryPlatform) -> None:
    backend = Backend([InputRequest("which?", ("a", "b"))])
    gate = Gate(RULES, TurnsPerHour(person=1))
    async with running(Bridge(quick, platform, ScriptedAgent(backend), gate=gate)) as bridge:
        await bridge.intake.take(inbound(1, person=ANN))
        await bridge.until_state("waiting")
        [turn] = await bridge.states()
        backend.script = []
        await bridge.intake.take(inbound(2, thread="900.0", person=BOB))
        for _ in range(2):
            decision = await bridge.intake.pressed(Press("choose", turn, BOB, HERE, "0"))
            assert decision.sentence.startswith("Questions of one person are limited to 1 an hour")
        assert (await bridge.states())[turn] == "waiting"


@pytest.mark.parametrize("answers", ["writing", "pressing"])
async def test_a_budget_does_not_break_off_what_is_under_way(
    quick: Database, platform: MemoryPlatform, answers: str
) -> None:
    """An answer to what the agent asked back counts, and isn't refused."""
    backend = Backend([InputRequest("which?", ("a", "b"))])
    gate = Gate(RULES, TurnsPerHour(person=1, channel=1))
    async with running(Bridge(quick, platform, ScriptedAgent(backend), gate=gate)) as bridge:
        await bridge.intake.take(inbound(1, person=ANN))
        await bridge.until_state("waiting")
        [turn] = await bridge.states()
        backend.script = []
        assert "limited to 1 an hour" in await refused(bridge, LATER, BOB), (
            "an answer of somebody else isn't theirs"
        )
        if answers == "writing":
            assert await bridge.intake.take(inbound(LATER + 1, "a", person=ANN))
        else:
            decision = await bridge.intake.pressed(Press("choose", turn, ANN, HERE, "0"))
            assert decision == Decision()
        await bridge.until_state("done")
        assert len(await bridge.states()) == 2
        assert "limited to 1 an hour" in await refused(bridge, LATER + 2, ANN)


async def test_what_was_refused_is_not_asked_later(database: Database, platform: MemoryPlatform) -> None:
    """A catch-up comes by it again, in another process, when there is a budget again."""
    gate = Gate(RULES, TurnsPerHour(person=1))
    async with running(Bridge(database, platform, ScriptedAgent(Backend()), gate=gate)) as bridge:
        await bridge.intake.take(inbound(1, person=ANN))
        await refused(bridge, 2, ANN)
        await refused(bridge, 1, ANN, thread="200.0")
        assert not await bridge.intake.take(inbound(2, person=ANN)), "nor is it told twice"
        await bridge.until_state("done")
    async with running(
        Bridge(database, platform, ScriptedAgent(Backend()), gate=Gate(RULES), replica="r2")
    ) as bridge:
        for _ in range(2):
            assert not await bridge.intake.take(inbound(2, person=ANN))
            assert not await bridge.intake.take(inbound(1, person=ANN, thread="200.0"))
        assert len(await bridge.states()) == 1
        assert not await bridge.intake.knows(replace(HERE, thread="200.0"))
        assert await bridge.intake.take(inbound(3, person=ANN))


async def test_a_turn_of_another_thread_tells_nothing_of_its_asker(
    quick: Database, platform: MemoryPlatform
) -> None:
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()), gate=Gate(RULES))) as bridge:
        await bridge.intake.take(inbound(1, person=ANN))
        await bridge.until_state("done")
        [turn] = await bridge.states()
        elsewhere: Address = replace(HERE, thread="7.0")
        decision = await bridge.intake.pressed(Press("retry", turn, BOB, elsewhere))
        assert decision == Decision("That was decided already.")
