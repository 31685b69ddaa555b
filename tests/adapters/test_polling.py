from __future__ import annotations

import pytest

from adapters.base import AgentError, ProtocolError, RateLimited, TimedOut, Unavailable, Uncertain
from adapters.http.polling import FIRST, JITTER, LONGEST, OUTAGE, Poll


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


# --- outages ----------------------------------------------------------------------------------------------------


class Backend:
    """Each look takes 10 seconds. It fails with the error of the first outage that it falls into."""

    def __init__(self, clock: Clock, *outages: tuple[float, float, AgentError]) -> None:
        self.clock = clock
        self.outages = outages
        self.looks: list[float] = []

    def look(self) -> None:
        self.looks.append(self.clock.now)
        self.clock.now += 10
        for begin, end, error in self.outages:
            if begin <= self.looks[-1] < end:
                raise error


async def watch(backend: Backend, until: float, deadline: float | None = None) -> None:
    """Look at the backend until a look at that time or later went well."""
    clock = backend.clock
    async for look in Poll(deadline=deadline, sleep=clock.sleep, clock=clock, uniform=lambda low, high: 1.0):
        with look:
            backend.look()
            if backend.looks[-1] >= until:
                return


AWAY = [Unavailable("503"), TimedOut("silence"), RateLimited("429"), ProtocolError("html")]


@pytest.mark.parametrize("error", AWAY, ids=repr)
async def test_an_outage_is_ridden_out(error: AgentError) -> None:
    backend = Backend(Clock(), (20, OUTAGE, error))
    await watch(backend, OUTAGE)
    assert OUTAGE <= backend.looks[-1] <= OUTAGE + 10 + LONGEST


@pytest.mark.parametrize("error", AWAY, ids=repr)
async def test_an_outage_without_an_end_is_an_error(error: AgentError) -> None:
    backend = Backend(Clock(), (20, float("inf"), error))
    with pytest.raises(type(error)) as caught:
        await watch(backend, 10_000)
    assert caught.value is error
    assert OUTAGE <= backend.clock.now <= 20 + OUTAGE + 40


async def test_each_outage_is_counted_for_itself() -> None:
    away = Unavailable("503")
    await watch(Backend(Clock(), (0, 200, away), (250, 450, away), (500, 700, away)), 700)


@pytest.mark.parametrize("error", [Uncertain("?"), ValueError()], ids=repr)
async def test_what_is_no_outage_is_raised_at_once(error: Exception) -> None:
    clock = Clock()
    with pytest.raises(type(error)):
        await watch(Backend(clock, (0, 100, error)), 200)  # type: ignore[arg-type]
    assert clock.now == 10


async def test_the_delay_that_a_backend_wants_is_kept() -> None:
    clock = Clock()
    backend = Backend(clock, (0, 10, RateLimited("429", retry_after=120)))
    await watch(backend, 1)
    assert backend.looks == [0, 130]
    assert clock.slept == [120]


async def test_a_delay_beyond_the_outage_is_for_the_caller() -> None:
    clock = Clock()
    with pytest.raises(RateLimited):
        await watch(Backend(clock, (0, 10, RateLimited("429", retry_after=OUTAGE + 1))), 1)
    assert clock.slept == []


async def test_an_outage_does_not_count_for_the_deadline() -> None:
    backend = Backend(Clock(), (30, 230, Unavailable("503")))
    with pytest.raises(TimedOut, match="deadline"):
        await watch(backend, 10_000, deadline=60)
    looks = [at for at in backend.looks if not 30 <= at < 230]
    assert len([at for at in looks if at >= 230]) >= 2
    assert backend.clock.now == pytest.approx(60 + 200, abs=30)
