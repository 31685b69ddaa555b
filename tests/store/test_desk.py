"""What commands read of a thread and change in it, on both databases."""

from __future__ import annotations

import pytest

from adapters.base import Checkpoint
from bridge.inbound import Address, Person
from bridge.lifecycle import Outcome, TurnState
from bridge.store.arrivals import Arrivals
from bridge.store.decisions import Decided, Decisions
from bridge.store.desk import Desk, Overview
from bridge.store.engine import Engine
from bridge.store.queue import Queue
from bridge.store.values import InputRequestShown
from tests.store.steps import HERE, begin_next, claim_one, end, inbound, next_turn, thread, work_off

ANN = Person("U1", "Ann")


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


async def seen(desk: Desk, address: Address = HERE) -> Overview:
    found = await desk.overview(address)
    assert found is not None
    return found


async def test_the_latest_thread_of_a_person_in_a_channel(desk: Desk, arrivals: Arrivals) -> None:
    channel = Address("slack", "T1", "C1", "")
    assert await desk.latest(channel, ANN) is None
    await arrivals.put(inbound(1, address=thread(1)), "a")
    await arrivals.put(inbound(2, address=thread(2)), "a")
    await arrivals.put(inbound(3, address=thread(3), author="U2"), "a")
    await arrivals.put(inbound(4, address=Address("slack", "T1", "C2", "9.0")), "a")
    await arrivals.put(inbound(5, address=Address("slack", "T2", "C1", "8.0")), "a")
    assert await desk.latest(channel, ANN) == thread(2)
    await arrivals.put(inbound(6, address=thread(1)), "a")
    recent = await desk.recent("slack", "T1", ANN, 2)
    elsewhere = Address("slack", "T1", "C2", "9.0")
    assert list(recent.items()) == [(thread(1), "question 6"), (elsewhere, "question 4")]


async def test_a_thread_as_it_stands(desk: Desk, arrivals: Arrivals, queue: Queue) -> None:
    assert await desk.overview(HERE) is None
    for number, author in enumerate(("U1", "U2", "U1"), 1):
        await arrivals.put(inbound(number, author=author), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim)
    there = await seen(desk)
    assert (there.agent, there.state, there.last) == ("a", "running", None)
    assert there.active is not None
    assert there.active.id == turn.id
    assert there.queued == ["U2", "U1"]
    await end(queue, claim, turn)
    await work_off(queue, await claim_one(queue), Outcome.UNAVAILABLE)
    last, _ = await work_off(queue, await claim_one(queue), Outcome.STOPPED)
    there = await seen(desk)
    assert (there.active, there.queued, there.state) == (None, [], "idle")
    assert there.last is not None
    assert there.last.id == last.id


async def test_what_was_withdrawn_is_not_the_last_turn(desk: Desk, arrivals: Arrivals) -> None:
    await arrivals.put(inbound(1), "a")
    await arrivals.withdraw(HERE, f"{HERE.thread}-1")
    assert (await seen(desk)).last is None


async def test_a_new_conversation_knows_nothing_of_the_old(desk: Desk, arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim, Checkpoint("old", {}))
    assert not await desk.begin_anew(await seen(desk), "a", ANN), (
        "what runs would write its conversation down again"
    )
    await end(queue, claim, turn, answer="an answer")
    assert [one.question for one in await desk.exchanges(claim.thread, 9)] == ["question 1"]
    assert await desk.begin_anew(await seen(desk), "b", ANN)
    assert await desk.begin_anew(await seen(desk), "b", ANN), "twice comes to the same"
    there = await seen(desk)
    assert (there.conversation, there.agent, there.last) == (None, "b", None)
    assert await desk.exchanges(claim.thread, 9) == []
    await arrivals.put(inbound(2), "a")
    claim = await claim_one(queue)
    assert claim.agent == "b"
    assert (await queue.look(claim)).conversation is None
    assert await queue.exchanges(claim.thread, 2, 9) == ()


async def test_a_new_conversation_abandons_what_the_old_one_waits_for(
    desk: Desk, arrivals: Arrivals, queue: Queue
) -> None:
    for number in (1, 2):
        await arrivals.put(inbound(number), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim)
    request = InputRequestShown("Which?")
    assert await end(queue, claim, turn, Outcome.INPUT_REQUEST, request=request, shown_at=10) is None
    assert await desk.begin_anew(await seen(desk), "a", ANN)
    ended = await queue.turn(turn.id)
    assert ended is not None
    assert (ended.state, ended.outcome) == (TurnState.CANCELLED, Outcome.ABANDONED)
    claim = await claim_one(queue)
    assert (await next_turn(queue, claim)).text == "question 2", "what was held back goes on"


async def test_an_ended_question_is_asked_again_once(
    arrivals: Arrivals, decisions: Decisions, queue: Queue
) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim)
    assert await decisions.ask_again(HERE, turn.id) is Decided.TOO_LATE, "it is at work"
    await end(queue, claim, turn, answer="an answer")
    assert await decisions.ask_again(thread(7), turn.id) is Decided.TOO_LATE, "another thread's"
    assert await decisions.ask_again(HERE, turn.id) is Decided.SENT
    assert await decisions.ask_again(HERE, turn.id) is Decided.TOO_LATE
    again = await next_turn(queue, await claim_one(queue))
    assert (again.text, again.retry_of, again.answer) == (turn.text, turn.id, None)
    first = await queue.turn(turn.id)
    assert first is not None
    assert (first.state, first.answer) == (TurnState.DONE, "an answer")
