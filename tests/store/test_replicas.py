"""Several replicas on one database: none takes what is another's, none writes what it has lost, nothing is stranded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from adapters.base import Checkpoint
from bridge.lifecycle import Event, Outcome, TurnState
from bridge.store import statements
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database
from bridge.store.engine import Engine, Fenced
from bridge.store.queue import Queue
from bridge.store.values import Claim, Conclusion, InputRequestShown, StoredTurn
from tests.store.steps import ALL, HERE, begin_next, claim_one, end, inbound, next_turn, part, thread, work_off

ROUNDS = 40


@pytest.fixture
async def other_engine(database: Database) -> AsyncIterator[Engine]:
    async with database.prepared("replica-2") as engine:
        yield engine


@pytest.fixture
def other(other_engine: Engine) -> Queue:
    return Queue(other_engine, "replica-2")


async def test_no_two_replicas_claim_the_same_thread(arrivals: Arrivals, queue: Queue, other: Queue) -> None:
    for number in range(30):
        await arrivals.put(inbound(1, address=thread(number)), "a")
    claims = await asyncio.gather(*(one.claim(4, ALL) for one in (queue, other) for _ in range(6)))
    threads = [claim.thread for some in claims for claim in some]
    assert len(threads) == len(set(threads)) == 30


Write = Callable[[Queue, Claim, StoredTurn], Awaitable[object]]
WRITES: dict[str, Write] = {
    "look": lambda queue, claim, turn: queue.look(claim),
    "settle": lambda queue, claim, turn: queue.settle(claim),
    "still_ours": lambda queue, claim, turn: queue.still_ours(claim),
    "begin": lambda queue, claim, turn: queue.begin(claim, turn, None),
    "record_checkpoint": lambda queue, claim, turn: queue.record_checkpoint(
        claim, turn.id, Checkpoint("other", {}), [part()], progress=True
    ),
    "record_parts": lambda queue, claim, turn: queue.record_parts(claim, turn.id, [part()]),
    "forget_part": lambda queue, claim, turn: queue.forget_part(claim, turn.id, "p", 5),
    "conclude": lambda queue, claim, turn: queue.conclude(
        claim, turn.id, Conclusion(Outcome.ANSWERED, "x"), [part()]
    ),
    "end": lambda queue, claim, turn: queue.end(claim, turn.id, Event.DELIVERED, Outcome.ANSWERED, [part()]),
}
# These name a claim and pass over one that was lost.
UNFENCED = {"release", "ask_recheck", "rechecked"}


def test_every_method_that_names_a_claim_is_here() -> None:
    named = {
        name
        for name, method in vars(Queue).items()
        if not name.startswith("_") and "claim" in getattr(method, "__annotations__", {})
    }
    assert named | {"release"} == set(WRITES) | UNFENCED


@pytest.mark.parametrize("write", WRITES)
async def test_a_replica_that_lost_its_thread_can_write_nothing(
    arrivals: Arrivals, queue: Queue, other: Queue, write: str
) -> None:
    """Neither after it was freed nor once another one, or itself, has claimed it anew."""
    await arrivals.put(inbound(1), "a")
    old = await claim_one(queue)
    snapshot = await next_turn(queue, old)
    await queue.begin(old, snapshot, Checkpoint("conv", {"step": 1}))
    await queue.record_parts(old, snapshot.id, [part(5, "m5")])
    assert await other.reclaim("replica-1") == 1

    async def refused() -> None:
        with pytest.raises(Fenced):
            await WRITES[write](queue, old, snapshot)

    await refused()
    new = await claim_one(other)
    assert new.token == old.token + 1
    await refused()
    await other.reclaim("replica-2")
    own = await claim_one(queue)
    assert own.token == new.token + 1
    await refused()
    outlook = await queue.look(own)
    assert outlook.conversation == "conv"
    assert outlook.turn is not None
    assert (outlook.turn.state, outlook.turn.checkpoint) == (TurnState.ASKING, Checkpoint("conv", {"step": 1}))
    assert await queue.parts(snapshot.id) == [part(5, "m5")]


async def test_giving_back_what_was_lost_takes_nothing_from_the_new_owner(
    arrivals: Arrivals, queue: Queue, other: Queue
) -> None:
    await arrivals.put(inbound(1), "a")
    old = await claim_one(queue)
    await other.reclaim("replica-1")
    new = await claim_one(other)
    await queue.release([old])
    await queue.rechecked(old, "t")
    await other.still_ours(new)
    assert await other.claim(10, ALL) == []


async def test_threads_of_a_living_replica_are_left_alone(arrivals: Arrivals, queue: Queue, other: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    claim = await claim_one(queue)
    assert await other.reclaim("somebody else") == 0
    assert await other.free_unheld({}) == 0
    assert await queue.free_unheld({claim.thread: claim.token}) == 0
    assert await other.owners() == ["replica-1"]
    assert await queue.free_unheld({claim.thread: claim.token - 1}) == 1, "an older claim of it isn't this one"


async def test_more_threads_than_one_statement_takes_are_reclaimed(
    arrivals: Arrivals, queue: Queue, other: Queue
) -> None:
    count = statements.RECLAIMED_AT_ONCE + 3
    await asyncio.gather(*(arrivals.put(inbound(1, address=thread(n)), "a") for n in range(count)))
    assert len(await queue.claim(count, ALL)) == count
    assert await other.reclaim("replica-1") == count


async def test_who_serves_alone_takes_everything_back(arrivals: Arrivals, queue: Queue, other: Queue) -> None:
    for number in (1, 2):
        await arrivals.put(inbound(1, address=thread(number)), "a")
        await claim_one(queue)
    assert await other.free_all() == 2
    assert len(await other.claim(10, ALL)) == 2


# --- what a lost claim may have overwritten ---------------------------------------------------------------------


async def test_a_reply_that_may_be_overwritten_wakes_an_idle_thread(
    arrivals: Arrivals, queue: Queue, other: Queue
) -> None:
    await arrivals.put(inbound(1), "a")
    old = await claim_one(queue)
    turn = await begin_next(queue, old)
    await other.reclaim("replica-1")
    new = await claim_one(other)
    assert await end(other, new, turn) is None
    await queue.ask_recheck(old, turn.id)
    claim = await claim_one(other)
    outlook = await other.look(claim)
    assert (outlook.turn, outlook.recheck) == (None, turn.id)
    await other.rechecked(claim, turn.id)
    assert await other.settle(claim)


async def test_a_recheck_that_is_asked_for_while_the_turn_runs_is_done_after_it(
    arrivals: Arrivals, queue: Queue, other: Queue
) -> None:
    """The thread isn't given back before."""
    await arrivals.put(inbound(1), "a")
    old = await claim_one(queue)
    turn = await begin_next(queue, old)
    await other.reclaim("replica-1")
    new = await claim_one(other)
    await queue.ask_recheck(old, turn.id)
    outlook = await end(other, new, turn)
    assert outlook is not None
    assert (outlook.turn, outlook.recheck) == (None, turn.id)
    assert not await other.settle(new), "not yet"
    await other.rechecked(new, turn.id)
    assert await other.settle(new)


