from __future__ import annotations

import pytest

from adapters.base import TimedOut
from adapters.polling import FIRST, JITTER, LONGEST, Poll


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


async def test_it_asks_at_once_then_quickly_then_slowly() -> None:
    clock = Clock()
    poll = Poll(sleep=clock.sleep, clock=clock, uniform=lambda low, high: 1.0)
    await anext(poll)
    assert clock.slept == []
    for _ in range(30):
        await anext(poll)
    assert clock.slept[0] == FIRST
    assert clock.slept == sorted(clock.slept)
    assert clock.slept[-1] == LONGEST
    assert sum(pause <= 1 for pause in clock.slept) >= 5


@pytest.mark.parametrize("extreme", [min, max])
async def test_the_pauses_differ_from_turn_to_turn(extreme: type) -> None:
    clock = Clock()
    poll = Poll(sleep=clock.sleep, clock=clock, uniform=lambda low, high: extreme(low, high))
    for _ in range(40):
        await anext(poll)
    assert clock.slept[0] == pytest.approx(FIRST * extreme(1 - JITTER, 1 + JITTER))
    assert max(clock.slept) <= LONGEST


async def test_it_never_sleeps_past_the_deadline() -> None:
    clock = Clock()
    asked: list[float] = []
    with pytest.raises(TimedOut):
        await _ask(Poll(deadline=10, sleep=clock.sleep, clock=clock), clock, asked)
    assert asked[-1] == clock.now == pytest.approx(10), "the last moment is used to ask once more"


async def _ask(poll: Poll, clock: Clock, asked: list[float]) -> None:
    async for _ in poll:
        asked.append(clock.now)
