"""Budgets: so many turns in an hour, which begins with the first of them. Spent in the unit of work that stores a turn,
so that replicas never exceed one together, and a turn that isn't stored costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bridge.store import statements as sql
from bridge.store.engine import Engine, Op
from bridge.store.tables import SECOND, now

HOUR = 3600 * SECOND
UNCAPPED = 2**31 - 1

Of = Literal["person", "channel", "agent", "bots_in_thread", "bots_in_channel"]


@dataclass(frozen=True, slots=True)
class Quota:
    """What may be spent. Several are always given in the order of `Of`, so that replicas never wait for each other."""

    of: Of
    name: str
    allowed: int  # turns an hour

    @property
    def scope(self) -> str:
        return f"{self.of}:{self.name}"


def uncapped(quotas: Sequence[Quota]) -> Sequence[Quota]:
    """Counted, and never refused."""
    return [replace(quota, allowed=UNCAPPED) for quota in quotas]


def freed(quotas: Sequence[Quota]) -> Sequence[Op]:
    """Begin them anew."""
    return [Op(sql.FREE_BUDGET, {"scope": one.scope}) for one in quotas]


class OverBudget(Exception):
    """Nothing was stored: a quota is used up for `seconds` more."""

    def __init__(self, quota: Quota, seconds: float) -> None:
        super().__init__(f"{quota.scope} is used up")
        self.quota = quota
        self.seconds = seconds


def spend(quotas: Sequence[Quota], turn: str) -> Sequence[Op]:
    """Fences where one of them is used up, or where the turn wasn't stored."""
    at = now()
    return [
        Op(
            sql.SPEND,
            {"scope": one.scope, "at": at, "expired": at - HOUR, "allowed": one.allowed, "spender": turn},
        )
        for one in quotas
    ]


async def used_up(engine: Engine, quotas: Sequence[Quota]) -> OverBudget | None:
    """The quota that is free again last, if one is used up."""
    found = [
        OverBudget(quota, seconds)
        for quota, used, seconds in await _spent(engine, quotas)
        if used >= quota.allowed
    ]
    return max(found, key=lambda one: one.seconds, default=None)


async def left(engine: Engine, quotas: Sequence[Quota]) -> Sequence[tuple[Quota, int]]:
    """Turns that may still be stored within each hour."""
    return [(quota, max(0, quota.allowed - used)) for quota, used, _ in await _spent(engine, quotas)]


async def _spent(engine: Engine, quotas: Sequence[Quota]) -> Sequence[tuple[Quota, int, float]]:
    """What was spent of each, and the seconds until its hour ends."""
    at = now()
    rows = await engine.run(*(Op(sql.SPENT, {"scope": one.scope}) for one in quotas)) if quotas else ()
    found = []
    for quota, spent in zip(quotas, rows, strict=True):
        since, used = spent[0] if spent else (at, 0)
        lasts = since + HOUR - at
        found.append((quota, used, lasts / SECOND) if lasts > 0 else (quota, 0, 0.0))
    return found
