"""Budgets: so many turns in an hour, which begins with the first of them. Spent in the unit of work that stores a turn,
so that replicas never exceed one together, and a turn that isn't stored costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bridge.store import statements as sql
from bridge.store.engine import Engine, Op
from bridge.store.tables import SECOND, now

HOUR = 3600 * SECOND

Of = Literal["person", "channel", "agent"]


@dataclass(frozen=True, slots=True)
class Quota:
    """What may be spent. Several are always given in the order of `Of`, so that replicas never wait for each other."""

    of: Of
    name: str
    allowed: int  # turns an hour

    @property
    def scope(self) -> str:
        return f"{self.of}:{self.name}"


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
    at = now()
    rows = await engine.run(*(Op(sql.SPENT, {"scope": one.scope}) for one in quotas)) if quotas else ()
    found = [
        OverBudget(quota, (since + HOUR - at) / SECOND)
        for quota, spent in zip(quotas, rows, strict=True)
        for since, used in spent
        if used >= quota.allowed and since > at - HOUR
    ]
    return max(found, key=lambda one: one.seconds, default=None)
