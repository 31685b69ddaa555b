"""Who asks is stored with the turn: for whoever takes it up, and for what is sent again or chosen."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic import command

from adapters.base import Checkpoint
from bridge.inbound import Person
from bridge.lifecycle import Outcome
from bridge.store import migrate
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database
from bridge.store.decisions import Decided, Decisions
from bridge.store.ledger import Ledger
from bridge.store.queue import Queue
from bridge.store.values import MAX_ROLES, InputRequestShown
from tests.store.steps import HERE, begin_next, claim_one, end, inbound, next_turn, work_off

ANN = Person("U1", "Ann", "T1", ("7", "8"))
BOB = Person("U2", "Bob\0", "T2", ("9",))
BEFORE, AFTER = "0002stops", "0003who"


async def test_a_turn_has_its_persons_roles(arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(1, person=ANN), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim)
    assert (turn.person, turn.asked_by) == (ANN, None)
    stored = await queue.turn(turn.id)
    assert stored is not None
    assert stored.person == ANN, "after it was begun, too"


async def test_of_too_many_roles_the_first_are_kept(arrivals: Arrivals, queue: Queue) -> None:
    roles = tuple(map(str, range(MAX_ROLES + 1)))
    await arrivals.put(inbound(1, person=Person("U1", roles=roles)), "a")
    assert (await next_turn(queue, await claim_one(queue))).person.roles == roles[:MAX_ROLES]


@pytest.mark.parametrize("outcome", [Outcome.TIMED_OUT, Outcome.RUN_FAILED, Outcome.UNCERTAIN])
async def test_who_sends_it_again_asks_in_the_words_of_whoever_wrote(
    arrivals: Arrivals, decisions: Decisions, queue: Queue, outcome: Outcome
) -> None:
    await arrivals.put(inbound(1, person=ANN), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim, Checkpoint("c", {}))
    await end(queue, claim, turn, outcome, shown_at=10 if outcome is Outcome.UNCERTAIN else None)
    assert await decisions.retry(HERE, turn.id, BOB) is Decided.SENT
    again = await next_turn(queue, await claim_one(queue))
    assert again.person == ANN
    assert again.asked_by == Person("U2", "Bob", "T2", ("9",))


async def test_the_operator_asks_in_nobodys_place(
    arrivals: Arrivals, decisions: Decisions, queue: Queue, database: Database
) -> None:
    await arrivals.put(inbound(1, person=ANN), "a")
    turn, _ = await work_off(queue, await claim_one(queue), Outcome.RUN_FAILED)
    assert await Ledger(database).retry(turn.id)
    await queue.fill_seats()
    again, _ = await work_off(queue, await claim_one(queue), Outcome.RUN_FAILED)
    assert again.asked_by is None
    assert await decisions.retry(HERE, again.id, BOB) is Decided.SENT
    third, _ = await work_off(queue, await claim_one(queue), Outcome.RUN_FAILED)
    assert await Ledger(database).retry(third.id)
    await queue.fill_seats()
    fourth = await next_turn(queue, await claim_one(queue))
    assert fourth.asked_by == third.asked_by
    assert fourth.asked_by is not None
    assert fourth.asked_by.id == "U2"


async def test_who_chooses_asks(arrivals: Arrivals, decisions: Decisions, queue: Queue) -> None:
    await arrivals.put(inbound(1, person=ANN), "a")
    claim = await claim_one(queue)
    turn = await begin_next(queue, claim, Checkpoint("c", {}))
    request = InputRequestShown("Which?", ("this", "that"))
    await end(queue, claim, turn, Outcome.INPUT_REQUEST, request=request, shown_at=10)
    assert await decisions.choose(HERE, turn.id, 1, BOB) is Decided.CHOSEN
    chosen = await next_turn(queue, await claim_one(queue))
    assert (chosen.text, chosen.person, chosen.asked_by) == ("that", Person("U2", "Bob", "T2", ("9",)), None)


async def test_what_was_stored_before_and_by_older_processes_is_read(database: Database) -> None:
    """The older code runs beside the newer tables for a while, and knows nothing of the new columns."""

    def older(connection: sa.Connection) -> None:
        turn = (
            "INSERT INTO turn (id, thread_id, event_key, message_key, message_id, position, person, person_name,"
            " person_workspace, text, files, direct, mid_thread, revision, state, stopped, received_at)"
            " VALUES ('{0}', 1, '{0}', '{0}', 'm', 1, 'U1', 'Ann', 'T1', 'text', '[]', false, false, 0, '{1}',"
            " false, 1)"
        )
        thread = (
            "INSERT INTO thread (id, platform, workspace, channel, thread, direct, agent, state, token, attempts,"
            " ready_at, person, several, newest, newest_position, touched_at, created_at)"
            " VALUES (1, 'slack', 'T1', 'C1', '1.0', false, 'a', 'idle', 0, 0, 1, 'U1', false, 'm', 0, 1, 1)"
        )
        config = migrate._config()
        config.attributes["connection"] = connection
        command.downgrade(config, AFTER)
        indexes = _indexes(connection)
        command.downgrade(config, BEFORE)
        assert _indexes(connection) == indexes
        connection.execute(sa.text(thread))
        connection.execute(sa.text(turn.format("before", "done")))
        command.upgrade(config, AFTER)
        assert _indexes(connection) == indexes
        command.upgrade(config, "head")
        connection.execute(sa.text(turn.format("beside", "done")))

    async with database.engine.begin() as connection:
        await connection.run_sync(older)
    async with database.prepared("replica-1") as engine:
        for name in ("before", "beside"):
            turn = await Queue(engine, "replica-1").turn(name)
            assert turn is not None
            assert (turn.person, turn.asked_by) == (Person("U1", "Ann", "T1"), None)


def _indexes(connection: sa.Connection) -> set[object]:
    """Those of the turns, each with its condition."""
    kind = connection.dialect.name
    found = sa.inspect(connection).get_indexes("turn")
    return {(one["name"], str(one.get("dialect_options", {}).get(f"{kind}_where"))) for one in found}
