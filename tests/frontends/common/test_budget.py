"""The arithmetic of a budget, and who is served when."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from bridge.frontends.common.budget import PROBE_WITHIN, WINDOW, Allowance, Budget
from tests.e2e.waiting import eventually


def test_as_many_as_are_documented_go_out_at_once() -> None:
    allowance = Allowance(20)
    for _ in range(20):
        assert allowance.delay(0.0) == 0
        assert allowance.probe_delay(0.0) == 0
        allowance.sent(0.0)
    assert allowance.probe_delay(0.0) == PROBE_WITHIN, "alone, as long as its answer may take"
    assert allowance.probe_delay(PROBE_WITHIN) == 0
    assert allowance.delay(0.0) == 0
    assert allowance.probe_delay(WINDOW) == 0


def test_a_refusal_holds_back_and_is_remembered_as_a_pace() -> None:
    allowance = Allowance(20)
    for _ in range(31):
        allowance.sent(0.0)
    allowance.refused(0.0, 10.0)
    assert allowance.delay(4.0) == 6.0
    assert allowance.delay(10.0) == 0.0
    allowance.sent(10.0)
    assert allowance.delay(10.0) == pytest.approx(WINDOW / 27)  # nine tenths of the 30 that were taken
    assert allowance.delay(10.0 + WINDOW / 27) == pytest.approx(0.0)


def test_many_refusals_of_one_flood_count_once() -> None:
    allowance = Allowance(20)
    for _ in range(31):
        allowance.sent(0.0)
    for retry_after in (10.0, 3.0, 12.0):
        allowance.refused(0.0, retry_after)
    assert allowance.delay(0.0) == 12.0
    allowance.sent(12.0)
    assert allowance.delay(12.0) == pytest.approx(WINDOW / 27)


def test_one_call_a_minute_is_learned() -> None:
    allowance = Allowance(50, least=1.0)
    at = 0.0
    refused = 0
    allowed_at = 0.0
    for _ in range(30):  # Slack takes one call a minute, whatever is documented
        at += allowance.delay(at)
        allowance.sent(at)
        if at < allowed_at:
            refused += 1
            allowance.refused(at, allowed_at - at)
        else:
            allowed_at = at + 60.0
    assert refused <= 10  # a third: each quiet minute a little more is tried


def test_the_pace_grows_again_with_quiet_minutes_until_it_is_forgotten() -> None:
    allowance = Allowance(20)
    allowance.sent(0.0)
    allowance.refused(0.0, 0.0)
    allowance.sent(0.0)
    assert allowance.delay(0.0) == WINDOW / 20, "what is documented"
    allowance.sent(2 * WINDOW)
    assert 0 < allowance.delay(2 * WINDOW) < WINDOW / 20
    assert allowance.delay(100 * WINDOW) == 0.0


def test_refusals_cost_half_of_the_budget_at_most_however_often_they_come() -> None:
    allowance = Allowance(20)
    for at in range(0, 600, 60):
        allowance.sent(float(at))
        allowance.refused(float(at), 30.0)
    allowance.sent(600.0)
    assert allowance.delay(600.0) == WINDOW / 10


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_urgent_calls_are_served_first_and_each_kind_in_order() -> None:
    budget = Budget(1, clock=Clock())
    order: list[str] = []

    async def call(name: str, *, urgent: bool) -> None:
        async with budget.slot(urgent=urgent):
            order.append(name)

    async with budget.slot(urgent=True):
        waiting = [asyncio.create_task(call(name, urgent=name.startswith("u"))) for name in ("a", "u1", "b", "u2")]
        await eventually(lambda: len(budget._urgent) + len(budget._others) == len(waiting))
    await asyncio.gather(*waiting)
    assert order == ["u1", "u2", "a", "b"]


async def test_who_no_longer_waits_takes_no_place() -> None:
    budget = Budget(1, clock=Clock())

    async def call() -> None:
        async with budget.slot(urgent=False):
            await asyncio.Event().wait()

    async with budget.slot(urgent=False):
        first, second = asyncio.create_task(call()), asyncio.create_task(call())
        await eventually(lambda: len(budget._others) == 2)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert len(budget._others) == 1
    await eventually(lambda: budget._under_way)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert budget._under_way == 0


async def test_what_was_not_used_is_not_counted() -> None:
    budget = Budget(2, clock=Clock())
    for _ in range(5):
        async with budget.slot(urgent=True):
            budget.unused()
    assert budget._allowance.probe_delay(0.0) == 0
    budget.sent()
    budget.sent()
    assert budget._allowance.probe_delay(0.0) > 0


async def test_a_call_whose_answer_does_not_come_holds_the_others_up_for_a_while_only() -> None:
    clock = Clock()
    budget = Budget(1, clock=clock)
    gone: list[int] = []

    async def call(number: int) -> None:
        async with budget.slot(urgent=False):
            gone.append(number)
            await asyncio.Event().wait()

    calls = [asyncio.create_task(call(number)) for number in range(3)]
    await eventually(lambda: len(gone) == 1 and len(budget._others) == 2)
    clock.now += PROBE_WITHIN
    budget._admit()
    await eventually(lambda: gone == [0, 1])
    for one in calls:
        one.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_whoever_waits_is_served_however_the_clock_runs() -> None:
    """A timer may fire a little early, and the clock goes on between two looks at it: nobody may be forgotten."""
    ticks = itertools.count()
    budget = Budget(1, window=0.02, clock=lambda: next(ticks) * 0.001)  # it runs on with each look
    served: list[int] = []

    async def call(number: int) -> None:
        async with budget.slot(urgent=number % 3 == 0):
            served.append(number)

    budget.sent()
    budget.refused(0.0)
    async with asyncio.timeout(60):
        await asyncio.gather(*(call(number) for number in range(30)))
    assert sorted(served) == list(range(30))
