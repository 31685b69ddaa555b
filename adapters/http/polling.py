"""When to ask again: the pauses of an adapter whose backend is polled, and how long it may be away meanwhile."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from adapters.base import ProtocolError, RateLimited, TimedOut, Unavailable

FIRST, LONGEST = 0.3, 5.0  # seconds: people notice the first, backends the second
GROWTH = 1.25  # reaches the longest pause after 13 polls and some 25 seconds
SETTLING = 3.0  # seconds until what a backend just got or finished shows in its history, at the latest
JITTER = 0.2  # of the pause, either way
OUTAGE = 300.0  # seconds: a restart or a new release takes minutes, and the turn's deadline is the caller's


class Poll:
    """Moments to look: at once, then after pauses that begin at `first` seconds and grow to `longest`, each a
    little off so that many turns don't look in step.

        async for look in Poll():
            with look:
                ...  # ask; break or return when it is done

    In the `with` block a backend that is away (`Unavailable`, `RateLimited`, `TimedOut`), or whose answer isn't
    understood (`ProtocolError`: a proxy's page in its place), is no failure until that has lasted for `OUTAGE`
    seconds, or it wants a longer delay than is left of them: the block is left, and the next look follows after
    the delay that it asked for. A verdict that is a `ProtocolError` is raised outside the block.

    Goes on for ever unless `deadline` (seconds from now) is given; then it never sleeps past it and ends by
    raising `TimedOut`. The time of an outage doesn't count.
    """

    def __init__(
        self,
        *,
        first: float | None = None,
        longest: float | None = None,
        deadline: float | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._pause = FIRST if first is None else first
        self._longest = LONGEST if longest is None else longest
        self._until = None if deadline is None else clock() + deadline
        self._sleep = sleep
        self._clock = clock
        self._uniform = uniform
        self._begun = False
        self._away_since: float | None = None
        self._delay = 0.0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Self:
        if not self._begun:
            self._begun = True
            return self
        pause = max(min(self._pause * self._uniform(1 - JITTER, 1 + JITTER), self._longest), self._delay)
        self._pause = min(self._pause * GROWTH, self._longest)
        if self._until is not None and self._away_since is None:
            left = self._until - self._clock()
            if left <= 0:
                raise TimedOut("still no answer at the deadline")
            pause = min(pause, left)
        await self._sleep(pause)
        return self

    def __enter__(self) -> None:
        self._delay = 0.0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        now = self._clock()
        if not isinstance(error, Unavailable | RateLimited | TimedOut | ProtocolError):
            if self._until is not None and self._away_since is not None:
                self._until += now - self._away_since
            self._away_since = None
            return False
        if self._away_since is None:
            self._away_since = now
        if isinstance(error, RateLimited):
            self._delay = error.retry_after or 0.0
        return now + self._delay < self._away_since + OUTAGE


def poll(*, deadline: float | None = None) -> Poll:
    """A `Poll` with the pauses that suit people."""
    return Poll(deadline=deadline)


def settling() -> Poll:
    """A short `Poll`, for what should show at once and sometimes takes a moment; ends by raising `TimedOut`."""
    return Poll(deadline=SETTLING)