# --- nothing is stranded ------------------------------------------------------------------------------------------


async def next_claim(*queues: Queue) -> tuple[Queue, Claim]:
    for queue in queues:
        for claim in await queue.claim(1, ALL):
            return queue, claim
    raise AssertionError("a turn is stranded: its thread can't be claimed")


async def test_a_turn_that_arrives_while_its_thread_is_given_back_is_not_stranded(
    arrivals: Arrivals, queue: Queue, other: Queue, other_engine: Engine
) -> None:
    elsewhere = Arrivals(other_engine)
    await arrivals.put(inbound(1), "a")
    owner, claim = await next_claim(queue)
    for number in range(1, ROUNDS):
        turn = await begin_next(owner, claim)
        assert turn.position == number
        await owner.conclude(claim, turn.id, Conclusion(Outcome.ANSWERED))
        ended, stored = await asyncio.gather(
            owner.end(claim, turn.id, Event.DELIVERED, Outcome.ANSWERED),
            (elsewhere if number % 2 else arrivals).put(inbound(number + 1), "a"),
        )
        assert stored
        if ended is None:
            owner, claim = await next_claim(queue, other)


async def test_a_turn_that_arrives_while_an_idle_thread_settles_is_not_stranded(
    arrivals: Arrivals, queue: Queue, other: Queue, other_engine: Engine
) -> None:
    elsewhere = Arrivals(other_engine)
    for number in range(1, ROUNDS):
        await arrivals.put(inbound(2 * number), "a")
        owner, claim = await next_claim(queue, other)
        await arrivals.withdraw(HERE, f"100.0-{2 * number}")
        settled, stored = await asyncio.gather(owner.settle(claim), elsewhere.put(inbound(2 * number + 1), "a"))
        assert stored
        if settled:
            owner, claim = await next_claim(queue, other)
        _, outlook = await work_off(owner, claim)
        assert outlook is None


