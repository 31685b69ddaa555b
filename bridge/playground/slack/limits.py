"""Rate limits: a leaky bucket for each method, and for posts each channel."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from bridge.playground.slack.errors import TooManyRequests


@dataclass(frozen=True, slots=True)
class Budget:
    """So many calls a minute, `burst` of them at once."""

    per_minute: float
    burst: int
    per_channel: bool = False


# Slack's tiers: "1+", "20+", "50+" and "100+" calls a minute and workspace.
TIER_1 = Budget(1, 5)
TIER_2 = Budget(20, 20)
TIER_3 = Budget(50, 50)
TIER_4 = Budget(100, 100)
POSTING = Budget(60, 5, per_channel=True)  # about one message a second and channel, short bursts allowed
COMMERCIAL = Budget(1, 1)  # history and replies, for a commercial app outside the Marketplace
SPECIAL = Budget(600, 100)  # "hundreds of calls a minute", of auth.test and the like


class Limiter:
    """Lets a call pass or raises `TooManyRequests`. `scale` multiplies every budget; None turns it off."""

    def __init__(self, clock: Callable[[], float], scale: float | None) -> None:
        self._clock = clock
        self.scale = scale
        self._full_at: dict[tuple[str, str], float] = {}

    def spend(self, method: str, budget: Budget, channel: str) -> None:
        if self.scale is None:
            return
        key = (method, channel if budget.per_channel else "")
        now = self._clock()
        every = 60 / (budget.per_minute * self.scale)
        owed = max(self._full_at.get(key, now), now)
        over = owed - now - every * (budget.burst - 1)
        if over > 1e-9:
            raise TooManyRequests(max(1, math.ceil(over)))
        self._full_at[key] = owed + every
