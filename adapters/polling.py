"""When to ask again: the pauses of an adapter whose backend is polled."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from adapters.base import TimedOut

FIRST, LONGEST = 0.3, 5.0  # seconds: people notice the first, backends the second
GROWTH = 1.25  # reaches the longest pause after 13 polls and some 25 seconds
SETTLING = 3.0  # seconds until what a backend just got or finished shows in its history, at the latest
JITTER = 0.2  # of the pause, either way


class Poll:
    """Moments to ask: at once, then after pauses that begin at `first` seconds and grow to `longest`, each a
    little off so that many turns don't ask in step.

        async for _ in Poll():
            ...  # ask; break or return when it is done

    Goes on for ever unless `deadline` (seconds from now) is given; then it never sleeps past it and ends by
    raising `TimedOut`.
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

    def __aiter__(self) -> Poll:
        return self

    async def __anext__(self) -> None:
        if not self._begun:
            self._begun = True
            return
        pause = min(self._pause * self._uniform(1 - JITTER, 1 + JITTER), self._longest)
        self._pause = min(self._pause * GROWTH, self._longest)
        if self._until is not None:
            left = self._until - self._clock()
            if left <= 0:
                raise TimedOut("still no answer at the deadline")
            pause = min(pause, left)
        await self._sleep(pause)


def poll(*, deadline: float | None = None) -> Poll:
    """A `Poll` with the pauses that suit people."""
    return Poll(deadline=deadline)


def settling() -> Poll:
    """A short `Poll`, for what should show at once and sometimes takes a moment; ends by raising `TimedOut`."""
    return Poll(deadline=SETTLING)
