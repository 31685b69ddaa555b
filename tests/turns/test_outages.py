"""An agent that is out of reach: who asks is told at once, and it recovers by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from adapters.base import Done, RateLimited, Text, Unavailable
from bridge.inbound import Address
from bridge.store.database import Database
from bridge.turns import outages
from bridge.turns.outages import (
    MIN_FAILURES,
    OUTAGE_PATIENCE,
    TRY_EVERY,
    Breaker,
    NotAsked,
    Patience,
)
from tests.turns.agents import Backend, ScriptedAgent
from tests.turns.process import Bridge, running
from tests.turns.world import HERE, MemoryPlatform, inbound

AWAY = Unavailable("503")


def thread(number: int) -> Address:
    return replace(HERE, thread=f"{number}00.0")


@dataclass
class Clock:
    at: float = 1_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(30.0, clock)


def fail(breaker: Breaker, clock: Clock, times: int, *, over: float) -> None:
    for number in range(times):
        if number:
            clock.at += over / (times - 1)
        breaker.failed()


class TestBreaker:
    @pytest.mark.parametrize(
        ("times", "over", "is_open"),
        [
            (MIN_FAILURES, 30.0, True),
            (MIN_FAILURES - 1, 30.0, False),  # may be one question's own trouble
            (100, 29.0, False),  # many at once, but for a moment only
        ],
    )
    def test_opens_after_enough_failures_over_enough_time(
        self, breaker: Breaker, clock: Clock, times: int, over: float, is_open: bool
    ) -> None:
        fail(breaker, clock, times, over=over)
        assert breaker.is_open is is_open
        assert breaker.admits() is not is_open

    def test_one_answer_in_between_begins_anew(self, breaker: Breaker, clock: Clock) -> None:
        fail(breaker, clock, MIN_FAILURES, over=29.0)
        breaker.answered()
        fail(breaker, clock, MIN_FAILURES, over=29.0)
        assert not breaker.is_open

    def test_one_question_now_and_then_finds_out_whether_it_is_back(self, breaker: Breaker, clock: Clock) -> None:
        fail(breaker, clock, MIN_FAILURES, over=30.0)
        admitted = []
        for _ in range(60):
            clock.at += 1.0
            admitted.append(breaker.admits())
        assert admitted.count(True) == 60 // TRY_EVERY
        breaker.answered()
        assert not breaker.is_open
        assert all(breaker.admits() for _ in range(10))

    def test_an_outage_of_long_ago_doesnt_count(self, breaker: Breaker, clock: Clock) -> None:
        fail(breaker, clock, MIN_FAILURES, over=10.0)
        clock.at += 3600.0
        breaker.failed()
        assert not breaker.is_open

    def test_once_open_it_stays_so_however_seldom_somebody_asks(self, breaker: Breaker, clock: Clock) -> None:
        fail(breaker, clock, MIN_FAILURES, over=30.0)
        clock.at += 3600.0
        assert breaker.admits()
        breaker.failed()
        assert breaker.is_open
        assert not breaker.admits()
        assert breaker.down_for == pytest.approx(3630.0)

    def test_without_seconds_it_never_opens(self, clock: Clock) -> None:
        breaker = Breaker(0.0, clock)
        fail(breaker, clock, 1_000, over=86_400.0)
        assert not breaker.is_open
        assert breaker.admits()


class TestPatience:
    def waits(self, breaker: Breaker, clock: Clock, *, under_way: bool = False) -> float:
        """Seconds until it gives up."""
        patience, began = Patience(breaker, clock), clock.at
        while (pause := patience.pause(AWAY, under_way=under_way, progress=False)) is not None:
            clock.at += pause
        return clock.at - began

    def test_a_short_outage_is_waited_out(self, clock: Clock) -> None:
        assert OUTAGE_PATIENCE / 2 < self.waits(Breaker(0.0, clock), clock) <= OUTAGE_PATIENCE

    def test_what_waits_already_is_told_when_the_breaker_opens(self, breaker: Breaker, clock: Clock) -> None:
        fail(breaker, clock, MIN_FAILURES, over=25.0)
        assert self.waits(breaker, clock) < 15.0

    def test_what_is_under_way_is_not_cut_short(self, breaker: Breaker, clock: Clock) -> None:
        fail(breaker, clock, MIN_FAILURES, over=30.0)
        assert self.waits(breaker, clock, under_way=True) > OUTAGE_PATIENCE / 2

    def test_an_agent_that_sets_limits_is_there(self, breaker: Breaker, clock: Clock) -> None:
        fail(breaker, clock, MIN_FAILURES, over=30.0)
        pause = Patience(breaker, clock).pause(
            RateLimited("429", retry_after=3.0), under_way=False, progress=False
        )
        assert pause == 3.0
        assert not breaker.is_open


async def test_a_dead_agent_answers_at_once_and_recovers_by_itself(
    database: Database, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FIRST_PAUSE": 0.001, "LONGEST_PAUSE": 0.002, "TRY_EVERY": 3600.0}.items():
        monkeypatch.setattr(outages, name, value)
    requests = 0

    async def count() -> None:
        nonlocal requests
        requests += 1

    backend = Backend([count, AWAY])
    async with running(Bridge(database, platform, ScriptedAgent(backend), breaker_seconds=0.001)) as bridge:
        await bridge.intake.take(inbound(1, address=thread(1)))
        await bridge.until_state("failed")
        before = requests
        await bridge.intake.take(inbound(2, address=thread(2)))
        await bridge.until_state("failed")
        assert requests == before, "it isn't even tried"
        assert platform.texts()[-1] == NotAsked.sentence
        assert platform.messages[-1].buttons, "it can be sent again"

        backend.script = [Text("back"), Done()]
        monkeypatch.setattr(bridge.runner.breaker("support"), "_try_at", 0.0)  # the time has passed
        await bridge.intake.take(inbound(3, address=thread(3)))
        await bridge.until_state("failed", "done")
        await bridge.intake.take(inbound(4, address=thread(4)))
        await bridge.until_state("failed", "done")
    assert list((await bridge.states()).values()).count("done") == 2
