"""PostgreSQL, for several replicas: a pool whose every unit of work is one round trip."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import errors
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from bridge import metrics
from bridge.store.engine import Dialect, Fenced, Health, Op, Rows, StoreUnavailable

# What the driver says of each lost connection we say once, of the outage.
for _noise in ("psycopg", "psycopg.pool"):
    logging.getLogger(_noise).setLevel(logging.ERROR)

CONNECTIONS = 8  # a unit of work holds one for a few milliseconds only
WAIT_SECONDS = 5.0  # for a connection of the pool
UNIT_SECONDS = 10.0  # for one unit of work; then its connection is given up
# What the server does by itself when a client is frozen or gone: nobody waits for a lock that a dead one may hold.
SERVER_SETTINGS: Mapping[str, str] = {
    "lock_timeout": "3s",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "5s",
}
# libpq's; without them a server that has vanished is waited for a quarter of an hour, and by cancelling too.
TIMEOUTS: Mapping[str, int] = {
    "connect_timeout": 5,  # seconds
    "keepalives_idle": 5,  # seconds
    "keepalives_interval": 2,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}


def connection_settings(replica: str) -> dict[str, Any]:
    """For every connection of a replica: whoever declares it dead finds its sessions by the name."""
    options = " ".join(f"-c {name}={value}" for name, value in SERVER_SETTINGS.items())
    return {"autocommit": True, "application_name": session_name(replica), "options": options, **TIMEOUTS}


def session_name(replica: str) -> str:
    return f"threadbridge {replica}"


class PostgresEngine:
    """Implements `bridge.store.engine.Engine`."""

    dialect: Dialect = "postgresql"

    def __init__(self, conninfo: str, replica: str) -> None:
        self.health = Health()
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] = AsyncConnectionPool(
            conninfo,
            kwargs=connection_settings(replica),
            min_size=1,
            max_size=CONNECTIONS,
            timeout=WAIT_SECONDS,
            reconnect_timeout=float("inf"),
            open=False,
        )
        self._under_way: set[asyncio.Task[Sequence[Rows]]] = set()

    async def open(self) -> None:
        await self._pool.open()

    async def run(self, *ops: Op) -> Sequence[Rows]:
        # In a task of its own: psycopg closes a connection whose user is cancelled, and the work would be in doubt.
        task = asyncio.ensure_future(self._run(ops))
        self._under_way.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def close(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=UNIT_SECONDS)
        await self._pool.close()

    def _done(self, task: asyncio.Task[Sequence[Rows]]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also where nobody is left to be told

    async def _run(self, ops: Sequence[Op]) -> Sequence[Rows]:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(UNIT_SECONDS), self._pool.connection() as connection:
                try:
                    rows = await _carry_out(connection, ops)
                except BaseException:  # a cancelled one too: what it was to prepare may not be prepared
                    await connection.close()
                    raise
        except errors.DivisionByZero:
            raise Fenced("the thread is no longer ours") from None
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, TimeoutError, OSError) as error:
            self.health.lost()
            raise StoreUnavailable(type(error).__name__) from error
        except psycopg.InternalError as error:  # the server's own trouble, as a full disk
            self.health.lost()
            raise StoreUnavailable(type(error).__name__) from error
        self.health.works()
        metrics.unit_of_work_took(began)
        return rows


async def _carry_out(connection: psycopg.AsyncConnection[Any], ops: Sequence[Op]) -> Sequence[Rows]:
    if len(ops) == 1:
        cursor = await connection.execute(*ops[0].prepared("postgresql"))
        return [await _rows(cursor)]
    # Up to its end a pipeline is one transaction, and all of it is sent at once.
    async with connection.pipeline():
        cursors = [await connection.execute(*op.prepared("postgresql")) for op in ops]
    return [await _rows(cursor) for cursor in cursors]


async def _rows(cursor: psycopg.AsyncCursor[Any]) -> Rows:
    return await cursor.fetchall() if cursor.description is not None else ()
