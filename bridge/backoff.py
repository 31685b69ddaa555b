"""Growing, jittered pauses between tries that have no end of their own."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """`pause` gives seconds: `first`, doubled each time up to `longest`, less up to half by chance, so that many
    who lost the same thing don't come back together."""

    def __init__(
        self,
        first: float,
        longest: float,
        draw: Callable[[float, float], float] = random.uniform,  # by chance in life, fixed in tests
    ) -> None:
        self._first = self._next = first
        self._longest = longest
        self._draw = draw

    def pause(self) -> float:
        pause, self._next = self._next, min(self._next * 2, self._longest)
        return pause * self._draw(0.5, 1.0)

    def reset(self) -> None:
        """It works again."""
        self._next = self._first
