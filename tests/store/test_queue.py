"""The queue keeps its promises on both databases: stored once, in order, one at a time, fenced."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.base import Checkpoint
from bridge.inbound import Address, Inbound, RemoteFile
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database
from bridge.store.ledger import Ledger
from bridge.store.queue import Claim, Fenced, Queue, Verdict, Work
from bridge.store.tables import Made, Replica, ThreadState, Turn, TurnState, now

LEASE = timedelta(seconds=30)
HERE = Address("slack", "T1", "C1", "100.0")
ALL = ["slack", "discord"]


def inbound(
    number: int = 1, *, address: Address = HERE, text: str = "", author: str = "U1", **more: object
) -> Inbound:
    return Inbound(
        address=address,
        event_id=str(more.pop("event_id", f"Ev{address.thread}{number}")),
        message_id=f"{number}.0",
        position=number,
        author=author,
        author_name=f"name of {author}",
        text=text or f"question {number}",
        **more,  # type: ignore[arg-type]
    )


async def claim_one(queue: Queue) -> Claim:
    [claim] = await queue.claim(10, ALL)
    return claim


async def next_turn(queue: Queue, claim: Claim) -> Turn | None:
    work = await queue.next_turn(claim)
    return work.turn if work is not None else None


async def finish(queue: Queue, claim: Claim, turn: Turn, *, as_: TurnState = TurnState.DONE, **more: str) -> None:
    verdict = Verdict(as_, more.pop("outcome", "done"), **more)  # type: ignore[arg-type]
    await queue.record_verdict(claim, turn.id, verdict)
    await queue.record_end(claim, turn.id, as_)


async def test_a_message_delivered_again_is_stored_once(arrivals: Arrivals, queue: Queue) -> None:
    assert await arrivals.put(inbound(1), "support")
    assert not await arrivals.put(inbound(1), "support"), "the same event"
    assert not await arrivals.put(inbound(1, event_id="another"), "support"), "another event of the same message"
    claim = await claim_one(queue)
    turn = await next_turn(queue, claim)
    assert turn is not None
    assert (turn.text, turn.author_name, claim.agent) == ("question 1", "name of U1", "support")
    await finish(queue, claim, turn)
    assert await next_turn(queue, claim) is None


async def test_many_deliveries_at_once_are_stored_once(arrivals: Arrivals, queue: Queue) -> None:
    stored = await asyncio.gather(*(arrivals.put(inbound(1, event_id=f"e{n % 3}"), "a") for n in range(12)))
    assert sum(stored) == 1


async def test_turns_of_a_thread_run_in_the_order_they_were_written(arrivals: Arrivals, queue: Queue) -> None:
    for number in (3, 1, 2):
        await arrivals.put(inbound(number), "a")
    claim = await claim_one(queue)
    seen = []
    while (turn := await next_turn(queue, claim)) is not None:
        seen.append(turn.position)
        await finish(queue, claim, turn)
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


async def test_two_replicas_never_claim_the_same_thread(arrivals: Arrivals, database: Database) -> None:
    queues = [Queue(database, f"replica-{n}") for n in range(3)]
    for number in range(20):
        await arrivals.put(inbound(number, address=Address("slack", "T", "C", str(number))), "a")
    claims = await asyncio.gather(*(queue.claim(4, ALL) for queue in queues for _ in range(4)))
    threads = [claim.thread for some in claims for claim in some]
    assert len(threads) == len(set(threads)) == 20


async def test_a_turn_that_arrives_while_its_thread_is_released_is_not_stranded(
    arrivals: Arrivals, database: Database
) -> None:
    queues = [Queue(database, f"replica-{n}") for n in range(2)]
    for number in range(1, 30):
        await arrivals.put(inbound(number), "a")
        claim = await claim_one(queues[0])
        turn = await next_turn(queues[0], claim)
        assert turn is not None
        await finish(queues[0], claim, turn)
        arrived, released = await asyncio.gather(
            arrivals.put(inbound(1000 + number), "a"), next_turn(queues[0], claim)
        )
        assert arrived
        if released is None:
            claim = await claim_one(queues[0])
            released = await next_turn(queues[0], claim)
        assert released is not None
        assert released.position == 1000 + number
        await finish(queues[0], claim, released)
        assert await next_turn(queues[0], claim) is None


async def test_the_database_refuses_a_second_active_turn(
    arrivals: Arrivals, queue: Queue, database: Database
) -> None:
    await arrivals.put(inbound(1), "a")
    await arrivals.put(inbound(2), "a")
    claim = await claim_one(queue)
    await next_turn(queue, claim)
    with pytest.raises(sa.exc.IntegrityError):
        async with database.transaction() as session:
            await session.exec(sa.update(Turn).values(state=TurnState.ASKING))


async def test_a_replica_that_lost_its_thread_can_write_nothing(arrivals: Arrivals, database: Database) -> None:
    frozen, healthy = Queue(database, "frozen"), Queue(database, "healthy")
    await arrivals.put(inbound(1), "a")
    old = await claim_one(frozen)
    turn = await next_turn(frozen, old)
    assert turn is not None
    await frozen.record_checkpoint(old, turn.id, Checkpoint("conv", {"step": 1}))

    assert await healthy.reclaim([], LEASE) == 1, "the frozen replica has no heartbeat"
    new = await claim_one(healthy)
    work = await healthy.next_turn(new)
    assert work is not None
    assert work.turn.checkpoint == {"conversation": "conv", "data": {"step": 1}}
    assert work.turn.attempts == 2
    assert work.conversation == "conv"
    for write in (
        frozen.record_checkpoint(old, turn.id, Checkpoint("other", {})),
        frozen.record_verdict(old, turn.id, Verdict(TurnState.DONE, "done")),
        frozen.record_end(old, turn.id, TurnState.DONE),
        frozen.record_part(old, turn.id, "0", message_id="m"),
        frozen.next_turn(old),
    ):
        with pytest.raises(Fenced):
            await write
    again = await healthy.next_turn(new)
    assert again is not None
    assert again.conversation == "conv"


async def test_threads_of_a_living_replica_are_left_alone(arrivals: Arrivals, database: Database) -> None:
    mine, other = Queue(database, "mine"), Queue(database, "other")
    await arrivals.put(inbound(1), "a")
    await mine.heartbeat()
    claim = await claim_one(mine)
    assert await other.reclaim([], LEASE) == 0
    assert await mine.reclaim([claim.thread], LEASE) == 0
    assert await mine.reclaim([], LEASE) == 1, "a claim that is not held any more"
    async with database.transaction() as session:
        stale = await session.get_one(Replica, "mine")
        stale.heartbeat_at = now() - 2 * LEASE
    assert len(await mine.claim(10, ALL)) == 1
    assert await other.reclaim([], LEASE) == 1


async def test_a_released_thread_goes_on_where_it_stood(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn = await next_turn(queue, claim)
    assert turn is not None
    await queue.record_checkpoint(claim, turn.id, Checkpoint("c", {"request": "r"}))
    await queue.release([claim])
    again = await claim_one(queue)
    resumed = await next_turn(queue, again)
    assert resumed is not None
    assert (resumed.id, resumed.state, resumed.checkpoint) == (
        turn.id,
        TurnState.ASKING,
        {"conversation": "c", "data": {"request": "r"}},
    )


async def test_what_a_person_writes_next_answers_the_question(
    arrivals: Arrivals, queue: Queue, database: Database
) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    asked = await next_turn(queue, claim)
    assert asked is not None
    await queue.record_checkpoint(claim, asked.id, Checkpoint("c", {"phase": "waiting"}))
    await finish(queue, claim, asked, as_=TurnState.WAITING, outcome="question", answer="which one?")
    assert await next_turn(queue, claim) is None, "a waiting thread is idle"

    await arrivals.put(inbound(2, text="the blue one"), "a")
    claim = await claim_one(queue)
    answer = await next_turn(queue, claim)
    assert answer is not None
    assert answer.checkpoint == {"conversation": "c", "data": {"phase": "waiting"}}
    before = await Ledger(database).turn(asked.id)
    assert before is not None
    assert before.turn.state == TurnState.DONE


async def test_an_uncertain_turn_is_sent_again_once(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1, files=(RemoteFile("F1", "a.txt", "text/plain", 3, "https://x"),)), "a")
    claim = await claim_one(queue)
    turn = await next_turn(queue, claim)
    assert turn is not None
    await finish(queue, claim, turn, as_=TurnState.WAITING, outcome="Uncertain")
    assert await next_turn(queue, claim) is None

    elsewhere = Address("slack", "T1", "C1", "999.0")
    assert not await arrivals.ask_again(turn.id, send=True, thread=elsewhere), "another thread's button"
    pressed = await asyncio.gather(*(arrivals.ask_again(turn.id, send=True, thread=HERE) for _ in range(4)))
    assert sum(pressed) == 1
    claim = await claim_one(queue)
    again = await next_turn(queue, claim)
    assert again is not None
    assert (again.text, again.attachments, again.checkpoint) == (turn.text, turn.attachments, None)
    assert again.id != turn.id
    await finish(queue, claim, again)
    assert await next_turn(queue, claim) is None


async def test_an_uncertain_turn_is_left_behind_by_the_next_message(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn = await next_turn(queue, claim)
    assert turn is not None
    await finish(queue, claim, turn, as_=TurnState.WAITING, outcome="Uncertain")
    await arrivals.put(inbound(2), "a")
    following = await next_turn(queue, claim)
    assert following is not None
    assert following.checkpoint is None
    assert not await arrivals.ask_again(turn.id, send=True, thread=HERE)


async def test_edits_and_deletions_count_until_the_turn_is_asked(arrivals: Arrivals, queue: Queue) -> None:
    for number in (1, 2, 3):
        await arrivals.put(inbound(number), "a")
    claim = await claim_one(queue)
    running = await next_turn(queue, claim)
    assert running is not None
    assert not await arrivals.change_text(HERE, "1.0", "too late")
    assert not await arrivals.withdraw(HERE, "1.0")
    assert await arrivals.change_text(HERE, "2.0", "better words")
    assert await arrivals.withdraw(HERE, "3.0")
    await finish(queue, claim, running)
    second = await next_turn(queue, claim)
    assert second is not None
    assert second.text == "better words"
    await finish(queue, claim, second)
    assert await next_turn(queue, claim) is None


async def test_a_part_is_written_down_bit_by_bit(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn = await next_turn(queue, claim)
    assert turn is not None

    async def look() -> Work:
        work = await queue.next_turn(claim)
        assert work is not None
        return work

    await queue.record_part(claim, turn.id, "0")
    work = await look()
    assert work.parts["0"].message_id is None
    assert work.posted == set()
    await queue.record_part(claim, turn.id, "0", message_id="m1")
    await queue.record_part(claim, turn.id, "0", ends=10, digest="d")
    work = await look()
    part = work.parts["0"]
    assert (part.message_id, part.ends, part.digest) == ("m1", 10, "d")
    await finish(queue, claim, turn)
    await arrivals.put(inbound(2, author="U2"), "a")
    following = await look()
    assert following.parts == {}, "they are another turn's"
    assert following.posted == {"m1"}
    assert following.people == 2
    await queue.forget_part(claim, turn.id, "0")
    assert (await look()).posted == set()


async def test_the_verdict_holds_all_that_delivery_needs(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn = await next_turn(queue, claim)
    assert turn is not None
    table = {"columns": ["a"], "rows": [[1], [None]], "truncated": False}
    made = Made(turn_id=turn.id, index=0, kind="table", name="t", media_type="text/csv", ref="", table=table)
    verdict = Verdict(TurnState.DONE, "done", answer="zero \0 byte", made=(made,))
    await queue.record_verdict(claim, turn.id, verdict)
    await queue.release([claim])
    claim = await claim_one(queue)
    resumed = await next_turn(queue, claim)
    assert resumed is not None
    assert (resumed.state, resumed.answer, resumed.ends_as) == (TurnState.REPLYING, "zero  byte", TurnState.DONE)
    assert [row.table for row in await queue.made(turn.id)] == [table]


async def test_earlier_exchanges_come_oldest_first_and_bounded(arrivals: Arrivals, queue: Queue) -> None:
    for number in (1, 2, 3):
        await arrivals.put(inbound(number, author=f"U{number % 2}"), "a")
    claim = await claim_one(queue)
    while (turn := await next_turn(queue, claim)) is not None:
        await finish(queue, claim, turn, answer=f"answer {turn.position}")
    assert [(one.question, one.answer) for one in await queue.exchanges(claim.thread, 2)] == [
        ("question 2", "answer 2"),
        ("question 3", "answer 3"),
    ]


async def test_a_thread_is_known_once_the_agent_was_called_into_it(arrivals: Arrivals, queue: Queue) -> None:
    assert not await arrivals.knows(HERE)
    await arrivals.put(inbound(1), "a")
    assert await arrivals.knows(HERE)
    assert not await arrivals.knows(Address("slack", "T1", "C1", "101.0"))
    claim = await claim_one(queue)
    assert await arrivals.active_turn(HERE) is None
    turn = await next_turn(queue, claim)
    assert turn is not None
    assert await arrivals.active_turn(HERE) == turn.id


def test_the_states_are_what_operators_script_against() -> None:
    assert [state.value for state in TurnState] == [
        "received", "asking", "replying", "waiting", "done", "failed", "cancelled",
    ]  # fmt: skip
    assert [state.value for state in ThreadState] == ["idle", "ready", "running"]


async def test_whoever_is_cancelled_leaves_no_lock_behind(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    for turns_of_the_loop in range(0, 60, 3):
        task = asyncio.create_task(queue.next_turn(claim))
        for _ in range(turns_of_the_loop):
            await asyncio.sleep(0.0001)
        task.cancel()
        await asyncio.wait([task])
        async with asyncio.timeout(5):
            assert await arrivals.knows(HERE)


@pytest.mark.parametrize(
    ("outcome", "goes_on"), [("TimedOut", True), ("Unavailable", True), ("Rejected", False), ("Uncertain", False)]
)
async def test_trying_again_goes_on_where_the_agent_may_have_the_question(
    arrivals: Arrivals, queue: Queue, outcome: str, goes_on: bool
) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    turn = await next_turn(queue, claim)
    assert turn is not None
    await queue.record_checkpoint(claim, turn.id, Checkpoint("c", {"request": "r1"}))
    await finish(queue, claim, turn, as_=TurnState.FAILED, outcome=outcome)
    assert await arrivals.ask_again(turn.id, send=True, thread=HERE)
    again = await next_turn(queue, claim)
    assert again is not None
    assert again.checkpoint == ({"conversation": "c", "data": {"request": "r1"}} if goes_on else None)


@pytest.mark.parametrize("change", ["edited", "deleted"])
async def test_a_question_changed_while_it_is_taken_up_is_asked_in_the_old_words_or_the_new(
    arrivals: Arrivals, database: Database, change: str
) -> None:
    """What the platform was told and what is asked never differ."""
    reading, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Queue):
        async def _settle_waiting(self, session: AsyncSession, turn: Turn) -> None:
            reading.set()
            await go_on.wait()
            await super()._settle_waiting(session, turn)

    slow = Slow(database, "replica-1")
    await arrivals.put(inbound(1, text="old"), "a")
    claim = await claim_one(slow)
    taking = asyncio.create_task(next_turn(slow, claim))
    await reading.wait()
    changing = asyncio.create_task(
        arrivals.change_text(HERE, "1.0", "new") if change == "edited" else arrivals.withdraw(HERE, "1.0")
    )
    await asyncio.wait([changing], timeout=0.2)
    go_on.set()
    turn, changed = await taking, await changing
    assert turn is not None
    record = await Ledger(database).turn(turn.id)
    assert record is not None
    if changed:
        assert (turn.text, record.turn.text) == ("new", "new")
    else:
        assert (turn.text, record.turn.text, record.turn.state) == ("old", "old", "asking")


async def test_trying_again_does_not_answer_a_question_of_another_turn(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1, text="first"), "a")
    await arrivals.put(inbound(2, text="second"), "a")
    claim = await claim_one(queue)
    first = await next_turn(queue, claim)
    assert first is not None
    await finish(queue, claim, first, as_=TurnState.FAILED, outcome="Rejected")
    second = await next_turn(queue, claim)
    assert second is not None
    await queue.record_checkpoint(claim, second.id, Checkpoint("c", {"run": "r2"}))
    await finish(queue, claim, second, as_=TurnState.WAITING, outcome="question")
    assert await arrivals.ask_again(first.id, send=True, thread=HERE)
    again = await next_turn(queue, claim)
    assert again is not None
    assert (again.text, again.checkpoint) == ("first", None)
    await finish(queue, claim, again)
    await arrivals.put(inbound(3, text="the answer"), "a")
    answer = await next_turn(queue, claim)
    assert answer is not None
    assert answer.checkpoint == {"conversation": "c", "data": {"run": "r2"}}


async def test_a_stop_is_found_by_the_replica_that_works(arrivals: Arrivals, database: Database) -> None:
    mine, other = Queue(database, "mine"), Queue(database, "other")
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(mine)
    turn = await next_turn(mine, claim)
    assert turn is not None
    assert await mine.stopped() == []
    await arrivals.record_stop(turn.id)
    assert await mine.stopped() == [turn.id]
    assert await other.stopped() == []
