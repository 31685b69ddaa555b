"""What a turn costs: every statement finds its rows by an index, and its work doesn't grow with thread or table."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from adapters.base import Checkpoint
from bridge.lifecycle import Event, Outcome
from bridge.store import statements
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database, database_url
from bridge.store.decisions import Decisions
from bridge.store.engine import Engine, Op, Rows, Statement
from bridge.store.queue import Queue
from bridge.store.sqlite import SqliteEngine
from bridge.store.values import Conclusion
from tests.store.steps import ALL, inbound, part, thread
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import MemoryPlatform
from tests.turns.world import inbound as written

TURNS = 20_000  # of one thread
THREADS = 2_000

# Once at a start, or seconds apart, and over an index of few rows anyway.
AT_LEISURE = {"FREE_ALL", "OWNERS"}
STATEMENTS = {
    name: value
    for name, value in vars(statements).items()
    if isinstance(value, Statement) and name not in AT_LEISURE
} | {f"SAID_SINCE_{index}": value for index, value in enumerate(statements.SAID_SINCE)}

# One of a value's kind for every parameter: nothing is planned away because it compares with NULL.
VALUES: dict[str, object] = {
    "platform": "slack", "workspace": "T1", "channel": "C1", "thread": "1.0", "direct": False, "agent": "a",
    "ready_at": 5, "person": "U1", "newest": "m", "newest_position": 5, "touched_at": 5, "created_at": 5, "id": "new",
    "event_key": "new", "message_key": "new", "message_id": "m", "position": 5, "person_name": "n",
    "person_workspace": "", "person_roles": None, "asked_by": None,
    "text": "t", "files": "[]", "mid_thread": False, "received_at": 5, "retry_of": None,
    "asked_as": None, "chosen": None, "start": None, "thread_id": 1, "at": 5, "payload": "p", "key": "m7", "words": "w",
    "turn_id": "t1-7", "was": "waiting", "becomes": "done", "new_id": "n", "result": "answered", "replica": "r1",
    "since": 4, "most": 10, "platform_1": "slack", "platform_2": "discord", "token": 1, "revised": 0, "name": "n",
    "starts": None, "stands": None, "taken": None, "waiting_id": "t1-8", "settles": "done", "known_as": "c",
    "progress": 1,
    "said": "a", "asks_back": None, "notes": None, "quotes": None, "hears": None, "heard": None, "details": None,
    "shown_last": "m", "waits_with": None,
    "shown_at": 5, "holds": None, "kind": "p", "index": 0, "ends": None, "shown": 0, "digest": None, "ref": "",
    "size": 1, "table": None, "before": 500, "dead": "r2", "media_type": "", "chosen_agent": "b",
    "seated": "U1", "at_once": 4, "scope": "person:slack:U1", "expired": 4, "allowed": 20, "spender": "t1-7",
    "rater": "slack:U1", "good": True, "pause": 60,
    "conversation": "c", "opening": 2, "root": "9", "spoken": None, "answer": "a",
    "decision": None, "until": None, "line": "Left",
    "joined_id": "t1-9", "brought": None, "traceparent": None, "first": None, "state": "failed",
    "message_digest": "a", "event_digest": "b", "audited_at": 4, "who": "bridge", "what": "new", "about": "",
    "audit_detail": None, "instead": "-", "spoken_before": 4, "only": "", "without": "",
    "user": "U1", "bot": "B1", "app": "A1", "scopes": "", "access_token": "s", "refresh_token": "s", "expires_at": 5,
    "org": False, "enterprise": "", "installed_by": "", "version": 1, "changed_at": 5,
    "application": "1", "count": 2, "exact": False, "number": 0, "session": "s", "sequence": 1, "url": "u",
    "intents": 1, "bucket": 0, "apart": 5,
}  # fmt: skip


def fill(numbers: str) -> Sequence[str]:
    """Statements that fill the tables; `numbers(n)` gives 1 to n on each database."""

    def upto(count: int) -> str:
        return numbers.format(count)

    turn = (
        "INSERT INTO turn (id, thread_id, event_key, message_key, message_id, position, person, person_name,"
        " person_workspace, text, files, direct, mid_thread, revision, state, stopped, answer, outcome, received_at)"
    )
    return (
        "INSERT INTO thread (platform, workspace, channel, thread, direct, agent, state, token, attempts, ready_at,"
        " person, several, newest, newest_position, touched_at, created_at)"
        " SELECT 'slack', 'T1', 'C1', n || '.0', false, 'a', 'idle', 0, 0, n, 'U1', false, 'm', 0, n, n"
        f" FROM {upto(THREADS)}",
        f"{turn} SELECT 't1-' || n, 1, 'e' || n, 'm' || n, 'm', n, 'U1', 'n', '', 'text', '[]', false, false, 0,"
        f" 'done', false, 'answer', 'answered', n FROM {upto(TURNS)}",
        f"{turn} SELECT 'u' || n, n, 'f' || n, 'k' || n, 'm', n, 'U1', 'n', '', 'text', '[]', false, false, 0,"
        f" 'done', false, 'answer', 'answered', n FROM {upto(THREADS)}",
        f"INSERT INTO part (turn_id, kind, \"index\", message_id, shown) SELECT 't1-' || n, 'p', 0, 'm', 0"
        f" FROM {upto(TURNS)}",
    )


@pytest.fixture(scope="module")
def filled_sqlite(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "filled.db"
    shutil.copyfile(migrated_sqlite, path)
    connection = sqlite3.connect(path)
    numbers = "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {0}) SELECT n FROM c)"
    for statement in fill(numbers):
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


@pytest.fixture(scope="module")
def filled_postgres(postgres: str, migrated_postgres: str) -> Iterator[str]:
    url = postgres.replace("/postgres?", "/filled?")
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(f"CREATE DATABASE filled TEMPLATE {migrated_postgres}")
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in fill("generate_series(1, {0}) AS c(n)"):
                connection.execute(statement.encode())
            connection.execute("VACUUM ANALYZE")
        yield url
        server.execute("DROP DATABASE filled WITH (FORCE)")


def test_every_statement_is_asked_about() -> None:
    """None stands in its module only, where these tests don't see it."""
    made = {
        name
        for module in pkgutil.iter_modules(statements.__path__, f"{statements.__name__}.")
        for name, value in vars(importlib.import_module(module.name)).items()
        if isinstance(value, Statement)
    }
    assert made == {name for name, value in vars(statements).items() if isinstance(value, Statement)}


