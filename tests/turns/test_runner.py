"""Turns from the intake to the thread: in order, once, resumed, stopped, answered, on a real database."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from adapters.base import (
    AgentError,
    AuthenticationFailed,
    Done,
    File,
    InputRequest,
    Rejected,
    RunFailed,
    Table,
    Text,
    TimedOut,
    Uncertain,
)
from bridge.inbound import ContextMessage, RemoteFile
from bridge.store.database import Database
from bridge.turns.ask import STOPPED
from bridge.turns.surface import Button, PartKind
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, CancellableAgent, FileAgent, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, LATER, MemoryPlatform, inbound, part_name


async def test_a_message_is_asked_and_its_reply_stands_in_the_thread(
    database: Database, platform: MemoryPlatform
) -> None:
    backend = Backend()
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        assert await bridge.intake.take(inbound(1, "hello?"))
        assert not await bridge.intake.take(inbound(1, "hello?")), "a redelivery"
        await bridge.until_state("done")
    assert backend.asked == ["hello?"]
    assert platform.texts() == ["answer to hello?"]
    assert platform.labels[0] == ""
    assert platform.labels[-1] is None


async def test_messages_to_a_busy_thread_wait_their_turn_in_order(
    database: Database, platform: MemoryPlatform
) -> None:
    backend = Backend()
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        for number in range(1, 8):
            await bridge.intake.take(inbound(number))
        await bridge.until_state("done")
    assert backend.asked == [f"question {number}" for number in range(1, 8)]
    assert platform.texts() == [f"answer to question {number}" for number in range(1, 8)]
    assert backend.overlaps == 0


async def test_many_threads_are_served_at_once(quick: Database, platform: MemoryPlatform) -> None:
    count, gate, arrived = 50, asyncio.Event(), asyncio.Event()
    backend = Backend()

    async def together() -> None:
        if len(backend.asked) == count:
            arrived.set()
        await gate.wait()

    backend.script = [together, Text("done"), Done()]
    agent = ScriptedAgent(backend)
    agent_ids: set[str] = set()
    backend.running = agent_ids
    async with running(Bridge(quick, platform, agent)) as bridge:
        for number in range(count):
            await bridge.intake.take(inbound(1, f"q{number}", thread=str(number)))
        await arrived.wait()
        gate.set()
        await bridge.until_state("done")
    assert len(platform.messages) == count


async def test_no_more_threads_run_at_once_than_allowed(quick: Database, platform: MemoryPlatform) -> None:
    at_once = most = 0
    three = asyncio.Event()

    async def work() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if at_once == 3:
            three.set()
        await three.wait()
        at_once -= 1

    backend = Backend([work, Text("x"), Done()])
    async with running(Bridge(quick, platform, ScriptedAgent(backend), max_running=3)) as bridge:
        for number in range(12):
            await bridge.intake.take(inbound(1, thread=str(number)))
        await bridge.until_state("done")
    assert most == 3


async def test_a_shutdown_leaves_the_turn_to_the_next_process(
    database: Database, platform: MemoryPlatform
) -> None:
    hanging = asyncio.Event()

    async def hang() -> None:
        hanging.set()
        await asyncio.Event().wait()

    backend = Backend([Text("first half, "), hang, Done()])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await hanging.wait()
        await platform.until(lambda: platform.messages)
    backend.script = [Text("first half, "), Text("second half"), Done()]
    async with running(Bridge(database, platform, ScriptedAgent(backend), replica="r2")) as bridge:
        await bridge.until_state("done")
    assert platform.texts() == ["first half, second half"]
    assert len(backend.asked) == 1


async def test_a_shutdown_waits_for_a_turn_that_ends_within_the_grace(
    quick: Database, platform: MemoryPlatform
) -> None:
    working, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        working.set()
        await go_on.wait()

    backend = Backend([work, Text("made it"), Done()])
    bridge = Bridge(quick, platform, ScriptedAgent(backend), grace=20)
    async with running(bridge):
        await bridge.intake.take(inbound(1))
        await working.wait()
        asyncio.get_running_loop().call_later(0.05, go_on.set)
    assert (await bridge.outcome()) == ("done", "answered")


async def test_an_input_request_waits_for_the_person_over_a_restart(
    database: Database, platform: MemoryPlatform
) -> None:
    """It stands in a message of its own, below what the agent said, with its choices as buttons."""
    backend = Backend([Text("Sure."), InputRequest("Which colour?", ("blue", "red"))])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "paint it"))
        await bridge.until_state("waiting")
    assert platform.texts() == ["Sure.", "Which colour?"]
    request = platform.messages[-1]
    assert request.key.kind is PartKind.REQUEST
    assert [(button.action, button.label, button.value) for button in request.buttons] == [
        ("choose", "blue", "0"),
        ("choose", "red", "1"),
        ("answer", "Write an answer", ""),
        ("abandon", "Leave it", ""),
    ]
    backend.script = [Text("Painted."), Done()]
    async with running(Bridge(database, platform, ScriptedAgent(backend), replica="r2")) as bridge:
        await bridge.intake.take(inbound(LATER, "blue"))
        await bridge.until_state("done")
    assert backend.asked == ["paint it", "blue"]
    assert platform.texts()[-1] == "Painted."


async def test_uncertain_asks_the_person_and_sends_again_only_then(
    database: Database, platform: MemoryPlatform
) -> None:
    backend = Backend([Uncertain("the connection broke")])
    async with running(Bridge(database, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "transfer it"))
        await bridge.until_state("waiting")
        await platform.until(lambda: platform.messages)
        again, leave = platform.messages[-1].buttons
        assert (again.action, leave.action) == ("retry", "abandon")
        backend.script = []
        assert await bridge.press(again) == "It is being sent again."
        assert await bridge.press(again) == "That was decided already."
        assert await bridge.press(leave) == "That was decided already."
        await bridge.until_state("done", "failed")
    assert backend.asked == ["transfer it", "transfer it"]
    assert platform.texts()[-1] == "answer to transfer it"


@pytest.mark.parametrize(
    ("error", "offered"),
    [
        (AuthenticationFailed("401 for key ***"), []),
        (Rejected("422 {}"), []),
        (RunFailed("the run died"), ["Try again"]),
        (TimedOut("no answer within 900 s"), ["Try again"]),
    ],
)
async def test_an_error_is_one_sentence_for_the_person_and_the_detail_for_the_operator(
    quick: Database, platform: MemoryPlatform, error: AgentError, offered: list[str]
) -> None:
    backend = Backend([Text("So far so good"), error])
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("failed")
        records = await bridge.ledger.turns(state="failed", thread=None, limit=1)
    assert platform.texts() == ["So far so good", error.sentence]
    assert records[0].turn.detail == str(error)
    assert [button.label for button in platform.messages[-1].buttons] == offered


async def test_an_adapters_bug_fails_one_turn_and_shows_no_traceback(
    quick: Database, platform: MemoryPlatform
) -> None:
    async def bug() -> None:
        raise KeyError("secret_internal_name")

    backend = Backend([bug])
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("failed")
        backend.script = []
        await bridge.intake.take(inbound(2))
        await bridge.until_state("failed", "done")
    assert platform.texts() == [AgentError.sentence, "answer to question 2"]


async def test_the_deadline_ends_a_turn_with_a_sentence(quick: Database, platform: MemoryPlatform) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    backend = Backend([Text("Let me see"), hang])
    async with running(Bridge(quick, platform, ScriptedAgent(backend), deadline=0.2)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("failed")
        assert await bridge.outcome() == ("failed", "timed_out")
    assert platform.texts()[-1] == "The agent took too long to answer."


@pytest.mark.parametrize("agent_type", [ScriptedAgent, CancellableAgent])
async def test_stop_ends_the_reply_at_once_and_frees_the_agent(
    quick: Database, platform: MemoryPlatform, agent_type: type[ScriptedAgent]
) -> None:
    go_on = asyncio.Event()
    backend = Backend([Text("Once upon a time "), go_on.wait, Text("there was more"), Done()])  # type: ignore[list-item]
    async with running(Bridge(quick, platform, agent_type(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await platform.until(lambda: platform.messages)
        [stop] = platform.messages[0].buttons
        assert await bridge.press(stop, replace(HERE, thread="other")) != ""
        assert await bridge.press(stop) == ""
        await platform.until(lambda: platform.messages[0].finished)
        await bridge.intake.take(inbound(2))
        assert backend.asked == ["question 1"], "the agent still works on the first"
        go_on.set()
        await bridge.until_state("cancelled", "done")
    assert [text.strip() for text in platform.texts()[:2]] == ["Once upon a time", STOPPED]
    assert backend.asked == ["question 1", "question 2"]
    assert backend.overlaps == 0
    assert backend.cancelled == (["conv"] if agent_type is CancellableAgent else [])


async def test_files_and_tables_follow_the_text(quick: Database, platform: MemoryPlatform) -> None:
    table = Table("sales", ("month", "sum"), (("May", 3), ("June", None)))
    backend = Backend(
        [Text("Here."), File("../../etc/report.pdf", "r"), File("big.bin", "b"), table, Done()],
        contents={"r": b"%PDF", "b": b"x" * 20_000},
    )
    async with running(Bridge(quick, platform, FileAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
    by_name = {part_name(message.key): message for message in platform.messages}
    assert by_name["f0"].files == (("report.pdf", b"%PDF"),)
    [(name, content)] = by_name["t2"].files
    assert name == "sales.csv"
    assert b"May,3" in content
    assert "big.bin" in by_name["n2"].text, "too large for the platform: said, not dropped silently"


async def test_attachments_and_the_threads_earlier_messages_reach_the_agent(
    quick: Database, platform: MemoryPlatform
) -> None:
    seen: list[str] = []

    class Looking(ScriptedAgent):
        async def _post(self, message: object) -> None:
            seen.extend(f"{one.name}:{one.path.read_text()}" for one in message.attachments)  # type: ignore[attr-defined]
            await super()._post(message)  # type: ignore[arg-type]

    backend = Backend()
    platform.before = [
        ContextMessage("Ann", "the plan is attached", (RemoteFile("F0", "plan.txt", "text/plain", 4, ""),))
    ]
    platform.contents = {"F0": b"plan", "F1": b"mine", "F2": b"x" * 2000}
    mine = RemoteFile("F1", "../mine.txt", "text/plain", 4, "")
    files = (mine, RemoteFile("F2", "big.txt", "text/plain", 4, ""))
    async with running(Bridge(quick, platform, Looking(backend))) as bridge:
        await bridge.intake.take(inbound(1, "what do you think?", mid_thread=True, files=files))
        await bridge.until_state("done")
    assert seen == ["plan.txt:plan", "mine.txt:mine"]
    assert backend.asked == [
        "Earlier in this thread:\n\nAnn: the plan is attached\n(attached: plan.txt)\n\n"
        "Now:\n\nPerson 1: what do you think?\n\n(Attached, but it could not be read: big.txt)"
    ]
    assert "big.txt" in platform.messages[0].text, "the person is told too"


async def test_several_people_in_a_thread_are_told_apart(quick: Database, platform: MemoryPlatform) -> None:
    backend = Backend()
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1, "mine"))
        await bridge.until_state("done")
        await bridge.intake.take(inbound(2, "no, mine", author="U2"))
        await bridge.until_state("done")
    assert backend.asked == ["mine", "Person 2: no, mine"]


async def test_an_empty_answer_is_said(quick: Database, platform: MemoryPlatform) -> None:
    async with running(Bridge(quick, platform, ScriptedAgent(Backend([Done()])))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
    assert platform.texts() == ["The agent sent an empty reply."]


async def test_a_deleted_channel_fails_the_turn_and_frees_the_thread(
    quick: Database, platform: MemoryPlatform
) -> None:
    platform.faults = ["gone"]
    async with running(Bridge(quick, platform, ScriptedAgent(Backend()))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("failed")
        assert await bridge.outcome() == ("failed", "undeliverable")
        await bridge.intake.take(inbound(2))
        await bridge.until_state("failed", "done")
    assert platform.texts() == ["answer to question 2"]


async def test_a_changed_or_deleted_question_counts_until_it_is_asked(
    quick: Database, platform: MemoryPlatform
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        asked.set()
        await go_on.wait()

    backend = Backend([work, Text("ok"), Done()])
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        for number in (1, 2, 3):
            await bridge.intake.take(inbound(number))
        await asked.wait()
        await bridge.intake.edited(HERE, "100.0-2", "better")
        await bridge.intake.deleted(HERE, "100.0-3")
        go_on.set()
        await bridge.until_state("done", "cancelled")
    assert backend.asked == ["question 1", "better"]


async def test_a_question_that_was_changed_after_it_was_asked_is_asked_in_the_new_words_on_demand(
    quick: Database, platform: MemoryPlatform
) -> None:
    """Both answers stay."""
    backend = Backend()
    async with running(Bridge(quick, platform, ScriptedAgent(backend))) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("done")
        edit = await bridge.intake.edited(HERE, "100.0-1", "better")
        assert edit.asked is not None
        for _ in range(2):
            await bridge.press(Button("reask", "Ask again", edit.asked))
        await eventually(lambda: len(platform.messages) == 2)
        await bridge.until_state("done")
    assert backend.asked == ["question 1", "better"]
    assert platform.texts() == ["answer to question 1", "answer to better"]


async def test_an_agent_that_was_taken_out_of_the_settings_is_said(
    quick: Database, platform: MemoryPlatform
) -> None:
    async with running(Bridge(quick, platform, None)) as bridge:
        await bridge.intake.take(inbound(1))
        await bridge.until_state("failed")
        assert await bridge.outcome() == ("failed", "no_agent")
    [sentence] = platform.texts()
    assert sentence.startswith("The agent of this thread isn't set up here any more.")
