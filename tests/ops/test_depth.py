"""What waits, as a scrape reads it from either database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client.exposition import generate_latest

from bridge.lifecycle import Outcome
from bridge.ops import metrics
from bridge.ops.metrics import FRESH, Depth, Scrape, Waiting
from bridge.store.arrivals import Arrivals
from bridge.store.engine import Dialect, Engine, Health, Op, Rows, StoreUnavailable
from bridge.store.queue import Queue
from tests.store.steps import ALL, claim_one, inbound, next_turn, thread, work_off


async def look(engine: Engine) -> Waiting:
    waiting = await Depth(engine).waiting()
    assert waiting is not None
    return waiting


async def test_what_nobody_works_on_waits(engine: Engine, arrivals: Arrivals, queue: Queue) -> None:
    assert await look(engine) == Waiting(0, 0.0, 0.0)
    for number in (1, 2, 3):
        await arrivals.put(inbound(number), "a")
    await arrivals.put(inbound(1, address=thread(2)), "a")
    waiting = await look(engine)
    assert waiting.turns == 4
    assert waiting.oldest_turn >= waiting.oldest_thread > 0

    claims = await queue.claim(10, ALL)
    waiting = await look(engine)
    assert waiting.turns == 4, "claimed, and not begun"
    assert waiting.oldest_thread == 0.0, "each is taken"
    for claim in claims:
        turn = await next_turn(queue, claim)
        await queue.begin(claim, turn, None)
    assert (await look(engine)).turns == 2, "behind the first of their thread"


async def test_what_waits_for_a_person_does_not_count(engine: Engine, arrivals: Arrivals, queue: Queue) -> None:
    await arrivals.put(inbound(5), "a")
    await work_off(queue, await claim_one(queue), Outcome.INPUT_REQUEST, shown_at=9)
    await arrivals.put(inbound(6), "a")  # written before the agent asked back
    assert await look(engine) == Waiting(0, 0.0, 0.0)
    await arrivals.put(inbound(10), "a")
    assert (await look(engine)).turns == 1


async def test_no_more_than_a_bound_is_counted(
    engine: Engine, arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MOST", 2)
    for number in (1, 2, 3):
        await arrivals.put(inbound(number), "a")
    assert (await look(engine)).turns == 2


class Away:
    """A database that isn't there, and counts how often it is asked."""

    dialect: Dialect = "sqlite"

    def __init__(self, *, hangs: bool = False) -> None:
        self.health = Health()
        self.asked = 0
        self._hangs = hangs

    async def run(self, *ops: Op) -> Sequence[Rows]:
        self.asked += 1
        if self._hangs:
            await asyncio.Event().wait()
        raise StoreUnavailable("locked")

    async def close(self) -> None: ...


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_database_that_is_away_costs_a_value_and_no_scrape(
    hangs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "READ_WITHIN", 0.01)
    time = 0.0
    away = Away(hangs=hangs)
    depth = Depth(away, lambda: time)
    assert await asyncio.gather(*(depth.waiting() for _ in range(20))) == [None] * 20
    assert away.asked == 1, "once a second, whoever asks"
    time += FRESH * 2
    await depth.waiting()
    assert away.asked == 2
    time += FRESH * 2
    away.health.lost()
    await depth.waiting()
    assert away.asked == 2, "whoever works finds out that it is back"
    shown = generate_latest(Scrape({"slack": "no socket"}, False, None)).decode()
    assert "\nthreadbridge_database_up 0.0\n" in shown
    assert '\nthreadbridge_platform_up{platform="slack"} 0.0\n' in shown
    assert "\nthreadbridge_turns_waiting " not in shown