@pytest.mark.parametrize("name", sorted(set(STATEMENTS) - {"ANNOUNCE", "LOCK_SEATS"}))
def test_sqlite_scans_no_table(filled_sqlite: Path, name: str) -> None:
    text, constants = STATEMENTS[name].prepared("sqlite")
    connection = sqlite3.connect(filled_sqlite)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", {**constants, **VALUES})]
    connection.close()
    # What waits or runs is in a partial index of its own: as much as there is of it is read.
    partial = ("ix_thread_ready", "ix_thread_running", "ix_thread_queued", "ix_turn_marked")
    scanned = [
        step for step in plan if step.startswith(("SCAN thread", "SCAN turn", "SCAN part", "SCAN artifact"))
    ]
    assert all(step.endswith(partial) for step in scanned), plan


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_postgres_scans_no_table(filled_postgres: str, name: str) -> None:
    text, constants = STATEMENTS[name].prepared("postgresql")
    with psycopg.connect(filled_postgres) as connection:
        rows = connection.execute(f"EXPLAIN {text}".encode(), {**constants, **VALUES}).fetchall()
        connection.rollback()
    plan = "\n".join(row[0] for row in rows)
    for table in ("thread", "turn", "part"):
        assert f"Seq Scan on {table}" not in plan, plan


# --- counted work ---------------------------------------------------------------------------------------------------


class Counting:
    """Counts units of work and statements."""

    def __init__(self, engine: Engine) -> None:
        self.dialect = engine.dialect
        self.health = engine.health
        self._engine = engine
        self.writes: list[str] = []
        self.statements = 0

    async def run(self, *ops: Op) -> Sequence[Rows]:
        self.statements += len(ops)
        if not all(op.statement.reads for op in ops):
            names = {id(value): name for name, value in vars(statements).items()}
            self.writes.append(names[id(ops[0].statement)])
        return await self._engine.run(*ops)

    async def close(self) -> None:
        return


COMMITS = (
    6  # claim; begin with the first checkpoint; the second one; conclusion; a part that rode alone, perhaps; end
)


async def test_the_commits_and_statements_of_a_turn(migrated_sqlite: Path, tmp_path: Path) -> None:
    """One checkpoint before the question and one after it, one part; of a thread whose last turn it is."""
    path = tmp_path / "counted.db"
    shutil.copyfile(migrated_sqlite, path)
    database = Database(database_url(f"sqlite:///{path}"))
    counting: list[Counting] = []

    def between(engine: Engine) -> Engine:
        counting.append(Counting(engine))
        return counting[0]

    async with running(Bridge(database, MemoryPlatform(), ScriptedAgent(Backend()), between=between)) as bridge:
        async with bridge.runner._claiming:
            await bridge.intake.take(written(1))
            counting[0].writes.clear()
            counting[0].statements = 0
        bridge.runner.wake()
        await bridge.until_state("done")
    await database.close()
    work = [name for name in counting[0].writes if name not in ("CLAIM", "CLAIM_SUSPECT")]
    assert work.count("ADVANCE_THREAD") in (3, 4), "begin, checkpoint, conclusion; and a part, if it took a second"
    assert work.count("FENCE") == 1, "the end"
    assert len(work) + 1 <= COMMITS
    assert counting[0].statements <= 30


