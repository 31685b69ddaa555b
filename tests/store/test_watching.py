"""What an operator's page asks of the database costs the same on its first page and on its last."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.store.engine import Op, Statement
from bridge.store.statements import watching as sql
from bridge.store.tables import EVERY_POSITION
from bridge.store.watching import EVERY_ID, LARGEST

pytestmark = pytest.mark.slow

TURNS = 100_000  # of one thread
PAGE = 50
COST = 60 * PAGE + 1_000  # steps of SQLite's virtual machine for a page; a scan takes a million

NUMBERS = f"(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {TURNS}) SELECT n FROM c)"


@pytest.fixture(scope="module")
def steps(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[int, int]]:
    """Carries a statement out: its rows, and the steps that they took."""
    path = tmp_path_factory.mktemp("many") / "many.db"
    shutil.copyfile(migrated_sqlite, path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute(
        "INSERT INTO thread (platform, workspace, channel, thread, direct, agent, state, token, attempts, ready_at,"
        " person, several, newest, newest_position, touched_at, created_at)"
        " SELECT 'slack', 'T1', 'C1', n || '.0', false, 'a', 'idle', 0, 0, n, 'U1', false, 'm', 0, n, n"
        f" FROM {NUMBERS} WHERE n <= 5000"
    )
    connection.execute(
        f"INSERT INTO audit (at, who, what, about) SELECT n, 'bridge', 'old data removed', '' FROM {NUMBERS}"
    )
    connection.execute(
        "INSERT INTO turn (id, thread_id, event_key, message_key, message_id, position, person, person_name,"
        " person_workspace, text, files, direct, mid_thread, revision, state, stopped, marked, outcome, received_at,"
        " ended_at)"
        " SELECT printf('%016x', n), 1, 'e' || n, 'm' || n, 'm', n, 'U1', 'n', '', 't', '[]', false, false, 0,"
        " CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'done' END, false, false, 'answered', n, n"
        f" FROM {NUMBERS}"
    )
    connection.execute(f"INSERT INTO budget (scope, since, used) SELECT 'person:' || n, n, 1 FROM {NUMBERS}")
    connection.commit()

    def run(statement: Statement, **values: Any) -> tuple[int, int]:
        taken = 0

        def step() -> None:
            nonlocal taken
            taken += 1

        connection.set_progress_handler(step, 1)
        rows = connection.execute(*Op(statement, values | {"most": PAGE}).prepared("sqlite")).fetchall()
        connection.set_progress_handler(None, 0)
        return len(rows), taken

    return run


@pytest.mark.parametrize("at", [LARGEST, TURNS // 2, 2 * PAGE])
def test_the_last_page_of_many_turns_costs_what_the_first_does(
    steps: Callable[..., tuple[int, int]], at: int
) -> None:
    turns = {"until": at, "before": EVERY_ID}
    of_thread = {"thread_id": 1, "until": min(at, EVERY_POSITION), "since": LARGEST, "before": EVERY_ID}
    for statement, values in (
        (sql.WATCHED_TURNS, turns),
        (sql.WATCHED_IN_STATE, turns | {"state": "done"}),
        (sql.THREAD_DONE, of_thread),
        (sql.WATCHED_THREADS, {"platform": "slack", "until": at, "before": LARGEST}),
        (sql.THREADS_OF_CHANNEL, {"channel": "C1", "before": at}),
    ):
        rows, taken = steps(statement, **values)
        assert rows == PAGE
        assert taken <= COST, (statement.prepared("sqlite")[0], taken)


def test_what_is_bounded_reads_no_more_than_its_bound(steps: Callable[..., tuple[int, int]]) -> None:
    for statement, values in (
        (sql.ENDED_SINCE, {"since": 0}),
        (sql.BUDGETS_SINCE, {"since": 0}),
        (sql.LAST_AUDITED, {}),
        (sql.COUNT_IN_STATE, {"state": "done"}),
        (sql.OLDEST_IN_STATE, {"state": "done"}),
        (sql.WATCHED_IN_STATE, {"state": "failed", "until": LARGEST, "before": EVERY_ID}),
        (sql.THREAD_UNANSWERED, {"thread_id": 1, "until": LARGEST, "since": LARGEST, "before": EVERY_ID}),
        (sql.THREADS_NAMED, {"thread": "7.0", "before": LARGEST}),
        (sql.RUNNING_BY_OWNER, {}),
    ):
        _, taken = steps(statement, **values)
        assert taken <= COST, (statement.prepared("sqlite")[0], taken)
