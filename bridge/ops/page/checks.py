"""How the agents are: each is looked at now and then while somebody watches, and never because a page is drawn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import httpx

from adapters.http.service import create_client
from bridge.findings import Mark
from bridge.ops.check_agents import check_agent
from bridge.ops.doctor import bounded
from bridge.settings import AgentTable
from bridge.store.tables import now

EVERY = 300.0  # seconds between two looks at an agent
AT_WISH = 10.0  # seconds between two that somebody asks for
AT_ONCE = 4  # agents


@dataclass(frozen=True, slots=True)
class Checked:
    """What the last look at an agent found. `found` is the service's own word, so hostile input."""

    mark: str  # ok, warn, fail
    found: str
    fix: str
    seconds: float  # that the look took
    at: int  # microseconds since 1970


class AgentChecks:
    def __init__(
        self,
        agents: Mapping[str, AgentTable],
        client: Callable[[], AbstractAsyncContextManager[httpx.AsyncClient]] = create_client,
    ) -> None:
        self._agents = agents
        self._client = client
        self._found: dict[str, Checked] = {}
        self._begun_at: float | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def found(self) -> Mapping[str, Checked]:
        return dict(self._found)

    @property
    def is_looking(self) -> bool:
        return self._looking is not None and not self._looking.done()

    def watched(self) -> None:
        """Somebody reads: look again, if the last time is long ago."""
        self._look_after(EVERY)

    def wished(self) -> bool:
        """Somebody wants a new look. False if the last has only just been."""
        return self._look_after(AT_WISH)

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    def _look_after(self, seconds: float) -> bool:
        at = time.monotonic()
        if self.is_looking or (self._begun_at is not None and at - self._begun_at < seconds):
            return False
        self._begun_at = at
        self._looking = asyncio.create_task(self._look(), name="agents looked at")
        return True

    async def _look(self) -> None:
        some = asyncio.Semaphore(AT_ONCE)
        async with self._client() as client:

            async def look(name: str, table: AgentTable) -> None:
                async with some:
                    began = time.monotonic()
                    findings = await bounded(f"agents.{name}", check_agent(name, table, client))
                    seconds = time.monotonic() - began
                worst = max(findings, key=lambda one: list(Mark).index(one.mark), default=None)
                if worst is not None:
                    self._found[name] = Checked(worst.mark.value, worst.found, worst.fix, seconds, now())

            await asyncio.gather(*(look(name, table) for name, table in self._agents.items()))
