"""How replicas know of each other, on PostgreSQL: who is alive, who is dead, and what they call out.

A replica's session holds an advisory lock. A process that dies loses its session at once, so its lock is free; one that
is frozen, or cut off, keeps it, and shows by a heartbeat older than the lease. Heartbeats have a connection of their
own, on which nothing waits for anything else. It has to be a direct one: a pooler that shares sessions can't keep a
lock or a LISTEN.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import psycopg
import structlog
from psycopg import sql

from bridge.backoff import Backoff
from bridge.store.engine import StoreUnavailable
from bridge.store.lease import LEASE, Lease
from bridge.store.postgres import connection_settings, session_name
from bridge.store.presence import Bury

TICK = 0.2  # seconds between two heartbeats
SILENT = 0.6  # seconds without a heartbeat before a free lock counts: a session that broke is soon made anew
SETTLING = 5.0  # seconds after our own connection was made anew, in which others may still be making theirs
BEAT_WITHIN = 4.0  # seconds for a heartbeat; then the connection is given up
CHANNEL = "threadbridge"

_CLOCK = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_JOIN = f"""
INSERT INTO replica (id, lock, started_at, heartbeat_at) VALUES (%(id)s, %(lock)s, {_CLOCK}, {_CLOCK})
ON CONFLICT (id) DO UPDATE SET lock = excluded.lock, heartbeat_at = excluded.heartbeat_at
"""  # noqa: S608
_BEAT = f"UPDATE replica SET heartbeat_at = {_CLOCK} WHERE id = %(id)s RETURNING id"  # noqa: S608
_DEAD = f"""
SELECT id FROM replica WHERE id <> %(id)s AND (
    heartbeat_at < {_CLOCK} - %(lease)s
    OR (%(settled)s AND heartbeat_at < {_CLOCK} - %(silent)s AND pg_try_advisory_xact_lock(lock))
)
"""  # noqa: S608
_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = %(name)s AND datname = current_database()
"""
_ALIVE = "SELECT id FROM replica"
_LEAVE = "DELETE FROM replica WHERE id = %(id)s"

log = structlog.get_logger()
TROUBLE = (psycopg.Error, OSError, TimeoutError)


class Among:
    """One of several replicas on PostgreSQL."""

    def __init__(self, conninfo: str, replica: str) -> None:
        self.lease = Lease(alone=False)
        self._conninfo = conninfo
        self._replica = replica
        self._settings = connection_settings(replica)
        self._joined = False

    async def keep(self, bury: Bury, hear: Callable[[str], None]) -> None:
        burials: set[asyncio.Task[None]] = set()

        def dead(replicas: Sequence[str]) -> None:
            if burials:
                return  # the next tick names them again
            task = asyncio.create_task(bury(replicas), name="takeover")
            burials.add(task)
            task.add_done_callback(burials.discard)

        async def beat() -> None:
            try:
                await self._beat(dead)
            except TROUBLE:
                self.lease.lapsed()  # the lock went with the session: others may take over long before the lease ends
                raise

        async with asyncio.TaskGroup() as group:
            group.create_task(self._again(beat), name="heartbeat")
            group.create_task(self._again(lambda: self._listen(hear)), name="listener")

    async def alive(self) -> Sequence[str]:
        return [replica for (replica,) in await self._ask(_ALIVE, {})]

    async def end_sessions(self, replica: str) -> None:
        await self._ask(_END_SESSIONS, {"name": session_name(replica)})

    async def leave(self, replica: str) -> None:
        await self._ask(_LEAVE, {"id": replica})

    async def _ask(self, query: str, values: Mapping[str, object]) -> Sequence[tuple[Any, ...]]:
        """On a connection of its own. Raises `StoreUnavailable`."""
        try:
            async with asyncio.timeout(BEAT_WITHIN), await self._connect() as connection:
                cursor = await connection.execute(query, values)
                return await cursor.fetchall() if cursor.description is not None else ()
        except TROUBLE as error:
            raise StoreUnavailable(type(error).__name__) from error

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        async with asyncio.timeout(BEAT_WITHIN):
            return await psycopg.AsyncConnection.connect(self._conninfo, **self._settings)

    async def _again(self, work: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff(0.1, 2.0)
        while True:
            began = self.lease.now()
            try:
                await work()
            except TROUBLE as error:
                log.warning("replica's connection lost", error=type(error).__name__)
            if self.lease.now() - began > SETTLING:
                backoff.reset()
            await asyncio.sleep(backoff.pause())

    async def _beat(self, dead: Callable[[Sequence[str]], None]) -> None:
        async with await self._connect() as connection:
            me = {"id": self._replica, "lock": secrets.randbits(62)}
            sent = self.lease.now()
            # A new process meets no others that are just as new: only after an outage all come back together.
            settles_at = sent + SETTLING if self._joined else sent
            self._joined = True
            async with asyncio.timeout(BEAT_WITHIN):
                await connection.execute("SELECT pg_advisory_lock(%(lock)s)", me)
                await connection.execute(_JOIN, me)
            self.lease.confirmed(sent)
            while True:
                sent = self.lease.now()
                async with asyncio.timeout(BEAT_WITHIN):
                    known = await (await connection.execute(_BEAT, me)).fetchall()
                    if not known:  # buried alive, by who took us for dead
                        self.lease.lapsed()
                        await connection.execute(_JOIN, me)
                    self.lease.confirmed(sent)
                    settled = sent >= settles_at
                    cursor = await connection.execute(
                        _DEAD,
                        me | {"lease": int(LEASE * 1e6), "silent": int(SILENT * 1e6), "settled": settled},
                    )
                    found = [replica for (replica,) in await cursor.fetchall()]
                if found:
                    dead(found)
                await asyncio.sleep(TICK)

    async def _listen(self, hear: Callable[[str], None]) -> None:
        async with await self._connect() as connection:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
            hear("")  # what was announced while nobody listened
            async for notice in connection.notifies():
                hear(notice.payload)
