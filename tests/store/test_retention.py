"""What is kept too long is removed; nothing that is worked on or waits, and nothing is asked again for it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel, col, select

from bridge.inbound import Person
from bridge.lifecycle import Outcome, TurnState
from bridge.ops.retention import keep_of
from bridge.settings.data import DataSettings
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database, database_url
from bridge.store.engine import Engine
from bridge.store.feedback import FeedbackStore
from bridge.store.forget import Forgetting
from bridge.store.persons import Identity, belongings
from bridge.store.queue import Queue
from bridge.store.retention import BITE, NEVER, Keep, Removed, Retention
from bridge.store.tables import Artifact, Audit, Budget, Feedback, Part, Refused, Thread, Turn
from tests.store.kept import put, thread, turn
from tests.store.steps import HERE, begin_next, claim_one, end, inbound, work_off
from tests.store.steps import thread as address

DAY = timedelta(days=1)
FILES = [["F1", "name", "text/plain", 1, "https://files"]]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Pauses:
    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> None:
        self.count += 1


async def sweep(engine: Engine, keep: Keep) -> Removed:
    return await Retention(engine, keep).sweep(Pauses())


async def rows(database: Database, table: type[SQLModel]) -> int:
    async with database.transaction() as session:
        return len((await session.exec(select(table))).all())


async def age(database: Database, by: timedelta = 100 * DAY) -> None:
    """Let everything that is stored be older."""
    async with database.transaction() as session:
        for table, names in ((Turn, ("received_at", "ended_at")), (Thread, ("touched_at", "created_at"))):
            for row in (await session.exec(select(table))).all():
                for name in names:
                    if getattr(row, name) is not None and getattr(row, name).timestamp() > 0:
                        setattr(row, name, getattr(row, name) - by)
                session.add(row)


def test_the_settings_say_days() -> None:
    data = DataSettings(keep_threads_days=1, keep_turns_days=0.5, keep_files_days=2, keep_audit_days=3)
    assert keep_of(data) == Keep(DAY, DAY / 2, 2 * DAY, NEVER, 3 * DAY)
    assert keep_of(DataSettings()) == Keep()


async def test_without_a_setting_nothing_of_people_is_removed(
    database: Database, engine: Engine, arrivals: Arrivals, queue: Queue
) -> None:
    await arrivals.put(inbound(1), "a")
    await work_off(queue, await claim_one(queue))
    await age(database)
    assert not await sweep(engine, Keep())
    assert await rows(database, Turn) == 1
    assert await rows(database, Audit) == 0


async def test_turns_that_ended_are_removed_with_all_that_hangs_on_them(
    database: Database, engine: Engine, arrivals: Arrivals, queue: Queue
) -> None:
    for number in (1, 2, 3):
        await arrivals.put(inbound(number), "a")
    claim = await claim_one(queue)
    first, _ = await work_off(queue, claim)
    await work_off(queue, claim)
    at_work = await begin_next(queue, claim)
    await put(
        database,
        Part(turn_id=first.id, kind="p", index=0, message_id="m"),
        Artifact(turn_id=first.id, index=0, kind="file", name="n", media_type="t", ref="r"),
        Feedback(turn_id=first.id, person="slack:U2", agent="a", good=True, at=LONG_AGO),
    )
    await age(database, 2 * DAY)
    removed = await sweep(engine, Keep(turns=DAY))
    assert asdict(removed) == {"threads": 0, "turns": 2, "files": 0, "feedback": 0, "audit": 0}
    for table in (Part, Artifact, Feedback):
        assert await rows(database, table) == 0
    async with database.transaction() as session:
        [left] = (await session.exec(select(Turn))).all()
        assert (left.id, left.state) == (at_work.id, TurnState.ASKING)
        [line] = (await session.exec(select(Audit))).all()
        assert (line.who, line.what, line.detail) == ("bridge", "old data removed", {"turns": 2})
    assert not await arrivals.put(inbound(1), "a"), "delivered late"
    assert not await arrivals.put(inbound(2, event_id="by catch-up"), "a")
    await end(queue, claim, at_work)


async def test_of_what_is_older_than_any_delivery_nothing_is_left(
    database: Database, engine: Engine, arrivals: Arrivals, queue: Queue
) -> None:
    await arrivals.put(inbound(1), "a")
    await work_off(queue, await claim_one(queue))
    await age(database)
    assert (await sweep(engine, Keep(turns=DAY))).turns == 1
    assert await rows(database, Refused) == 0


async def test_a_turn_that_waits_for_a_person_stays_until_its_thread_goes(
    database: Database, engine: Engine, arrivals: Arrivals, queue: Queue
) -> None:
    await arrivals.put(inbound(1), "a")
    await work_off(queue, await claim_one(queue), Outcome.UNCERTAIN)
    await age(database)
    assert (await sweep(engine, Keep(turns=DAY))).turns == 0
    removed = await sweep(engine, Keep(threads=DAY))
    assert (removed.threads, removed.turns) == (1, 1)
    assert await rows(database, Thread) == 0


async def test_threads_that_nobody_touched_are_removed_and_others_are_not(
    database: Database, engine: Engine, arrivals: Arrivals, queue: Queue
) -> None:
    for number in range(1, BITE + 11):
        await arrivals.put(inbound(1, address=address(number)), "a")
    for claim in await queue.claim(BITE + 10, ("slack", "discord")):
        await work_off(queue, claim)
    await arrivals.put(inbound(1, address=replace(HERE, thread="busy")), "a")
    claim = await claim_one(queue)
    await begin_next(queue, claim)
    await age(database, 30 * DAY)
    await arrivals.put(inbound(1, address=replace(HERE, thread="new")), "a")
    pauses = Pauses()
    removed = await Retention(engine, Keep(threads=DAY)).sweep(pauses)
    assert removed.threads == BITE + 10
    assert pauses.count >= 1, "in bites"
    async with database.transaction() as session:
        assert set((await session.exec(select(Thread.thread))).all()) == {"busy", "new"}
    await queue.still_ours(claim)


async def test_a_decision_that_is_open_keeps_its_thread(database: Database, engine: Engine) -> None:
    await put(database, thread(touched_at=LONG_AGO, created_at=LONG_AGO, waiting_turn="t1"))
    await put(database, turn(1, 1, state="waiting", expires_at=LONG_AGO))
    assert (await sweep(engine, Keep(threads=DAY))).threads == 0


async def test_files_go_and_words_stay(database: Database, engine: Engine) -> None:
    await put(database, thread())
    await put(
        database,
        *(turn(number, 1, ended_at=LONG_AGO, text="words", files=FILES) for number in range(1, BITE + 4)),
        turn(100, 1, state="waiting", ended_at=LONG_AGO, files=FILES),
        Artifact(turn_id="t1", index=0, kind="file", name="n", media_type="t", ref="r"),
    )  # fmt: skip
    retention = Retention(engine, Keep(files=DAY))
    assert (await retention.sweep(Pauses())).files == BITE + 3
    assert not await retention.sweep(Pauses())
    assert await rows(database, Artifact) == 0
    async with database.transaction() as session:
        found = (await session.exec(select(Turn).where(col(Turn.files) != []))).all()
        assert [one.id for one in found] == ["t100"]
        assert {one.text for one in (await session.exec(select(Turn))).all()} == {"words", ""}


async def test_feedback_audit_budgets_and_refusals_go_by_their_own_age(database: Database, engine: Engine) -> None:
    young = datetime.now(UTC)
    await put(database, thread(), turn(1, 1))
    for at in (LONG_AGO, young):
        await put(
            database,
            Feedback(turn_id="t1", person=f"slack:{at.year}", agent="a", good=True, at=at),
            Audit(at=at, who="bridge", what="w"),
            Budget(scope=str(at.year), since=at, used=1),
            Refused(message_key=str(at.year), at=at),
        )
    removed = await sweep(engine, Keep(feedback=DAY, audit=DAY))
    assert (removed.feedback, removed.audit) == (1, 1)
    for table, left in ((Feedback, 1), (Audit, 2), (Budget, 1), (Refused, 1)):
        assert await rows(database, table) == left, table


async def test_what_a_person_had_delivered_again_meanwhile_stays(
    database: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(database, thread(), turn(1, 1, ended_at=LONG_AGO))
    retention = Retention(engine, Keep(turns=DAY))
    real = engine.run

    async def meanwhile(*ops):  # type: ignore[no-untyped-def]
        found = await real(*ops)
        async with database.transaction() as session:
            row = await session.get_one(Turn, "t1")
            row.state = TurnState.RECEIVED
            session.add(row)
        return found

    monkeypatch.setattr(engine, "run", meanwhile)
    removed = Removed()
    await retention._turns(removed)
    assert removed.turns == 0
    assert await rows(database, Turn) == 1


async def test_who_rates_an_answer_that_is_just_being_removed_is_too_late(postgres_url: str) -> None:
    """And the other way round: what was rated a moment before goes along."""
    database = Database(database_url(postgres_url))
    async with database.prepared("r1") as engine:
        feedback, person = FeedbackStore(engine), Person("U1", "Ann")
        await Arrivals(engine).put(inbound(1), "a")
        queue = Queue(engine, "r1")
        done, _ = await work_off(queue, await claim_one(queue))
        async with database.transaction() as removing:
            [row] = (await removing.exec(select(Turn))).all()
            await removing.delete(row)
            await removing.flush()
            rating = asyncio.create_task(feedback.rate(HERE, done.id, person, good=True))
            await until_blocked(database)
        assert await rating is False

        await Arrivals(engine).put(inbound(2), "a")
        done, _ = await work_off(queue, await claim_one(queue))
        async with database.transaction() as rates:
            rates.add(Feedback(turn_id=done.id, person="slack:U1", agent="a", good=True, at=LONG_AGO))
            await rates.flush()
            found = Forgetting(database, engine, Identity("slack", "U1"))
            belonging = await belongings(database, Identity("slack", "U1"))
            removing_all = asyncio.create_task(found.remove(belonging, (), "operator"))
            await until_blocked(database)
        assert (await removing_all).turns == 1
    await database.close()


async def until_blocked(database: Database) -> None:
    """Somebody waits for a lock."""
    query = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    while True:
        async with database.engine.connect() as connection:
            if (await connection.execute(query)).scalar():
                return
        await asyncio.sleep(0.01)
