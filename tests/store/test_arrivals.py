"""What people send and decide: known once, decided once, by whoever is quicker."""

from __future__ import annotations

import asyncio

import pytest

from adapters.base import Checkpoint
from bridge.inbound import Address, Person, RemoteFile
from bridge.lifecycle import ENDINGS, Event, Outcome, Retry, TurnState
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database
from bridge.store.decisions import Decided, Decisions
from bridge.store.ledger import Ledger
from bridge.store.queue import Queue
from bridge.store.values import Conclusion, Edit, InputRequestShown, StoredTurn, checkpoint_json
from tests.store.steps import ALL, HERE, begin_next, claim_one, end, inbound, next_turn, thread, work_off

ELSEWHERE = Address("slack", "T1", "C1", "999.0")
ANN = Person("U1", "Ann")


async def test_a_thread_is_known_once_the_agent_was_called_into_it(arrivals: Arrivals, queue: Queue) -> None:
    assert not await arrivals.knows(HERE)
    await arrivals.put(inbound(1), "a")
    assert await arrivals.knows(HERE)
    assert not await arrivals.knows(ELSEWHERE)


async def test_the_active_turn_is_the_one_that_is_claimed_or_begun(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    await arrivals.put(inbound(2), "a")
    assert await arrivals.active_turn(HERE) is None, "nobody works on it yet"
    claim = await claim_one(queue)
    turn = await next_turn(queue, claim)
    assert await arrivals.active_turn(HERE) == turn.id, "its attachments may be on their way"
    await queue.begin(claim, turn, None)
    assert await arrivals.active_turn(HERE) == turn.id
    await end(queue, claim, turn)
    await work_off(queue, claim)
    assert await arrivals.active_turn(HERE) is None


async def test_an_uncertain_turn_is_sent_again_once(
    arrivals: Arrivals, decisions: Decisions, queue: Queue
) -> None:
    file = RemoteFile("F1", "a.txt", "text/plain", 3, "https://x")
    await arrivals.put(inbound(1, files=(file,)), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim, Checkpoint("c", {"phase": "sending"}))
    assert await end(queue, claim, turn, Outcome.UNCERTAIN, shown_at=10) is None
    assert await decisions.retry(ELSEWHERE, turn.id) is Decided.TOO_LATE, "another thread's button"
    pressed = await asyncio.gather(*(decisions.retry(HERE, turn.id) for _ in range(4)))
    assert sorted(one.name for one in pressed) == ["SENT", "TOO_LATE", "TOO_LATE", "TOO_LATE"]
    claim = await claim_one(queue)
    outlook = await queue.look(claim)
    assert outlook.turn is not None
    assert outlook.waiting is None
    again = outlook.turn
    assert (again.text, again.files, again.start, again.retry_of) == (turn.text, (file,), None, turn.id)
    assert again.id != turn.id
    before = await queue.turn(turn.id)
    assert before is not None
    assert (before.state, before.superseded_by) == (TurnState.FAILED, again.id)
    _, outlook_after = await work_off(queue, claim)
    assert outlook_after is None


async def test_a_person_goes_on_without_what_a_turn_waits_for(
    arrivals: Arrivals, decisions: Decisions, queue: Queue
) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn, _ = await work_off(queue, claim, Outcome.UNCERTAIN, shown_at=10)
    assert await decisions.abandon(ELSEWHERE, turn.id) is Decided.TOO_LATE
    pressed = await asyncio.gather(*(decisions.abandon(HERE, turn.id) for _ in range(3)))
    assert sorted(one.name for one in pressed) == ["LEFT", "TOO_LATE", "TOO_LATE"]
    assert await decisions.retry(HERE, turn.id) is Decided.TOO_LATE
    left = await queue.turn(turn.id)
    assert left is not None
    assert (left.state, left.outcome) == (TurnState.CANCELLED, Outcome.ABANDONED)
    await arrivals.put(inbound(11), "a")
    assert (await queue.look(await claim_one(queue))).waiting is None


async def test_abandoning_an_input_request_lets_what_it_held_run(
    arrivals: Arrivals, decisions: Decisions, queue: Queue
) -> None:
    await arrivals.put(inbound(1), "a")
    await arrivals.put(inbound(2), "a")
    claim = await claim_one(queue)
    asked, _ = await work_off(queue, claim, Outcome.INPUT_REQUEST, shown_at=10)
    assert await queue.claim(10, ALL) == []
    assert await decisions.abandon(HERE, asked.id) is Decided.LEFT
    assert (await next_turn(queue, await claim_one(queue))).position == 2


async def failed(arrivals: Arrivals, queue: Queue, outcome: Outcome, checkpoint: Checkpoint) -> StoredTurn:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim, checkpoint)
    event = Event.REFUSED if outcome is Outcome.UNDELIVERABLE else Event.DELIVERED
    await queue.conclude(claim, turn.id, Conclusion(outcome, "so far"))
    await queue.end(claim, turn.id, event, outcome)
    return turn