# --- a step whose answer was lost is repeated -----------------------------------------------------------------------

Setup = Callable[[Queue, Claim, StoredTurn], Awaitable[None]]


async def nothing(queue: Queue, claim: Claim, turn: StoredTurn) -> None:
    return


async def begun(queue: Queue, claim: Claim, turn: StoredTurn) -> None:
    await queue.begin(claim, turn, Checkpoint("c", {"step": 1}))


async def concluded(queue: Queue, claim: Claim, turn: StoredTurn) -> None:
    await begun(queue, claim, turn)
    await queue.conclude(claim, turn.id, Conclusion(Outcome.ANSWERED, "x"), [part()])


REQUEST = Conclusion(Outcome.INPUT_REQUEST, "x", InputRequestShown("which?", ("a",)))
STEPS: dict[str, tuple[Setup, Write]] = {
    "begin": (nothing, lambda queue, claim, turn: queue.begin(claim, turn, Checkpoint("c", {"step": 1}))),
    "record_checkpoint": (
        begun,
        lambda queue, claim, turn: queue.record_checkpoint(
            claim, turn.id, Checkpoint("c", {"step": 2}), [part()], progress=True
        ),
    ),
    "record_parts": (
        begun,
        lambda queue, claim, turn: queue.record_parts(claim, turn.id, [part(), part(1, "m2")]),
    ),
    "forget_part": (concluded, lambda queue, claim, turn: queue.forget_part(claim, turn.id, "p", 0)),
    "conclude": (begun, lambda queue, claim, turn: queue.conclude(claim, turn.id, REQUEST, [part()])),
    "ask_recheck": (begun, lambda queue, claim, turn: queue.ask_recheck(claim, turn.id)),
    "rechecked": (begun, lambda queue, claim, turn: queue.rechecked(claim, turn.id)),
    "release": (begun, lambda queue, claim, turn: queue.release([claim])),
}


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_that_is_done_twice_comes_to_the_same(
    arrivals: Arrivals, queue: Queue, database: Database, step: str
) -> None:
    before, write = STEPS[step]

    async def life(number: int, times: int) -> tuple[object, ...]:
        address = thread(number)
        await arrivals.put(inbound(1, address=address), "a")
        claim = await claim_one(queue)
        turn = await next_turn(queue, claim)
        await before(queue, claim, turn)
        for _ in range(times):
            await write(queue, claim, turn)
        stored = await queue.turn(turn.id)
        assert stored is not None
        parts = await queue.parts(turn.id)
        again = await queue.claim(1, ALL)
        return (
            stored.state, stored.checkpoint, stored.answer, stored.request, stored.outcome, parts,
            [claim.attempts for claim in again],
        )  # fmt: skip

    assert await life(1, 1) == await life(2, 2)


async def test_an_end_that_is_done_twice_is_one_end(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1), "a")
    await arrivals.put(inbound(2), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim)
    await queue.conclude(claim, turn.id, Conclusion(Outcome.ANSWERED))
    once = await queue.end(claim, turn.id, Event.DELIVERED, Outcome.ANSWERED)
    assert await queue.end(claim, turn.id, Event.DELIVERED, Outcome.ANSWERED) == once
    turn = await begin_next(queue, claim)
    await queue.conclude(claim, turn.id, Conclusion(Outcome.ANSWERED))
    assert await queue.end(claim, turn.id, Event.DELIVERED, Outcome.ANSWERED) is None
    with pytest.raises(Fenced):  # it was given back: who repeats this has nothing more to do here
        await queue.end(claim, turn.id, Event.DELIVERED, Outcome.ANSWERED)
    assert await queue.claim(10, ALL) == []
