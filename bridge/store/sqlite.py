"""SQLite, for one process: one thread writes, and commits whatever waits together.

A commit costs a write to the disk whatever it holds, so a hundred turns at once pay for it once. Each unit of work has
a savepoint of its own: what fails takes nothing else along.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from bridge import metrics
from bridge.store.engine import Dialect, Fenced, Health, Op, Row, Rows, StoreUnavailable

BUSY_SECONDS = (
    5.0  # how long a command beside the running bridge is waited for; then it is an outage, and tried again
)
TOGETHER = 256  # units of work in one commit
CACHED = 256  # prepared statements


@dataclass(slots=True)
class _Work:
    ops: Sequence[Op]
    done: asyncio.Future[Sequence[Rows]]
    rows: list[Rows] = field(default_factory=list)
    error: Exception | None = None


def prepare(connection: Any) -> None:
    """What every connection to the file needs."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # what was acknowledged outlives a power cut
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=ON")  # what is removed doesn't stay readable in the file


class SqliteEngine:
    """Implements `bridge.store.engine.Engine`."""

    dialect: Dialect = "sqlite"

    def __init__(self, path: str) -> None:
        self.health = Health()
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._serve, name="sqlite writer", daemon=True)
        self._thread.start()

    async def run(self, *ops: Op) -> Sequence[Rows]:
        began = time.perf_counter()
        work = _Work(ops, self._loop.create_future())
        self._queue.put(work)
        rows = await work.done
        metrics.unit_of_work_took(began)
        return rows

    async def close(self) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    # --- in the loop ------------------------------------------------------------------------------------------

    def _resolve(self, batch: Sequence[_Work]) -> None:
        broken = next((work.error for work in batch if isinstance(work.error, StoreUnavailable)), None)
        if broken is None:
            self.health.works()
        else:
            self.health.lost()
        for work in batch:
            if work.done.done():
                continue  # whoever asked is gone
            if work.error is not None:
                work.done.set_exception(work.error)
            else:
                work.done.set_result(work.rows)

    # --- in the writer's thread -------------------------------------------------------------------------------

    def _serve(self) -> None:
        ended = False
        while not ended:
            first = self._queue.get()
            if first is None:
                break
            batch = [first]
            while len(batch) < TOGETHER and not self._queue.empty():
                work = self._queue.get()
                if work is None:
                    ended = True
                    break
                batch.append(work)
            self._carry_out(batch)
            self._loop.call_soon_threadsafe(self._resolve, batch)
        if self._connection is not None:
            self._connection.close()

    def _carry_out(self, batch: Sequence[_Work]) -> None:
        writes = any(not op.statement.reads for work in batch for op in work.ops)
        try:
            connection = self._open()
            if writes:
                connection.execute("BEGIN IMMEDIATE")
            for work in batch:
                self._do(connection, work, alone=not writes)
            if writes:
                connection.execute("COMMIT")
        except sqlite3.Error as error:  # of BEGIN, COMMIT or a savepoint: nothing of the batch was done
            self._give_up(batch, error)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, cached_statements=CACHED
            )
            prepare(self._connection)
        return self._connection

    def _do(self, connection: sqlite3.Connection, work: _Work, *, alone: bool) -> None:
        if not alone:
            connection.execute("SAVEPOINT work")
        try:
            for op in work.ops:
                rows: list[Row] = connection.execute(*op.prepared("sqlite")).fetchall()
                if op.statement.fences and not rows:
                    raise Fenced("the thread is no longer ours")
                work.rows.append(rows)
        except sqlite3.OperationalError:
            raise  # locked, full, unreadable: nobody's own fault, so for all of the batch
        except Exception as error:
            work.error = error
            if not alone:
                connection.execute("ROLLBACK TO work")
        if not alone:
            connection.execute("RELEASE work")

    def _give_up(self, batch: Sequence[_Work], error: sqlite3.Error) -> None:
        for work in batch:
            work.error = StoreUnavailable(str(error))
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()  # rolls back; the next batch begins with a new one
