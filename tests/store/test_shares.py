"""A fair share and budgets: exact with several replicas, on both databases."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import psycopg
import pytest

from bridge.lifecycle import Outcome
from bridge.store import budgets
from bridge.store.arrivals import Arrivals
from bridge.store.budgets import OverBudget, Quota
from bridge.store.database import Database, database_url
from bridge.store.decisions import Decided, Decisions
from bridge.store.engine import Engine, Op
from bridge.store.queue import Queue
from bridge.store.seats import fill_seats, give_seat
from bridge.store.statements import RECHECK
from bridge.store.tables import now
from bridge.store.values import InputRequestShown
from tests.store.steps import ALL, HERE, begin_next, end, inbound, next_turn, thread, work_off

AT_ONCE = 3


@pytest.fixture
async def other_engine(database: Database) -> AsyncIterator[Engine]:
    async with database.prepared("replica-2") as engine:
        yield engine


@pytest.fixture
def arrivals(engine: Engine) -> Arrivals:
    return Arrivals(engine, at_once=AT_ONCE)


@pytest.fixture
def decisions(engine: Engine) -> Decisions:
    return Decisions(engine, at_once=AT_ONCE)


@pytest.fixture
def queue(engine: Engine) -> Queue:
    return Queue(engine, "replica-1", at_once=AT_ONCE)


@pytest.fixture
def other(other_engine: Engine) -> Queue:
    return Queue(other_engine, "replica-2", at_once=AT_ONCE)


async def asks(arrivals: Arrivals, author: str, threads: range) -> None:
    for number in threads:
        await arrivals.put(inbound(1, address=thread(number), author=author), "a")


class TestSeats:
    async def test_the_rest_of_a_persons_threads_waits(self, arrivals: Arrivals, queue: Queue) -> None:
        await asks(arrivals, "U1", range(50))
        await asks(arrivals, "U2", range(50, 51))
        claims = await queue.claim(100, ALL)
        assert Counter(claim.seat for claim in claims) == {"U1": AT_ONCE, "U2": 1}
        assert await queue.claim(100, ALL) == []

    async def test_who_waits_longest_gets_the_seat_that_is_given_up(
        self, arrivals: Arrivals, queue: Queue
    ) -> None:
        await asks(arrivals, "U1", range(6))
        told: list[None] = []
        queue.on_seated = lambda: told.append(None)
        first, *_ = await queue.claim(100, ALL)
        assert await work_off(queue, first)
        assert len(told) == 1
        [next_one] = await queue.claim(100, ALL)
        assert next_one.address == thread(3)

    async def test_a_thread_that_waits_for_a_person_has_no_seat(
        self, arrivals: Arrivals, decisions: Decisions, queue: Queue
    ) -> None:
        await asks(arrivals, "U1", range(AT_ONCE + 1))
        claim, *_ = await queue.claim(100, ALL)
        request = InputRequestShown("which?", ("a",))
        turn = await begin_next(queue, claim)
        await end(queue, claim, turn, Outcome.INPUT_REQUEST, request=request, shown_at=5)
        assert len(await queue.claim(100, ALL)) == 1
        # Answered, it needs one again.
        assert await decisions.choose(claim.address, turn.id, 0, turn.person) is Decided.CHOSEN
        assert await queue.claim(100, ALL) == []

    async def test_a_person_who_goes_on_in_a_thread_keeps_the_seat(self, arrivals: Arrivals, queue: Queue) -> None:
        await asks(arrivals, "U1", range(AT_ONCE + 1))
        await arrivals.put(inbound(2, address=thread(0), author="U1"), "a")
        claim, *_ = await queue.claim(100, ALL)
        _, outlook = await work_off(queue, claim)
        assert outlook is not None
        assert await queue.claim(100, ALL) == []

    async def test_another_persons_turn_in_the_thread_needs_that_persons_seat(
        self, arrivals: Arrivals, queue: Queue
    ) -> None:
        await asks(arrivals, "U1", range(AT_ONCE))
        await arrivals.put(inbound(1, address=HERE, author="U2"), "a")
        await arrivals.put(inbound(2, address=HERE, author="U1"), "a")
        claims = await queue.claim(100, ALL)
        here = next(claim for claim in claims if claim.address == HERE)
        _, outlook = await work_off(queue, here)
        assert outlook is None
        assert await queue.claim(100, ALL) == [], "U1 has enough at work"
        await work_off(queue, next(claim for claim in claims if claim.address == thread(0)))
        [claim] = await queue.claim(100, ALL)
        assert (claim.address, claim.seat) == (HERE, "U1")

    async def test_a_turn_that_comes_before_another_persons_is_not_run_on_that_ones_seat(
        self, arrivals: Arrivals, queue: Queue
    ) -> None:
        await asks(arrivals, "U2", range(AT_ONCE))
        await arrivals.put(inbound(7, author="U1"), "a")
        await arrivals.put(inbound(5, author="U2"), "a")  # later, and written before
        claims = await queue.claim(100, ALL)
        here = next(claim for claim in claims if claim.address == HERE)
        assert here.seat == "U1"
        assert (await next_turn(queue, here)).person.id == "U2"
        assert await queue.settle(here), "it is given back"
        assert await queue.claim(100, ALL) == []
        await work_off(queue, claims[0])
        [claim] = await queue.claim(100, ALL)
        assert (claim.address, claim.seat) == (HERE, "U2")

    async def test_a_thread_that_is_only_looked_at_again_needs_none(
        self, arrivals: Arrivals, queue: Queue, engine: Engine
    ) -> None:
        await arrivals.put(inbound(1), "a")
        [claim] = await queue.claim(1, ALL)
        turn, _ = await work_off(queue, claim)
        await engine.run(Op(RECHECK, {"thread_id": claim.thread, "turn_id": turn.id, "at": 1}))
        [again] = await queue.claim(1, ALL)
        assert again.seat is None
        await arrivals.put(inbound(2), "a")
        await queue.rechecked(again, turn.id)
        assert await queue.settle(again)
        [seated] = await queue.claim(1, ALL)
        assert seated.seat == "U1"

    async def test_what_nobody_gave_a_seat_is_found(
        self, engine: Engine, arrivals: Arrivals, queue: Queue
    ) -> None:
        """After a crash between two units of work, and where the settings give more seats than before."""
        await asks(arrivals, "U1", range(10))
        more = Queue(engine, "replica-1", at_once=5)
        await more.fill_seats()
        assert len(await more.claim(100, ALL)) == 5
        await more.fill_seats()
        assert await more.claim(100, ALL) == []

    async def test_a_seat_that_a_dead_replica_held_is_taken_over_with_its_thread(
        self, arrivals: Arrivals, queue: Queue, other: Queue
    ) -> None:
        await asks(arrivals, "U1", range(5))
        await other.claim(2, ALL)
        await queue.reclaim("replica-2")
        assert len(await queue.claim(100, ALL)) == AT_ONCE

    async def test_two_replicas_never_give_more_seats_than_there_are(
        self, engine: Engine, other_engine: Engine, queue: Queue, other: Queue
    ) -> None:
        """They give seats and end turns at the same time, with one person in all of it."""
        total, ended = 60, 0
        await asks(Arrivals(engine, at_once=0), "U1", range(total))  # all of them wait
        while ended < total:
            await asyncio.gather(
                *(fill_seats(one, "U1", AT_ONCE) for one in (engine, other_engine) for _ in range(6))
            )
            held = [
                (one, claim)
                for one, most in ((queue, 1), (other, 1), (queue, 100))
                for claim in await one.claim(most, ALL)
            ]
            assert len(held) == min(AT_ONCE, total - ended)
            turns = [await begin_next(one, claim) for one, claim in held]
            await asyncio.gather(
                *(end(one, claim, turn) for (one, claim), turn in zip(held, turns, strict=True)),
                *(fill_seats(one, "U1", AT_ONCE) for one in (engine, other_engine)),
            )
            ended += len(held)


WAITS = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND NOT granted"


async def test_who_gives_a_seat_waits_for_the_replica_that_is_about_to(postgres_url: str) -> None:
    """The last seat is given in a transaction that is still open: another replica can't see that yet."""
    database = Database(database_url(postgres_url))
    async with (
        database.prepared("replica-1") as engine,
        await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as watcher,
        await psycopg.AsyncConnection.connect(postgres_url) as first,
    ):
        await asks(Arrivals(engine, at_once=0), "U1", range(10))
        await fill_seats(engine, "U1", AT_ONCE - 1)
        for op in give_seat(engine, "U1", AT_ONCE):
            await first.execute(*op.prepared("postgresql"))
        second = asyncio.create_task(fill_seats(engine, "U1", AT_ONCE))

        async def settled() -> bool:
            return second.done() or await (await watcher.execute(WAITS)).fetchone() is not None

        while not await settled():  # noqa: ASYNC110  # a lock that is waited for has no event
            await asyncio.sleep(0.005)
        await first.commit()
        assert await second == 0
        assert len(await Queue(engine, "replica-1").claim(100, ALL)) == AT_ONCE
    await database.close()


