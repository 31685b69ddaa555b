"""The queue keeps its promises on both databases: stored once, in order, one at a time, and whole."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlmodel import col

from adapters.base import Checkpoint, Exchange
from bridge.inbound import Address, Person
from bridge.lifecycle import Event, Outcome, ThreadState, TurnState
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database
from bridge.store.ledger import Ledger
from bridge.store.queue import Changed, Queue
from bridge.store.tables import Turn
from bridge.store.values import ArtifactRecord, InputRequestShown, checkpoint_json
from tests.store.steps import ALL, HERE, begin_next, claim_one, end, inbound, next_turn, part, thread, work_off


async def test_a_message_delivered_again_is_stored_once(arrivals: Arrivals, queue: Queue) -> None:
    assert await arrivals.put(inbound(1), "support")
    assert not await arrivals.put(inbound(1), "support"), "the same event"
    assert not await arrivals.put(inbound(1, event_id="another"), "support"), "another event of the same message"
    claim = await claim_one(queue)
    turn = await next_turn(queue, claim)
    assert (turn.text, turn.person, claim.agent) == ("question 1", Person("U1", "name of U1"), "support")
    _, outlook = await work_off(queue, claim)
    assert outlook is None


async def test_many_deliveries_at_once_are_stored_once(arrivals: Arrivals) -> None:
    stored = await asyncio.gather(*(arrivals.put(inbound(1, event_id=f"e{n % 3}"), "a") for n in range(12)))
    assert sum(stored) == 1


async def test_many_messages_at_once_are_all_stored(arrivals: Arrivals, queue: Queue) -> None:
    stored = await asyncio.gather(*(arrivals.put(inbound(n), "a") for n in range(1, 60)))
    assert all(stored)
    claim = await claim_one(queue)
    seen = [(await work_off(queue, claim))[0].position for _ in stored]
    assert seen == list(range(1, 60))


async def test_turns_of_a_thread_run_in_the_order_they_were_written(arrivals: Arrivals, queue: Queue) -> None:
    for number in (3, 1, 2):
        await arrivals.put(inbound(number), "a")
    claim = await claim_one(queue)
    seen = []
    while True:
        turn, outlook = await work_off(queue, claim)
        seen.append(turn.position)
        if outlook is None:
            break
        assert outlook.turn is not None
    assert seen == [1, 2, 3]


async def test_a_running_thread_is_not_claimed_again_and_others_are(arrivals: Arrivals, queue: Queue) -> None:
    other = Address("discord", "G1", "C9", "C9")
    await arrivals.put(inbound(1), "a")
    await claim_one(queue)
    await arrivals.put(inbound(2), "a")
    await arrivals.put(inbound(1, address=other), "a")
    assert [claim.address for claim in await queue.claim(10, ALL)] == [other]


async def test_only_served_platforms_are_claimed(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    assert await queue.claim(10, ["discord"]) == []
    assert len(await queue.claim(10, ["slack"])) == 1


async def test_no_more_threads_are_claimed_than_asked_for_and_the_longest_waiting_first(
    arrivals: Arrivals, queue: Queue
) -> None:
    for number in (3, 1, 2):
        await arrivals.put(inbound(1, address=thread(number)), "a")
    claimed = [claim.address.thread for _ in range(3) for claim in await queue.claim(1, ALL)]
    assert claimed == ["3.0", "1.0", "2.0"]


async def test_the_database_refuses_a_second_active_turn(
    arrivals: Arrivals, queue: Queue, database: Database
) -> None:
    await arrivals.put(inbound(1), "a")
    await arrivals.put(inbound(2), "a")
    await begin_next(queue, await claim_one(queue))
    with pytest.raises(sa.exc.IntegrityError):
        async with database.transaction() as session:
            await session.exec(sa.update(Turn).values(state=TurnState.ASKING))


async def test_a_released_thread_goes_on_where_it_stood(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim, Checkpoint("c", {"request": "r"}))
    await queue.release([claim])
    resumed = await next_turn(queue, await claim_one(queue))
    assert (resumed.id, resumed.state, resumed.checkpoint) == (
        turn.id,
        TurnState.ASKING,
        Checkpoint("c", {"request": "r"}),
    )


async def test_a_thread_without_work_is_given_back_and_one_with_work_is_not(
    arrivals: Arrivals, queue: Queue
) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    assert not await queue.settle(claim), "there is a turn to run"
    await arrivals.withdraw(HERE, "100.0-1")
    assert await queue.settle(claim)
    assert await queue.claim(10, ALL) == []


# --- what waits for a person --------------------------------------------------------------------------------------


async def test_what_is_written_after_an_input_request_answers_it(
    arrivals: Arrivals, queue: Queue, database: Database
) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    asked = await begin_next(queue, claim, Checkpoint("c", {"phase": "waiting"}))
    request = InputRequestShown("which one?", ("blue", "red"))
    assert await end(queue, claim, asked, Outcome.INPUT_REQUEST, request=request, shown_at=10) is None

    await arrivals.put(inbound(11, text="the blue one"), "a")
    claim = await claim_one(queue)
    outlook = await queue.look(claim)
    assert outlook.waiting is not None
    assert (outlook.waiting.id, outlook.waiting.waiting.outcome, outlook.waiting.waiting.shown_at) == (
        asked.id,
        Outcome.INPUT_REQUEST,
        10,
    )
    assert outlook.waiting.checkpoint == checkpoint_json(Checkpoint("c", {"phase": "waiting"}))
    assert outlook.turn is not None
    await queue.begin(claim, outlook.turn, None, start=outlook.waiting.checkpoint, settles=outlook.waiting)
    outlook = await queue.look(claim)
    assert outlook.waiting is None
    assert outlook.turn is not None
    assert outlook.turn.start == checkpoint_json(Checkpoint("c", {"phase": "waiting"}))
    before = await Ledger(database).turn(asked.id)
    assert before is not None
    assert (before.turn.state, before.turn.outcome) == ("done", "input_request")


async def test_what_is_older_than_an_open_input_request_is_held_until_it_is_answered(
    arrivals: Arrivals, queue: Queue
) -> None:
    await arrivals.put(inbound(1), "a")
    await arrivals.put(inbound(2, text="written meanwhile"), "a")
    claim = await claim_one(queue)
    asked = await begin_next(queue, claim)
    assert await end(queue, claim, asked, Outcome.INPUT_REQUEST, shown_at=10) is None, "nothing may run"
    await arrivals.put(inbound(9, text="overtaken"), "a")
    assert await queue.claim(10, ALL) == []

    await arrivals.put(inbound(11, text="the answer"), "a")
    claim = await claim_one(queue)
    outlook = await queue.look(claim)
    assert outlook.turn is not None
    assert outlook.turn.text == "the answer"
    await queue.begin(claim, outlook.turn, None, settles=outlook.waiting)
    seen = []
    following = await end(queue, claim, outlook.turn)
    while following is not None:
        turn, following = await work_off(queue, claim)
        seen.append(turn.text)
    assert seen == ["written meanwhile", "overtaken"]


async def test_what_an_abandoned_turn_becomes(arrivals: Arrivals, queue: Queue, database: Database) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    uncertain, _ = await work_off(queue, claim, Outcome.UNCERTAIN, shown_at=10)
    await arrivals.put(inbound(11), "a")
    claim = await claim_one(queue)
    outlook = await queue.look(claim)
    assert outlook.turn is not None
    assert outlook.waiting is not None
    await queue.begin(claim, outlook.turn, None, settles=outlook.waiting, how=Event.ABANDONED)
    left = await Ledger(database).turn(uncertain.id)
    assert left is not None
    assert (left.turn.state, left.turn.outcome) == ("cancelled", "abandoned")
    assert (await queue.look(claim)).waiting is None


async def test_an_uncertain_turn_holds_nothing(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    await arrivals.put(inbound(2), "a")
    claim = await claim_one(queue)
    first = await begin_next(queue, claim)
    outlook = await end(queue, claim, first, Outcome.UNCERTAIN, shown_at=10)
    assert outlook is not None
    assert outlook.turn is not None
    assert outlook.turn.position == 2
    assert outlook.waiting is not None
    assert outlook.waiting.id == first.id


# --- edits ----------------------------------------------------------------------------------------------------------


async def test_edits_and_deletions_count_until_the_turn_is_begun(arrivals: Arrivals, queue: Queue) -> None:
    for number in (1, 2, 3):
        await arrivals.put(inbound(number), "a")
    claim = await claim_one(queue)
    running = await begin_next(queue, claim)
    assert not (await arrivals.change_text(HERE, "100.0-1", "too late")).changed
    assert not await arrivals.withdraw(HERE, "100.0-1")
    assert (await arrivals.change_text(HERE, "100.0-2", "better words")).changed
    assert await arrivals.withdraw(HERE, "100.0-3")
    outlook = await end(queue, claim, running)
    assert outlook is not None
    assert outlook.turn is not None
    assert outlook.turn.text == "better words"
    _, outlook = await work_off(queue, claim)
    assert outlook is None


@pytest.mark.parametrize("change", ["edited", "withdrawn"])
async def test_a_question_changed_after_it_was_looked_at_is_looked_at_again(
    arrivals: Arrivals, queue: Queue, change: str
) -> None:
    """What the platform was told and what is asked never differ."""
    await arrivals.put(inbound(1, text="old"), "a")
    claim = await claim_one(queue)
    turn = await next_turn(queue, claim)
    if change == "edited":
        assert (await arrivals.change_text(HERE, "100.0-1", "new")).changed
    else:
        assert await arrivals.withdraw(HERE, "100.0-1")
    with pytest.raises(Changed):
        await queue.begin(claim, turn, Checkpoint("not kept", {}))
    outlook = await queue.look(claim)
    assert outlook.conversation is None, "the whole step was undone"
    if change == "edited":
        assert outlook.turn is not None
        assert (outlook.turn.text, outlook.turn.state) == ("new", TurnState.RECEIVED)
    else:
        assert outlook.turn is None


async def test_the_words_that_were_asked_are_stored(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1, text="what does <@U2> say?", person=Person("U1")), "a")
    claim = await claim_one(queue)
    turn = await next_turn(queue, claim)
    asked = replace(turn, text="what does @Grace say? \0", person=Person("U1", "Ann"))
    await queue.begin(claim, asked, None)
    begun = await next_turn(queue, claim)
    assert (begun.text, begun.person.name) == ("what does @Grace say? ", "Ann")


# --- record ---------------------------------------------------------------------------------------------------------


async def test_a_checkpoint_without_a_conversation_keeps_the_threads(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim, Checkpoint("known", {"step": 1}))
    await queue.record_checkpoint(claim, turn.id, Checkpoint(None, {"step": 2}), progress=True)
    outlook = await queue.look(claim)
    assert outlook.conversation == "known"
    assert outlook.turn is not None
    assert outlook.turn.checkpoint == Checkpoint(None, {"step": 2})


async def test_a_part_is_recorded_bit_by_bit(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim)
    assert await queue.parts(turn.id) == []
    await queue.record_parts(claim, turn.id, [part(shown=5)])
    finished = part(ends=10, shown=10, digest="d")
    await queue.record_checkpoint(claim, turn.id, Checkpoint("c", {}), [finished], progress=True)
    assert await queue.parts(turn.id) == [finished]
    await queue.record_parts(claim, turn.id, [part(shown=12)])
    assert await queue.parts(turn.id) == [part(ends=10, shown=12, digest="d")], "what is finished stays so"
    await queue.record_parts(claim, turn.id, [part(1, "m2")])
    await queue.forget_part(claim, turn.id, "p", 0)
    assert await queue.parts(turn.id) == [part(1, "m2")]


async def test_what_a_thread_remembers_of_its_last_reply(arrivals: Arrivals, queue: Queue) -> None:
    for number in (1, 2, 3):
        await arrivals.put(inbound(number, author=f"U{number}"), "a")
    claim = await claim_one(queue)
    first = await begin_next(queue, claim)
    assert await end(queue, claim, first, last_part="m7") is None, "the next turn is another person's"
    claim = await claim_one(queue)
    outlook = await queue.look(claim)
    assert (outlook.last_part, outlook.several) == ("m7", True)
    await work_off(queue, claim)
    outlook = await queue.look(await claim_one(queue))
    assert outlook.last_part == "m7", "a turn without parts takes nothing back"


async def test_one_person_is_not_several(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    await arrivals.put(inbound(2), "a")
    assert not (await queue.look(await claim_one(queue))).several


async def test_the_conclusion_holds_all_that_delivery_needs(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim)
    made = (
        ArtifactRecord(0, "table", "t", "text/csv", table={"columns": ["a"], "rows": [[1], [None]]}),
        ArtifactRecord(1, "file", "f\0", "text/plain", ref="r", size=2**40),
    )
    request = InputRequestShown("which \0 one?", ("a", "b"))
    from bridge.store.values import Conclusion

    conclusion = Conclusion(Outcome.INPUT_REQUEST, "zero \0 byte", request, "a notice", "a detail", made)
    await queue.conclude(claim, turn.id, conclusion, [part()])
    await queue.release([claim])
    resumed = await next_turn(queue, await claim_one(queue))
    assert (resumed.state, resumed.answer, resumed.outcome) == (
        TurnState.REPLYING,
        "zero  byte",
        Outcome.INPUT_REQUEST,
    )
    assert resumed.request == InputRequestShown("which  one?", ("a", "b"))
    assert (resumed.notice, resumed.detail) == ("a notice", "a detail")
    assert list(await queue.artifacts(turn.id)) == [made[0], replace(made[1], name="f")]
    assert await queue.parts(turn.id) == [part()]


async def test_a_refused_reply_fails_its_turn(arrivals: Arrivals, queue: Queue) -> None:
    from bridge.store.values import Conclusion

    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim)
    await queue.conclude(claim, turn.id, Conclusion(Outcome.ANSWERED, "the answer"))
    ended = await queue.end(claim, turn.id, Event.REFUSED, Outcome.UNDELIVERABLE, detail="Gone: no channel")
    assert ended is None
    stored = await queue.turn(turn.id)
    assert stored is not None
    assert (stored.state, stored.outcome, stored.answer, stored.detail) == (
        TurnState.FAILED,
        Outcome.UNDELIVERABLE,
        "the answer",
        "Gone: no channel",
    )


async def test_earlier_exchanges_come_oldest_first_and_bounded(arrivals: Arrivals, queue: Queue) -> None:
    for number in (1, 2, 3, 4):
        await arrivals.put(inbound(number), "a")
    claim = await claim_one(queue)
    for number in (1, 2, 3):
        await work_off(queue, claim, answer=f"answer {number}")
    assert await queue.exchanges(claim.thread, 4, 2) == (
        Exchange("question 2", "answer 2"),
        Exchange("question 3", "answer 3"),
    )
    assert await queue.exchanges(claim.thread, 2, 9) == (Exchange("question 1", "answer 1"),), "before it"


async def test_the_attempts_of_a_thread(arrivals: Arrivals, queue: Queue) -> None:
    """They count what was tried in vain: progress and a clean release take them back."""
    await arrivals.put(inbound(1), "a")
    await arrivals.put(inbound(2), "a")

    async def crash() -> int:
        claim = await claim_one(queue)
        await queue.free_unheld({})
        return claim.attempts

    assert [await crash(), await crash()] == [1, 2]
    claim = await claim_one(queue)
    assert claim.attempts == 3
    await queue.release([claim])
    claim = await claim_one(queue)
    assert claim.attempts == 3, "one that was given back cleanly wasn't in vain"
    turn = await begin_next(queue, claim, Checkpoint("c", {}))
    await queue.record_checkpoint(claim, turn.id, Checkpoint("c", {}), progress=False)
    assert await queue.free_unheld({}) == 1
    [claim] = await queue.claim(1, ALL, suspects=True)
    assert claim.attempts == 4, "what was known before is no progress"
    await queue.record_checkpoint(claim, turn.id, Checkpoint("c", {"step": 2}), progress=True)
    await queue.free_unheld({})
    claim = await claim_one(queue)
    assert claim.attempts == 1
    await queue.free_unheld({})
    claim = await claim_one(queue)
    assert claim.attempts == 2
    await end(queue, claim, turn)
    await queue.free_unheld({})
    assert (await claim_one(queue)).attempts == 1, "each turn has its own"


async def test_a_thread_that_may_end_processes_is_claimed_apart(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1, address=thread(1)), "a")
    for _ in range(3):
        await claim_one(queue)
        await queue.free_unheld({})
    await arrivals.put(inbound(1, address=thread(2)), "a")
    assert [claim.address.thread for claim in await queue.claim(10, ALL)] == ["2.0"]
    assert [claim.address.thread for claim in await queue.claim(10, ALL, suspects=True)] == ["1.0"]


def test_the_states_are_what_operators_script_against() -> None:
    assert [state.value for state in TurnState] == [
        "received", "asking", "replying", "waiting", "done", "failed", "cancelled",
    ]  # fmt: skip
    assert [state.value for state in ThreadState] == ["idle", "queued", "ready", "running", "moved"]


async def test_every_column_of_a_turn_comes_back(arrivals: Arrivals, queue: Queue, database: Database) -> None:
    """The value is read by the order of the columns."""
    await arrivals.put(inbound(1, direct=True, mid_thread=True, person=Person("U1", "Ann", "T9")), "a")
    turn = await next_turn(queue, await claim_one(queue))
    async with database.transaction() as session:
        from sqlmodel import select

        row = (await session.exec(select(Turn).where(col(Turn.id) == turn.id))).one()
    assert (turn.event_key, turn.message_id, turn.position) == (row.event_key, row.message_id, row.position)
    assert (turn.direct, turn.mid_thread, turn.stopped, turn.revision) == (True, True, False, 0)
    assert turn.person == Person("U1", "Ann", "T9")
    assert turn.thread == row.thread_id
