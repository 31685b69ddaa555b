"""One budget for a method of a workspace, shared fairly by all replies.

A platform documents how many calls a minute are safe and takes more when it can. So up to the documented number
calls go out at once; beyond it one at a time, each a probe whose answer is awaited before the next, so that a
limit is met by one call and not by a storm of them. A probe without an answer doesn't hold up the others for long.
A refusal holds everyone back for as long as the platform says. What it took before is then the budget, at least
what is documented, spent evenly over the minute, so that nothing stands still until the minute is over; it grows
again with each quiet one. Only who is refused while it keeps to that takes even less: others share the limit.

Who waits is served in order, first and last words before those in between. A reply waits at most once at a time,
so in order is fair: a long one can't take the turns of a short one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

WINDOW = 60.0  # seconds; limits are told by the minute
REMEMBERED = 4_096  # calls of the last minute; more than any method takes
PROBE_WITHIN = 2.0  # seconds for a probe's answer; then the next one goes out
_CAUTION = 0.9  # of what was taken before a refusal
_RECOVERY = 1.5  # of the learned budget, after each window without a refusal


class Allowance:
    """The arithmetic. No clock in here: the time is passed in, in seconds."""

    def __init__(self, documented: int, window: float = WINDOW, least: float | None = None) -> None:
        self._documented = documented
        self._least = least
        self._window = window
        self._sent: deque[float] = deque(maxlen=REMEMBERED)
        self._learned: float | None = None  # calls a window; None: nothing was refused lately
        self._grown_at = 0.0
        self._blocked_until = 0.0

    def delay(self, now: float) -> float:
        """Seconds until the next call may go out; 0 when it may at once."""
        if now < self._blocked_until:
            return self._blocked_until - now
        self._recover(now)
        if self._learned is None or not self._sent:
            return 0.0
        return max(0.0, self._sent[-1] + self._window / self._learned - now)

    def probe_delay(self, now: float) -> float:
        """Seconds until the next call may go out beside one whose answer isn't known: none but beyond what is
        documented."""
        if self._count(now) < self._documented:
            return 0.0
        return max(0.0, self._sent[-1] + PROBE_WITHIN - now)

    def sent(self, now: float) -> None:
        self._sent.append(now)

    def unused(self) -> None:
        """The last call that was counted wasn't made."""
        if self._sent:
            self._sent.pop()

    def refused(self, now: float, retry_after: float) -> None:
        if now >= self._blocked_until:  # not for each of those that were on their way together
            self._learned = max(self._lowest(), (self._count(now) - 1) * _CAUTION)
            self._grown_at = now + retry_after
        self._blocked_until = max(self._blocked_until, now + retry_after)

    def _lowest(self) -> float:
        if self._least is not None:
            return self._least
        return self._documented if self._learned is None else self._documented / 2

    def _recover(self, now: float) -> None:
        while self._learned is not None and now - self._grown_at >= self._window:
            self._grown_at += self._window
            self._learned *= _RECOVERY
            if self._learned >= 4 * self._documented:
                self._learned = None

    def _count(self, now: float) -> int:
        while self._sent and self._sent[0] <= now - self._window:
            self._sent.popleft()
        return len(self._sent)


@dataclass(eq=False, slots=True)
class _Waiter:
    admitted: asyncio.Future[None]
    urgent: bool


class Budget:
    """Use `slot` around each call, and tell `refused` of each 429."""

    def __init__(
        self,
        documented: int,
        *,
        window: float = WINDOW,
        least: float | None = None,  # calls a window, whatever was refused
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowance = Allowance(documented, window, least)
        self._clock = clock
        self._urgent: deque[_Waiter] = deque()
        self._others: deque[_Waiter] = deque()
        self._under_way = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def delay(self) -> float:
        """Seconds that everyone is held back, as things are."""
        return self._allowance.delay(self._clock())

    @asynccontextmanager
    async def slot(self, *, urgent: bool) -> AsyncIterator[None]:
        """Wait for a turn to call, and hold it while the call lasts."""
        await self.enter(urgent=urgent)
        try:
            yield
        finally:
            self.leave()

    async def enter(self, *, urgent: bool) -> None:
        """Wait for a turn to call; whoever got it must `leave`."""
        if self._urgent or self._others or self._pause(self._clock()) > 0:
            await self._wait(urgent)
        else:
            self._go()

    def leave(self) -> None:
        self._under_way -= 1
        self._admit()

    def refused(self, retry_after: float) -> None:
        """The platform answered 429."""
        self._allowance.refused(self._clock(), retry_after)

    def sent(self) -> None:
        """A call went out without a slot: a step of a fallback, which isn't made to wait."""
        self._allowance.sent(self._clock())

    def unused(self) -> None:
        """A slot was held and another method called."""
        self._allowance.unused()

    def _pause(self, now: float) -> float:
        """Seconds until the next call may go out, unless one that is under way ends before."""
        delay = self._allowance.delay(now)
        return max(delay, self._allowance.probe_delay(now)) if self._under_way else delay

    def _go(self) -> None:
        self._under_way += 1
        self._allowance.sent(self._clock())

    async def _wait(self, urgent: bool) -> None:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), urgent)
        queue = self._urgent if urgent else self._others
        queue.append(waiter)
        self._admit()
        try:
            await waiter.admitted
        except asyncio.CancelledError:
            if waiter in queue:
                queue.remove(waiter)
            elif waiter.admitted.done() and not waiter.admitted.cancelled():
                self._under_way -= 1  # admitted and cancelled in one go
                self._admit()
            raise

    def _admit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while queue := self._urgent or self._others:
            # The clock is read once: who may not go yet is served by the timer, however short the rest is.
            if (pause := self._pause(self._clock())) > 0:
                self._timer = asyncio.get_running_loop().call_later(pause, self._admit)
                return
            waiter = queue.popleft()
            if not waiter.admitted.done():
                self._go()
                waiter.admitted.set_result(None)