PERSON = Quota("person", "slack:U1", 3)


class TestBudgets:
    async def test_so_many_turns_and_no_more(self, arrivals: Arrivals, queue: Queue) -> None:
        for number in range(3):
            assert await arrivals.put(inbound(1, address=thread(number)), "a", quotas=[PERSON])
        with pytest.raises(OverBudget) as refused:
            await arrivals.put(inbound(1, address=thread(4)), "a", quotas=[PERSON])
        assert refused.value.quota == PERSON
        assert 3500 < refused.value.seconds <= 3600
        assert not await arrivals.knows(thread(4)), "nothing was stored of it"
        assert await arrivals.put(inbound(1, address=thread(5)), "a", quotas=[Quota("person", "slack:U2", 3)])

    async def test_a_turn_that_is_known_costs_nothing(self, arrivals: Arrivals) -> None:
        for _ in range(5):
            await arrivals.put(inbound(1), "a", quotas=[PERSON])
        for number in (2, 3):
            assert await arrivals.put(inbound(number), "a", quotas=[PERSON])
        assert await arrivals.put(inbound(3), "a", quotas=[PERSON]) is False, "known, though nothing is left"

    async def test_an_hour_later_there_is_as_much_again(
        self, arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(3):
            await arrivals.put(inbound(number), "a", quotas=[PERSON])
        later = now() + budgets.HOUR
        monkeypatch.setattr(budgets, "now", lambda: later)
        for number in range(3, 6):
            assert await arrivals.put(inbound(number), "a", quotas=[PERSON])
        with pytest.raises(OverBudget):
            await arrivals.put(inbound(6), "a", quotas=[PERSON])

    async def test_what_one_quota_refuses_costs_the_others_nothing(self, arrivals: Arrivals) -> None:
        agent = Quota("agent", "a", 1)
        assert await arrivals.put(inbound(1), "a", quotas=[PERSON, agent])
        for number in range(2, 9):
            with pytest.raises(OverBudget) as refused:
                await arrivals.put(inbound(number), "a", quotas=[PERSON, agent])
            assert refused.value.quota == agent
        for number in (10, 11):
            assert await arrivals.put(inbound(number), "b", quotas=[PERSON])

    async def test_a_press_that_makes_a_turn_costs_one(
        self, arrivals: Arrivals, decisions: Decisions, queue: Queue
    ) -> None:
        one = [Quota("person", "slack:U1", 1)]
        await arrivals.put(inbound(1), "a", quotas=one)
        [claim] = await queue.claim(1, ALL)
        turn = await begin_next(queue, claim)
        request = InputRequestShown("which?", ("a", "b"))
        await end(queue, claim, turn, Outcome.INPUT_REQUEST, request=request, shown_at=5)
        with pytest.raises(OverBudget):
            await decisions.choose(HERE, turn.id, 0, turn.person, quotas=one)
        two = [Quota("person", "slack:U1", 2)]
        assert await decisions.choose(HERE, turn.id, 0, turn.person, quotas=two) is Decided.CHOSEN
        assert await decisions.choose(HERE, turn.id, 0, turn.person, quotas=[]) is Decided.TOO_LATE

    async def test_sending_again_costs_one(self, arrivals: Arrivals, decisions: Decisions, queue: Queue) -> None:
        one = [Quota("person", "slack:U1", 1)]
        await arrivals.put(inbound(1), "a", quotas=one)
        [claim] = await queue.claim(1, ALL)
        turn, _ = await work_off(queue, claim, Outcome.UNAVAILABLE)
        with pytest.raises(OverBudget):
            await decisions.retry(HERE, turn.id, quotas=one)
        assert await decisions.retry(HERE, turn.id) is Decided.SENT, "the press before changed nothing"

    async def test_two_replicas_never_exceed_a_budget_together(self, engine: Engine, other_engine: Engine) -> None:
        """Three quotas at once, from several people in several channels: each holds exactly."""
        replicas = [Arrivals(one) for one in (engine, other_engine)]
        agent = Quota("agent", "a", 25)

        async def ask(number: int) -> str:
            person = f"U{number % 4}"
            quotas = [Quota("person", person, 10), Quota("channel", f"C{number % 3}", 12), agent]
            try:
                await replicas[number % 2].put(
                    inbound(1, address=thread(number), author=person), "a", quotas=quotas
                )
            except OverBudget:
                return ""
            return person

        async with asyncio.timeout(60):
            stored = Counter(await asyncio.gather(*(ask(number) for number in range(120))))
        del stored[""]
        assert stored.total() == agent.allowed
        assert max(stored.values()) <= 10
