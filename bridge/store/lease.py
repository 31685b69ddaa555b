"""How sure a process is that its claims are still its own.

Fencing protects the database; a platform can't be fenced. So before each call to a platform or an agent this is
looked at: no I/O, only the time of the last heartbeat that the database has confirmed. After a gap, in which another
replica may have taken over, a claim's token has to be read again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LEASE = 15.0  # seconds without a heartbeat, by the database's clock; then the others take over
SURE = 9.0  # seconds since the last confirmed heartbeat was sent; less than the lease by more than clocks drift


def _clock() -> float:
    """Counts on while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """`alone`: nobody else can take over (SQLite), so it never lapses."""

    def __init__(self, *, alone: bool, clock: Callable[[], float] = _clock) -> None:
        self.alone = alone
        self._clock = clock
        self._confirmed: float | None = None
        self._sure = asyncio.Event()
        self.gaps = 0  # how often others may have taken over

    def now(self) -> float:
        return self._clock()

    @property
    def sure(self) -> bool:
        if self.alone:
            return True
        return self._confirmed is not None and self._clock() - self._confirmed <= SURE

    def confirmed(self, sent: float) -> None:
        """A heartbeat that was sent at this time is known to have been stored."""
        if self._confirmed is not None and sent - self._confirmed > SURE:
            self.gaps += 1
        self._confirmed = sent
        self._sure.set()

    def lapsed(self) -> None:
        """Others take this replica for dead, or may do so."""
        self.gaps += 1
        self._confirmed = None

    async def until_sure(self) -> None:
        while not self.sure:
            self._sure.clear()
            await self._sure.wait()