@pytest.mark.parametrize("outcome", Outcome)
async def test_what_trying_again_means_after_each_outcome(
    arrivals: Arrivals, decisions: Decisions, queue: Queue, outcome: Outcome
) -> None:
    """A question that the agent may have is never sent twice, and one that it can't have isn't resumed."""
    stands = Checkpoint("c", {"request": "r1"})
    turn = await failed(arrivals, queue, outcome, stands)
    decided = await decisions.retry(HERE, turn.id)
    match ENDINGS[outcome].retry:
        case Retry.NONE:
            assert decided is Decided.TOO_LATE
            return
        case Retry.DELIVER:
            assert decided is Decided.DELIVERING
            again = await next_turn(queue, await claim_one(queue))
            assert (again.id, again.state, again.answer) == (turn.id, TurnState.RECEIVED, "so far")
        case Retry.ANEW:
            assert decided is Decided.SENT
            again = await next_turn(queue, await claim_one(queue))
            assert (again.retry_of, again.start, again.asked_as) == (turn.id, None, None)
        case Retry.RESUME:
            assert decided is Decided.SENT
            again = await next_turn(queue, await claim_one(queue))
            assert (again.retry_of, again.start, again.asked_as) == (turn.id, checkpoint_json(stands), turn.id)
    assert await decisions.retry(HERE, turn.id) is Decided.TOO_LATE, "pressed twice"


async def test_an_answer_that_failed_before_it_was_sent_is_an_answer_again(
    arrivals: Arrivals, decisions: Decisions, queue: Queue
) -> None:
    """Where it begins is what the agent's input request left, not nothing."""
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    asked = await begin_next(queue, claim, Checkpoint("c", {"phase": "waiting"}))
    await end(queue, claim, asked, Outcome.INPUT_REQUEST, shown_at=10)
    await arrivals.put(inbound(11), "a")
    claim = await claim_one(queue)
    outlook = await queue.look(claim)
    assert outlook.turn is not None
    assert outlook.waiting is not None
    await queue.begin(claim, outlook.turn, None, start=outlook.waiting.checkpoint, settles=outlook.waiting)
    await end(queue, claim, outlook.turn, Outcome.UNAVAILABLE)
    assert await decisions.retry(HERE, outlook.turn.id) is Decided.SENT
    again = await next_turn(queue, await claim_one(queue))
    assert again.start == checkpoint_json(Checkpoint("c", {"phase": "waiting"}))


async def test_trying_again_keeps_the_id_that_the_question_was_first_asked_under(
    arrivals: Arrivals, decisions: Decisions, queue: Queue
) -> None:
    first = turn = await failed(arrivals, queue, Outcome.TIMED_OUT, Checkpoint("c", {}))
    for _ in range(2):
        assert await decisions.retry(HERE, turn.id) is Decided.SENT
        claim = await claim_one(queue)
        turn = await begin_next(queue, claim, Checkpoint("c", {}))
        assert turn.asked_as == first.id
        await end(queue, claim, turn, Outcome.TIMED_OUT)


async def test_trying_again_does_not_answer_an_input_request_of_another_turn(
    arrivals: Arrivals, decisions: Decisions, queue: Queue
) -> None:
    await arrivals.put(inbound(1, text="first"), "a")
    await arrivals.put(inbound(2, text="second"), "a")
    claim = await claim_one(queue)
    first, _ = await work_off(queue, claim, Outcome.REJECTED)
    second = await begin_next(queue, claim, Checkpoint("c", {"run": "r2"}))
    await end(queue, claim, second, Outcome.INPUT_REQUEST, shown_at=10)
    assert await decisions.retry(HERE, first.id) is Decided.SENT
    assert await queue.claim(10, ALL) == [], "it waits until the request is answered"
    await arrivals.put(inbound(11, text="the answer"), "a")
    claim = await claim_one(queue)
    outlook = await queue.look(claim)
    assert outlook.turn is not None
    assert outlook.turn.text == "the answer"
    await queue.begin(claim, outlook.turn, None, settles=outlook.waiting)
    following = await end(queue, claim, outlook.turn)
    assert following is not None
    assert following.turn is not None
    assert (following.turn.text, following.turn.retry_of) == ("first", first.id)


async def waits_with_choices(arrivals: Arrivals, queue: Queue) -> StoredTurn:
    await arrivals.put(inbound(1), "a")
    await arrivals.put(inbound(2, text="written meanwhile"), "a")
    claim = await claim_one(queue)
    asked = await begin_next(queue, claim, Checkpoint("c", {"phase": "waiting"}))
    request = InputRequestShown("Which colour?", ("blue", "red"))
    await end(queue, claim, asked, Outcome.INPUT_REQUEST, request=request, shown_at=10, last_part="m10")
    return asked


