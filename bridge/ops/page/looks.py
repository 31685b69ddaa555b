"""What a view of the page shows, gathered: from the database within bounds, and from this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bridge.access import TurnsPerHour
from bridge.ops.health import DatabaseCheck
from bridge.ops.page.checks import AgentChecks, Checked
from bridge.ops.page.hour import Hour, Some, last_hour
from bridge.settings import Settings
from bridge.store.engine import StoreUnavailable
from bridge.store.tables import now
from bridge.store.watching import ENDED, Audited, Spent, UnderWay, WatchedReplica, Watching
from bridge.turns.gate import BOT_TURNS_IN_CHANNEL, BOT_TURNS_IN_THREAD
from bridge.turns.surface import FrontEnd

ANSWERS_WITHIN = 4.0  # seconds for what one view asks of the database
FRESH = 1.0  # seconds that what isn't over is good for, however many look
HOUR_FRESH = 5.0  # seconds that the last hour is
HOUR = 3600.0

T = TypeVar("T")


class Away(Exception):
    """The database doesn't answer in time."""


async def in_time(work: Awaitable[T]) -> T:
    """:raises Away:"""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            return await work
    except (StoreUnavailable, TimeoutError) as error:
        raise Away from error


class Kept(Generic[T]):
    """An answer that serves all who look within `seconds`; they wait for one question."""

    def __init__(self, ask: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._asking = asyncio.Lock()
        self._answer: tuple[float, T] | None = None

    async def get(self) -> T:
        """:raises Away:"""
        async with self._asking:
            if self._answer is None or time.monotonic() - self._answer[0] > self._seconds:
                self._answer = None
                answer = await in_time(self._ask())
                self._answer = time.monotonic(), answer
            return self._answer[1]


@dataclass(frozen=True, slots=True)
class PlatformLook:
    name: str
    trouble: str | None


@dataclass(frozen=True, slots=True)
class AgentLook:
    name: str
    kind: str
    checked: Checked | None  # None as long as nobody looked
    breaker: str | None  # what a breaker says of it; None without one
    hour: Some | None  # of the last hour; None where nothing ended


@dataclass(frozen=True, slots=True)
class BudgetLook:
    of: str
    name: str
    used: int
    allowed: int  # 0: no limit any more
    seconds: float  # until it begins anew

    @property
    def share(self) -> int:
        """Percent."""
        return min(100, self.used * 100 // self.allowed) if self.allowed else 0


class Looks:
    """`breaker` says of an agent, by its name, whether it is asked at present."""

    def __init__(
        self,
        settings: Settings,
        watching: Watching,
        database: DatabaseCheck,
        platforms: Mapping[str, FrontEnd],
        checks: AgentChecks,
        breaker: Callable[[str], str | None],
    ) -> None:
        self._settings = settings
        self._watching = watching
        self._database = database
        self._platforms = platforms
        self._checks = checks
        self._breaker = breaker
        self._under_way = Kept(watching.under_way, FRESH)
        self._hour = Kept(self._read_hour, HOUR_FRESH)
        self._replicas = Kept(watching.replicas, FRESH)
        self._budgets = Kept(watching.budgets, FRESH)
        self._audited = Kept(watching.audited, FRESH)

    def platforms(self) -> Sequence[PlatformLook]:
        return [PlatformLook(name, one.trouble()) for name, one in self._platforms.items()]

    async def not_ready(self) -> Mapping[str, str]:
        """The reasons of `/readyz`."""
        found = {one.name: one.trouble for one in self.platforms() if one.trouble}
        trouble = await self._database.trouble()
        return found | ({"database": trouble} if trouble is not None else {})

    def agents(self, hour: Hour | None) -> Sequence[AgentLook]:
        self._checks.watched()
        found = self._checks.found
        ended = hour.agents if hour else {}
        return [
            AgentLook(name, table.kind, found.get(name), self._breaker(name), ended.get(name))
            for name, table in self._settings.agents.items()
        ]

    async def under_way(self) -> UnderWay:
        """:raises Away:"""
        return await self._under_way.get()

    async def hour(self) -> tuple[Hour, bool]:
        """And whether more ended than is drawn.

        :raises Away:
        """
        return await self._hour.get()

    async def replicas(self) -> Sequence[WatchedReplica]:
        """:raises Away:"""
        return await self._replicas.get()

    async def budgets(self) -> Sequence[BudgetLook]:
        """:raises Away:"""
        limits = self._settings.turns_per_hour
        return [_budget(one, limits) for one in await self._budgets.get()]

    async def audited(self) -> Sequence[Audited]:
        """:raises Away:"""
        return await self._audited.get()

    async def _read_hour(self) -> tuple[Hour, bool]:
        ended = await self._watching.ended(HOUR)
        return last_hour(ended, now()), len(ended) >= ENDED


def _budget(spent: Spent, limits: TurnsPerHour) -> BudgetLook:
    of, _, name = spent.scope.partition(":")
    allowed = {
        "person": limits.person,
        "channel": limits.channel,
        "agent": limits.agents.get(name, 0),
        "bots_in_thread": BOT_TURNS_IN_THREAD,
        "bots_in_channel": BOT_TURNS_IN_CHANNEL,
    }
    return BudgetLook(of.replace("_", " "), name, spent.used, allowed.get(of, 0), spent.seconds)
