"""One replica takes over from another on a real PostgreSQL: from one that died at once, from one that froze after the
lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import psycopg
import pytest

from adapters.base import Done, Text
from bridge.store import lease, replicas
from bridge.store.database import Database, database_url
from bridge.store.replicas import Among
from tests.e2e.waiting import eventually
from tests.turns.agents import Backend, ScriptedAgent, Step
from tests.turns.process import Bridge, running
from tests.turns.test_every_step import Plug, PluggedEngine
from tests.turns.world import MemoryPlatform, inbound

pytestmark = pytest.mark.slow


@pytest.fixture
async def shared(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(database_url(postgres_url))
    yield database
    await database.close()


def hanging(backend: Backend) -> asyncio.Event:
    """Whoever comes first hangs for ever after the first words; the event tells of it."""
    reached = asyncio.Event()

    async def hang_once() -> None:
        if not reached.is_set():
            reached.set()
            await asyncio.Event().wait()

    script: list[Step] = [Text("The first words, "), hang_once, Text("and the last."), Done()]
    backend.script = script
    return reached


async def owner(bridge: Bridge) -> tuple[str | None, int]:
    [record] = await bridge.ledger.turns(state=None, thread=None, limit=1)
    return record.thread.owner, record.thread.token


async def test_who_was_killed_is_taken_over_by_its_lost_session(
    shared: Database, platform: MemoryPlatform
) -> None:
    """The lease and the sweep are longer than a test may take."""
    backend, plug = Backend(), Plug(10_000)
    reached = hanging(backend)
    agent = ScriptedAgent(backend)
    killed = Bridge(shared, platform, agent, between=lambda engine: PluggedEngine(engine, plug))
    async with running(Bridge(shared, platform, agent, replica="r2")) as survivor:
        async with survivor.runner._claiming, killed.open():
            serving = asyncio.create_task(killed.runner.run())
            await killed.intake.take(inbound(1))
            await reached.wait()
            assert await owner(survivor) == ("r1", 1)
            await plug.kill(serving)
        backend.running.clear()
        await survivor.until_state("done")
        assert await owner(survivor) == (None, 2)
    assert platform.texts() == ["The first words, and the last."]
    assert backend.asked == ["question 1"]


class Freezes(Among):
    """Its heartbeat stops once it has joined, and its sessions stay."""

    async def _beat(self, dead: Callable[[Sequence[str]], None]) -> None:
        async with await self._connect() as connection:
            values: Mapping[str, Any] = {"id": self._replica, "lock": 99}
            await connection.execute("SELECT pg_advisory_lock(%(lock)s)", values)
            await connection.execute(replicas._JOIN, values)
            self.lease.confirmed(self.lease.now())
            await asyncio.Event().wait()


async def test_who_froze_is_taken_over_after_the_lease_and_its_sessions_are_ended(
    shared: Database, platform: MemoryPlatform, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "LEASE", 3.0)
    monkeypatch.setattr(lease, "SURE", 2.0)
    backend = Backend()
    reached = hanging(backend)
    agent = ScriptedAgent(backend)
    conninfo = shared._conninfo()
    frozen = Bridge(shared, platform, agent, presence=Freezes(conninfo, "r1"))
    with psycopg.connect(postgres_url, autocommit=True) as server:

        def sessions() -> set[int]:
            query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'threadbridge r1'"
            return {pid for (pid,) in server.execute(query).fetchall()}

        async with running(Bridge(shared, platform, agent, replica="r2")) as survivor, frozen.open():
            async with survivor.runner._claiming:
                serving = asyncio.create_task(frozen.runner.run())
                await frozen.intake.take(inbound(1))
                await reached.wait()
                before = sessions()
                assert before
            backend.running.clear()
            await survivor.until_state("done")
            assert (await owner(survivor))[0] is None
            await eventually(lambda: not before & sessions())
            calls = platform.calls
            assert not frozen.presence.lease.sure
            serving.cancel()
            await asyncio.wait([serving])
    assert platform.calls == calls
    assert platform.texts() == ["The first words, and the last."]
    assert backend.asked == ["question 1"]