async def test_two_turns_of_a_thread_are_claimed_once(migrated_sqlite: Path, tmp_path: Path) -> None:
    path = tmp_path / "counted.db"
    shutil.copyfile(migrated_sqlite, path)
    database = Database(database_url(f"sqlite:///{path}"))
    async with running(Bridge(database, MemoryPlatform(), ScriptedAgent(Backend()))) as bridge:
        async with bridge.runner._claiming:
            for number in (1, 2, 3):
                await bridge.intake.take(written(number))
        bridge.runner.wake()
        await bridge.until_state("done")
        [first, *_] = await bridge.ledger.turns(state=None, thread=None, limit=3)
        assert first.thread.token == 1
    await database.close()


class Steps:
    """Counts what SQLite's virtual machine does."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._steps = 0
        real = engine._open

        def opened() -> sqlite3.Connection:
            connection = real()
            connection.set_progress_handler(self._step, 1)
            return connection

        engine._open = opened  # type: ignore[method-assign]

    def _step(self) -> None:
        self._steps += 1

    def taken(self) -> int:
        steps, self._steps = self._steps, 0
        return steps


async def costs(path: Path, turns: int, place: int) -> dict[str, int]:
    """The steps of each part of a turn, in a thread of so many turns."""
    engine = SqliteEngine(str(path))
    steps = Steps(engine)
    arrivals, queue = Arrivals(engine), Queue(engine, "r1")
    decisions = Decisions(engine)
    found: dict[str, int] = {}

    def note(name: str) -> None:
        found[name] = steps.taken()

    for warm in (0, 1):  # the second time everything is prepared
        position = 10 * turns + 10 * TURNS + warm
        await arrivals.put(inbound(position, address=thread(place)), "a")
        note("put")
        [claim] = await queue.claim(1, ALL)
        note("claim")
        turn = (await queue.look(claim)).turn
        note("look")
        assert turn is not None
        await queue.begin(claim, turn, Checkpoint("c", {}))
        note("begin")
        await queue.record_checkpoint(claim, turn.id, Checkpoint("c", {}), [part()], progress=True)
        note("checkpoint")
        await queue.exchanges(claim.thread, turn.position, 10)
        note("exchanges")
        await queue.conclude(claim, turn.id, Conclusion(Outcome.ANSWERED, "x"))
        note("conclude")
        await queue.end(claim, turn.id, Event.DELIVERED, Outcome.ANSWERED)
        note("end")
        await decisions.retry(thread(place), turn.id)
        note("retry")
        await arrivals.active_turn(thread(place))
        note("active turn")
        await arrivals.change_text(thread(place), "m", "words")
        note("edit")
        await queue.reclaim("r9")
        note("reclaim")
        await queue.free_unheld({})
        note("sweep")
        await queue.stopped()
        note("stopped")
        await queue.owners()
        note("owners")
    await engine.close()
    return found


async def test_the_work_of_a_turn_does_not_grow_with_its_thread(
    migrated_sqlite: Path, filled_sqlite: Path, tmp_path: Path
) -> None:
    few, many = tmp_path / "few.db", tmp_path / "many.db"
    shutil.copyfile(migrated_sqlite, few)
    shutil.copyfile(filled_sqlite, many)
    engine = SqliteEngine(str(few))
    arrivals, queue = Arrivals(engine), Queue(engine, "r1")
    for number in range(1, 11):
        await arrivals.put(inbound(number, address=thread(1)), "a")
    [claim] = await queue.claim(1, ALL)
    for _ in range(10):
        turn = (await queue.look(claim)).turn
        assert turn is not None
        await queue.begin(claim, turn, None)
        await queue.conclude(claim, turn.id, Conclusion(Outcome.ANSWERED, "x"))
        await queue.end(claim, turn.id, Event.DELIVERED, Outcome.ANSWERED)
    await engine.close()
    small, large = await costs(few, 10, 1), await costs(many, TURNS, 1)
    assert set(small) == set(large)
    for name in small:
        assert abs(large[name] - small[name]) <= 0.1 * small[name], (name, small[name], large[name])
