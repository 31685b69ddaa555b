"""When a reply may be sent or edited again. No clock in here: the time is passed in, in seconds."""

from __future__ import annotations

SLOWEST = 8.0  # times the interval; beyond that people would think the reply has stopped
_GROWTH = 2.0  # of the interval, at each refusal
_RECOVERY = 0.85  # of the interval, at each success


class Pacer:
    """Spaces the sends of one reply: wait `delay`, send all that has come together meanwhile, say `sent`.

    `interval` is the platform's budget, in seconds between two sends. The first may go at once, or at the time
    `first`. After a refusal it goes slower for a while.
    """

    def __init__(self, interval: float, *, first: float = 0.0) -> None:
        self._least = interval
        self._interval = interval
        self._next = first

    @property
    def interval(self) -> float:
        """Seconds between two sends, as things are."""
        return self._interval

    def ready_at(self, now: float) -> float:
        """The time of the next send, not before `now`."""
        return max(now, self._next)

    def delay(self, now: float) -> float:
        """Seconds until the next send; 0 when it may go at once."""
        return max(0.0, self._next - now)

    def sent(self, now: float) -> None:
        """A send was taken by the platform."""
        self._interval = max(self._least, self._interval * _RECOVERY)
        self._next = now + self._interval

    def throttled(self, now: float, retry_after: float) -> None:
        """A send was refused: not before `retry_after` seconds, and slower from then on."""
        self._interval = min(self._least * SLOWEST, self._interval * _GROWTH)
        self._next = max(self._next, now + max(retry_after, self._interval))
