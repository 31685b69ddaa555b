"""What the prepared statements run on: all or nothing, together where it is cheaper, alone where it fails."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from bridge.store import postgres, sqlite
from bridge.store import statements as sql
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database, database_url
from bridge.store.engine import Engine, Fenced, Op, Statement, StoreUnavailable, persist
from bridge.store.postgres import PostgresEngine
from bridge.store.queue import Queue
from bridge.store.sqlite import SqliteEngine
from tests.e2e.waiting import PATIENCE
from tests.store.steps import HERE, claim_one, inbound, next_turn, thread

COUNT = Statement(sa.select(sa.func.count()).select_from(sa.table("turn")))
NO_ROW = Statement(sa.select(sa.literal_column("1")).where(sa.false()), fences=True)


async def count(engine: Engine) -> int:
    [[[found]]] = await engine.run(Op(COUNT, {}))
    return int(found)


def puts(engine: Engine, first: int, last: int) -> list[asyncio.Task[bool]]:
    arrivals = Arrivals(engine)
    return [asyncio.create_task(arrivals.put(inbound(number), "a")) for number in range(first, last)]


async def test_a_unit_of_work_is_done_whole_or_not_at_all(engine: Engine, arrivals: Arrivals) -> None:
    await arrivals.put(inbound(1), "a")
    stop = Op(sql.WITHDRAW, {"key": "slack:T1:C1:100.0-1", "at": 1})
    with pytest.raises(Fenced):
        await engine.run(stop, Op(NO_ROW, {}), stop)
    assert (await arrivals.change_text(HERE, "100.0-1", "still there")).changed


async def test_who_is_cancelled_leaves_no_lock_and_its_work_is_done(engine: Engine, arrivals: Arrivals) -> None:
    tasks = puts(engine, 1, 40)
    for loops, task in enumerate(tasks):
        for _ in range(loops % 4):
            await asyncio.sleep(0)
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    begun = sum(isinstance(one, bool) for one in done)
    async with asyncio.timeout(PATIENCE):
        assert await arrivals.put(inbound(100), "a"), "nobody holds a lock"
        assert await count(engine) > begun


async def test_the_rows_of_each_statement_come_back_in_order(engine: Engine, arrivals: Arrivals) -> None:
    for number in (1, 2):
        await arrivals.put(inbound(number), "a")
    one = Statement(sa.select(sa.literal_column("1")))
    assert [[tuple(row) for row in rows] for rows in await engine.run(Op(one, {}), Op(COUNT, {}))] == [
        [(1,)],
        [(2,)],
    ]


async def test_a_wrong_statement_is_nobody_elses_trouble(engine: Engine, arrivals: Arrivals) -> None:
    """On PostgreSQL its transaction is its own; on SQLite it has a savepoint."""
    await arrivals.put(inbound(1), "a")
    part = {"turn_id": "no such turn", "kind": "p", "index": 0, "message_id": "m", "ends": None, "shown": 0}
    wrong = [asyncio.create_task(_run(engine, Op(sql.PUT_PART, part | {"digest": None}))) for _ in range(3)]
    good = puts(engine, 2, 12)
    assert all(await asyncio.gather(*good))
    for failed in await asyncio.gather(*wrong, return_exceptions=True):
        assert isinstance(failed, sqlite3.IntegrityError | psycopg.errors.IntegrityError)
    assert await count(engine) == 11


async def _run(engine: Engine, *ops: Op) -> None:
    await engine.run(*ops)


# --- SQLite's writer ------------------------------------------------------------------------------------------------


@pytest.fixture
async def path(migrated_sqlite: Path, tmp_path: Path) -> Path:
    target = tmp_path / "writer.db"
    target.write_bytes(migrated_sqlite.read_bytes())
    return target


@pytest.fixture
async def writer(path: Path) -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine(str(path))
    yield engine
    await engine.close()


class Commits:
    """Counts the commits of a writer."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.fails: Callable[[], Exception | None] = lambda: None
        commits = self

        class Counting(sqlite3.Connection):
            def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
                if statement == "COMMIT":
                    commits.count += 1
                    if (error := commits.fails()) is not None:
                        raise error
                return super().execute(statement, *values)

        real = sqlite3.connect
        patch.setattr("bridge.store.sqlite.sqlite3.connect", lambda *a, **n: real(*a, factory=Counting, **n))


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    return Commits(monkeypatch)