async def test_a_pressed_choice_is_a_turn_that_answers_once(
    arrivals: Arrivals, decisions: Decisions, queue: Queue
) -> None:
    asked = await waits_with_choices(arrivals, queue)
    assert await decisions.choose(ELSEWHERE, asked.id, 0, ANN) is Decided.TOO_LATE
    pressed = await asyncio.gather(*(decisions.choose(HERE, asked.id, 1, ANN) for _ in range(4)))
    assert sorted(one.name for one in pressed) == ["CHOSEN", "TOO_LATE", "TOO_LATE", "TOO_LATE"]
    assert await decisions.choose(HERE, asked.id, 0, ANN) is Decided.TOO_LATE, "another choice after it"
    claim = await claim_one(queue)
    outlook = await queue.look(claim)
    assert outlook.turn is not None
    assert (outlook.turn.text, outlook.turn.chosen, outlook.turn.person.id) == ("red", asked.id, "U1")
    await queue.begin(claim, outlook.turn, None, settles=outlook.waiting)
    following = await end(queue, claim, outlook.turn)
    assert following is not None
    assert following.turn is not None
    assert following.turn.text == "written meanwhile"


@pytest.mark.parametrize("index", [-1, 2, 99])
async def test_a_choice_that_was_never_offered_is_refused(
    arrivals: Arrivals, decisions: Decisions, queue: Queue, index: int
) -> None:
    asked = await waits_with_choices(arrivals, queue)
    assert await decisions.choose(HERE, asked.id, index, ANN) is Decided.TOO_LATE


async def test_a_choice_is_refused_once_the_request_is_answered_in_words(
    arrivals: Arrivals, decisions: Decisions, queue: Queue
) -> None:
    asked = await waits_with_choices(arrivals, queue)
    await arrivals.put(inbound(11), "a")
    claim = await claim_one(queue)
    outlook = await queue.look(claim)
    assert outlook.turn is not None
    await queue.begin(claim, outlook.turn, None, settles=outlook.waiting)
    assert await decisions.choose(HERE, asked.id, 0, ANN) is Decided.TOO_LATE


async def test_new_words_for_what_was_asked_already_are_told_to_one_and_asked_once(
    arrivals: Arrivals, decisions: Decisions, queue: Queue
) -> None:
    """Two replicas hear of the same change; whoever presses twice asks once; a further change is another one."""
    await arrivals.put(inbound(1, text="old"), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim)
    assert await decisions.ask_edited(HERE, turn.id) is Decided.TOO_LATE, "nothing was changed"
    assert await arrivals.change_text(HERE, "100.0-1", "new") == Edit(asked=turn.id)
    assert await arrivals.change_text(HERE, "100.0-1", "new") == Edit()
    assert await decisions.ask_edited(ELSEWHERE, turn.id) is Decided.TOO_LATE
    assert await decisions.ask_edited(HERE, turn.id) is Decided.SENT
    assert await decisions.ask_edited(HERE, turn.id) is Decided.TOO_LATE
    outlook = await end(queue, claim, turn)
    assert outlook is not None
    assert outlook.turn is not None
    assert (outlook.turn.text, outlook.turn.message_id, outlook.turn.retry_of) == ("new", "100.0-1", None)
    assert await arrivals.change_text(HERE, "100.0-1", "newer") == Edit(asked=turn.id)
    assert await decisions.ask_edited(HERE, turn.id) is Decided.SENT


async def test_new_words_for_what_was_withdrawn_or_never_came_are_nothing(arrivals: Arrivals) -> None:
    await arrivals.put(inbound(1), "a")
    await arrivals.withdraw(HERE, "100.0-1")
    assert await arrivals.change_text(HERE, "100.0-1", "new") == Edit()
    assert await arrivals.change_text(HERE, "100.0-2", "new") == Edit()


async def test_a_stop_is_found_by_the_replica_that_works(
    arrivals: Arrivals, queue: Queue, database: Database
) -> None:
    other = Queue(queue._engine, "replica-2")
    await arrivals.put(inbound(1), "a")
    turn = await begin_next(queue, await claim_one(queue))
    assert await queue.stopped() == []
    await arrivals.record_stop(turn.id)
    assert await queue.stopped() == [turn.id]
    assert await other.stopped() == []
    assert (await Ledger(database).turn(turn.id)).turn.stopped  # type: ignore[union-attr]


async def test_where_people_wrote_lately(arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most recent first, within the window, as many as asked for."""
    times = iter(range(100, 200, 10))
    monkeypatch.setattr("bridge.store.arrivals.now", lambda: next(times))
    for number in (1, 2, 3):
        await arrivals.put(inbound(1, address=thread(number), direct=number == 2), "a")
    await arrivals.put(inbound(2, address=thread(1)), "a")
    await arrivals.put(inbound(1, address=Address("discord", "G1", "C1", "C1")), "a")
    seen = await arrivals.seen("slack", 0, 10)
    assert [(one.address.thread, one.newest, one.direct) for one in seen] == [
        ("1.0", "1.0-2", False),
        ("3.0", "3.0-1", False),
        ("2.0", "2.0-1", True),
    ]
    assert [one.address.thread for one in await arrivals.seen("slack", 110, 10)] == ["1.0", "3.0"]
    assert [one.address.thread for one in await arrivals.seen("slack", 0, 1)] == ["1.0"]


async def test_the_newest_message_is_the_one_written_last_whatever_came_last(arrivals: Arrivals) -> None:
    for number in (2, 3, 1):
        await arrivals.put(inbound(number), "a")
    [seen] = await arrivals.seen("slack", 0, 10)
    assert seen.newest == "100.0-3"
