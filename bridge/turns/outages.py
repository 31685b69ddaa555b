"""An agent that can't be reached: waited for while that may help, answered for at once when it doesn't. No I/O.

A turn waits out a short outage by itself. What all turns of an agent met together is its `Breaker`: once every request
has failed for long enough, a new question isn't sent any more, and who asked is told at once; one question now and then
is, and as soon as the agent answers one, all are. A turn that is under way already isn't cut short by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from adapters.base import RateLimited, Unavailable
from bridge.backoff import Backoff

OUTAGE_PATIENCE = 45.0  # seconds that an agent which can't be reached is waited for before the turn fails
FIRST_PAUSE = 1.0  # seconds between two tries of that; doubled each time
LONGEST_PAUSE = 10.0
MIN_FAILURES = 5  # in a row: less may be one question's own trouble
TRY_EVERY = 15.0  # seconds between two questions that are sent to find out whether the agent is back


class NotAsked(Unavailable):
    """The agent is known to be out of reach, so the question wasn't sent."""

    sentence = "The agent can't be reached at the moment, so your question wasn't sent. Please try again later."


class Breaker:
    """Of one agent, in one process.

    :param seconds: that everything fails until it opens; 0: it never does.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._failing_since: float | None = None
        self._failed_at = 0.0
        self._failures = 0
        self._try_at = 0.0

    @property
    def is_open(self) -> bool:
        """The agent is out of reach: it has failed often enough and for long enough, and nothing worked in between."""
        if not self._seconds or self._failing_since is None or self._failures < MIN_FAILURES:
            return False
        return self._failed_at - self._failing_since >= self._seconds

    @property
    def down_for(self) -> float:
        """Seconds since it began to fail; 0 while the breaker is closed."""
        return self._clock() - self._failing_since if self.is_open and self._failing_since is not None else 0.0

    @property
    def told(self) -> str | None:
        """Where it is open, a sentence that says so."""
        return f"It can't be reached, for {self.down_for:.0f} s so far." if self.is_open else None

    def admits(self) -> bool:
        """Whether a new question may be sent. Where that is to find out whether the agent is back, only the first one
        who asks here is told so."""
        if not self.is_open:
            return True
        at = self._clock()
        if at < self._try_at:
            return False
        self._try_at = at + TRY_EVERY
        return True

    def answered(self) -> None:
        """The agent said something, be it a refusal."""
        self._failing_since, self._failures = None, 0

    def failed(self) -> None:
        """It couldn't be reached."""
        at = self._clock()
        forgotten = not self.is_open and at - self._failed_at > self._seconds  # another outage, hours ago
        if self._failing_since is None or forgotten:
            self._failing_since, self._failures = at, 0
        self._failures += 1
        self._failed_at = at
        self._try_at = at + TRY_EVERY


class Patience:
    """Of one turn."""

    def __init__(self, breaker: Breaker, clock: Callable[[], float] = time.monotonic) -> None:
        self._breaker = breaker
        self._clock = clock
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._give_up: float | None = None

    def pause(self, error: Unavailable | RateLimited, *, under_way: bool, progress: bool) -> float | None:
        """Seconds until the agent is asked again; None: no more.

        :param under_way: the agent said something already, or an earlier process may have asked it.
        :param progress: something was achieved since the last failure.
        """
        if isinstance(error, RateLimited):
            self._breaker.answered()
        else:
            self._breaker.failed()
        if self._breaker.is_open and not under_way:
            return None
        if progress or self._give_up is None:
            self._give_up = self._clock() + OUTAGE_PATIENCE
            self._backoff.reset()
        wanted = error.retry_after if isinstance(error, RateLimited) else None
        pause = self._backoff.pause() if wanted is None else wanted
        return None if self._clock() + pause > self._give_up else pause