def held_up(engine: SqliteEngine) -> Callable[[], None]:
    """The writer waits until the returned function is called; what comes meanwhile goes together."""
    gate = threading.Event()
    real = engine._carry_out

    def carry_out(batch: Any) -> None:
        gate.wait()
        real(batch)

    engine._carry_out = carry_out  # type: ignore[method-assign]
    return gate.set


async def test_what_waits_together_is_committed_together(commits: Commits, writer: SqliteEngine) -> None:
    await puts(writer, 1, 2)[0]
    before = commits.count
    go_on = held_up(writer)
    tasks = puts(writer, 2, 102)
    await asyncio.sleep(0)
    go_on()
    assert all(await asyncio.gather(*tasks))
    assert commits.count - before <= 2, "the first, perhaps, and all that waited for it"


async def test_one_commit_takes_no_more_than_so_many(
    commits: Commits, writer: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "TOGETHER", 10)
    go_on = held_up(writer)
    tasks = puts(writer, 1, 31)
    await asyncio.sleep(0)
    go_on()
    assert all(await asyncio.gather(*tasks))
    assert 3 <= commits.count <= 4


async def test_what_only_reads_commits_nothing(commits: Commits, writer: SqliteEngine) -> None:
    assert await count(writer) == 0
    assert not await Arrivals(writer).knows(HERE)
    assert commits.count == 0


async def test_a_commit_that_fails_fails_for_all_of_them_and_works_again(
    commits: Commits, writer: SqliteEngine
) -> None:
    errors = [sqlite3.OperationalError("disk I/O error")]
    commits.fails = lambda: errors.pop() if errors else None
    go_on = held_up(writer)
    tasks = puts(writer, 1, 11)
    await asyncio.sleep(0)
    go_on()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [one for one in done if isinstance(one, StoreUnavailable)]
    assert failed
    assert await count(writer) == len(done) - len(failed), "none of them was done"
    assert writer.health.lost_at is None, "it works again"
    again = await asyncio.gather(*puts(writer, 1, 11))
    assert sum(again) == len(failed)


async def test_a_full_disk_is_an_outage_that_ends(writer: SqliteEngine, path: Path) -> None:
    """Small turns still fit or don't; nothing is half done, and room makes it work again."""
    arrivals = Arrivals(writer)
    await arrivals.put(inbound(1), "a")
    real = writer._open

    def full() -> sqlite3.Connection:
        connection = real()
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")
        return connection

    writer._open = full  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable, match="full"):
        await arrivals.put(inbound(2, text="x" * 100_000), "a")
    assert writer.health.lost_at is not None
    stored = asyncio.create_task(persist(lambda: arrivals.put(inbound(2, text="x" * 100_000), "a")))
    await asyncio.sleep(0)

    def room() -> sqlite3.Connection:
        connection = real()
        connection.execute("PRAGMA max_page_count=1000000")
        return connection

    writer._open = room  # type: ignore[method-assign]
    assert await stored
    assert await count(writer) == 2


