"""One process of the bridge, as far as turns go: its queue, its runner, its intake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from adapters.base import Agent
from bridge.store.arrivals import Arrivals
from bridge.store.database import Database
from bridge.store.ledger import Ledger
from bridge.store.queue import Queue
from bridge.turns.intake import Intake
from bridge.turns.runner import Runner
from tests.turns.world import MemoryPlatform


class Bridge:
    """A process: a queue, a runner, an intake on one platform and one agent."""

    def __init__(
        self, database: Database, platform: MemoryPlatform, agent: Agent, *, replica: str = "r1", **limits: float
    ) -> None:
        self.platform = platform
        self.queue = Queue(database, replica)
        self.ledger = Ledger(database)
        agents: Mapping[str, Agent] = {"support": agent}
        self.runner = Runner(
            self.queue,
            agents,
            {"slack": platform},
            deadline=lambda name: {"support": limits.get("deadline", 30.0)}[name],
            max_running=int(limits.get("max_running", 100)),
            max_attachment_bytes=int(limits.get("max_attachment_bytes", 1000)),
            grace=limits.get("grace", 0.0),
        )
        self.intake = Intake(
            Arrivals(database),
            agent_for=lambda _: "support",
            wake=self.runner.wake,
            stop_turn=self.runner.stop_turn,
        )

    async def states(self) -> dict[str, str]:
        records = await self.ledger.turns(state=None, thread=None, limit=100)
        return {record.turn.id: record.turn.state for record in records}

    async def until_state(self, *states: str) -> None:
        """Wait until every turn is in one of these states."""
        while set((await self.states()).values()) - set(states):  # noqa: ASYNC110  # a database has no event
            await asyncio.sleep(0.005)

    async def outcome(self, message_id: str = "100.0-1") -> tuple[str, str | None]:
        records = await self.ledger.turns(state=None, thread=None, limit=100)
        return next((one.turn.state, one.turn.outcome) for one in records if one.turn.message_id == message_id)


@asynccontextmanager
async def running(bridge: Bridge) -> AsyncIterator[Bridge]:
    task = asyncio.create_task(bridge.runner.run())
    try:
        yield bridge
    finally:
        task.cancel()
        await asyncio.wait([task])
