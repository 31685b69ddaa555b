"""Discord's ids: 42 bits of milliseconds since 2015 above 22 bits that make them unique."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

EPOCH_MS = 1_420_070_400_000  # 2015-01-01, Discord's own epoch
UNIQUE_BITS = 22

Clock = Callable[[], float]
"""Gives the Unix time in seconds."""


class Snowflakes:
    """Hands out ids that always grow, even when the clock stands still."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def take(self) -> int:
        earliest = (int(self._clock() * 1000) - EPOCH_MS) << UNIQUE_BITS
        self._last = max(earliest, self._last + 1)
        return self._last


def seconds_of(snowflake: int) -> float:
    """The Unix time at which the id was made, to the millisecond."""
    return ((snowflake >> UNIQUE_BITS) + EPOCH_MS) / 1000


def iso(seconds: float) -> str:
    """A time as Discord writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()