async def test_a_file_that_somebody_else_has_locked_is_waited_for(
    writer: SqliteEngine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    beside = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    beside.execute("BEGIN IMMEDIATE")
    arrivals = Arrivals(writer)
    with pytest.raises(StoreUnavailable, match="locked"):
        await arrivals.put(inbound(1), "a")
    recovered: list[float] = []
    writer.health.on_recovery(recovered.append)
    stored = asyncio.create_task(persist(lambda: arrivals.put(inbound(1), "a")))
    await asyncio.sleep(0)
    assert writer.health.lost_at is not None
    beside.execute("ROLLBACK")
    beside.close()
    assert await stored
    assert len(recovered) == 1, "who has to catch up is told once"


async def test_a_failing_unit_of_work_takes_nobody_along(writer: SqliteEngine, commits: Commits) -> None:
    go_on = held_up(writer)
    fenced = [asyncio.create_task(_run(writer, Op(NO_ROW, {}))) for _ in range(3)]
    tasks = puts(writer, 1, 6)
    await asyncio.sleep(0)
    go_on()
    assert all(await asyncio.gather(*tasks))
    assert [type(one) for one in await asyncio.gather(*fenced, return_exceptions=True)] == [Fenced] * 3
    assert await count(writer) == 5


async def test_closing_does_what_waits(path: Path) -> None:
    engine = SqliteEngine(str(path))
    tasks = puts(engine, 1, 20)
    await asyncio.sleep(0)
    await engine.close()
    assert all(await asyncio.gather(*tasks))


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def postgres_database(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(database_url(postgres_url))
    yield database
    await database.close()


async def test_no_lock_of_a_frozen_process_is_waited_for_long(
    postgres_database: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server-side limits: whoever waits gives up, and is told that it is an outage."""
    monkeypatch.setattr(postgres, "SERVER_SETTINGS", {**postgres.SERVER_SETTINGS, "lock_timeout": "50ms"})
    async with postgres_database.prepared("r1") as engine:
        assert isinstance(engine, PostgresEngine)
        arrivals = Arrivals(engine)
        await arrivals.put(inbound(1), "a")
        async with await psycopg.AsyncConnection.connect(postgres_url) as frozen:
            await frozen.execute("SELECT * FROM thread FOR UPDATE")
            with pytest.raises(StoreUnavailable, match="LockNotAvailable"):
                await arrivals.put(inbound(2), "a")
            queue = Queue(engine, "r1")
            assert await queue.claim(10, ["slack"]) == [], "a claim passes over what is locked"
            assert await queue.reclaim("dead") == 0
            await arrivals.put(inbound(1, address=thread(2)), "a")
            await frozen.rollback()
        assert await arrivals.put(inbound(2), "a")


async def test_a_connection_on_which_a_unit_failed_is_given_up(
    postgres_database: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was to be prepared on it may not be."""
    monkeypatch.setattr(postgres, "SERVER_SETTINGS", {**postgres.SERVER_SETTINGS, "lock_timeout": "20ms"})
    monkeypatch.setattr(postgres, "CONNECTIONS", 1)
    pid = Statement(sa.text("SELECT pg_backend_pid()"))
    async with postgres_database.prepared("r1") as engine:
        arrivals = Arrivals(engine)
        await arrivals.put(inbound(1), "a")
        change = Op(sql.CHANGE_TEXT, {"key": "slack:T1:C1:100.0-1", "words": "other words"})
        [[before]] = await engine.run(Op(pid, {}))
        async with await psycopg.AsyncConnection.connect(postgres_url) as frozen:
            await frozen.execute("SELECT * FROM turn FOR UPDATE")
            for _ in range(8):
                with pytest.raises(StoreUnavailable):
                    await engine.run(change, Op(COUNT, {}))
            await frozen.rollback()
        [[after]] = await engine.run(Op(pid, {}))
        assert after != before
        await engine.run(change, Op(COUNT, {}))


async def test_every_connection_has_its_limits_and_its_name(
    postgres_database: Database, postgres_url: str
) -> None:
    show = Statement(
        sa.text(
            "SELECT current_setting('lock_timeout'), current_setting('statement_timeout'),"
            " current_setting('idle_in_transaction_session_timeout'), current_setting('application_name')"
        )
    )
    async with postgres_database.prepared("r7") as engine:
        [[row]] = await engine.run(Op(show, {}))
    assert tuple(row) == ("3s", "10s", "5s", "threadbridge r7")


async def test_a_unit_of_work_is_one_transaction_on_the_wire(postgres_database: Database) -> None:
    """And its connection is never left within one."""
    state = Statement(sa.text("SELECT txid_current(), pg_backend_pid()"))
    async with postgres_database.prepared("r1") as engine:
        [first], [second] = await engine.run(Op(state, {}), Op(state, {}))
        assert tuple(first) == tuple(second)
        idle = Statement(
            sa.text(
                "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = current_database()"
            )
        )
        [[[found]]] = await engine.run(Op(idle, {}))
        assert found == 0


async def test_lost_connections_are_an_outage_and_then_made_anew(
    postgres_database: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.engine.FIRST_PAUSE", 0.001)
    async with postgres_database.prepared("r1") as engine:
        arrivals = Arrivals(engine)
        name = postgres_database.url.database
        with psycopg.connect(postgres_url.replace(f"/{name}?", "/postgres?"), autocommit=True) as server:
            for number in range(1, 6):
                server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
                )
                await persist(lambda number=number: arrivals.put(inbound(number), "a"))  # type: ignore[misc]
        assert await count(engine) == 5
        assert engine.health.lost_at is None
        claim = await claim_one(Queue(engine, "r1"))
        assert (await next_turn(Queue(engine, "r1"), claim)).position == 1
