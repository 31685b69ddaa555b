"""How sure a process is of its claims, by a clock of the test's own."""

from __future__ import annotations

import asyncio

from bridge.store.lease import LEASE, SURE, Lease


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def sure(lease: Lease) -> bool:
    return lease.sure


def test_nobody_else_is_waited_for_where_there_is_none() -> None:
    clock = Clock()
    lease = Lease(alone=True, clock=clock)
    clock.now += 10 * LEASE
    assert sure(lease)
    assert lease.gaps == 0


def test_a_process_is_sure_for_less_than_the_lease_after_its_last_confirmed_heartbeat() -> None:
    clock = Clock()
    lease = Lease(alone=False, clock=clock)
    assert not sure(lease), "it has never been seen"
    lease.confirmed(clock.now)
    clock.now += SURE
    assert sure(lease)
    clock.now += 0.001
    assert not sure(lease)
    assert SURE < LEASE


def test_it_counts_from_when_a_heartbeat_was_sent_not_from_its_answer() -> None:
    clock = Clock()
    lease = Lease(alone=False, clock=clock)
    sent = clock.now
    clock.now += SURE + 1
    lease.confirmed(sent)
    assert not sure(lease)


def test_only_a_gap_in_which_others_may_have_taken_over_is_one() -> None:
    clock = Clock()
    lease = Lease(alone=False, clock=clock)
    for seconds in (0.0, SURE, 0.4):
        clock.now += seconds
        lease.confirmed(clock.now)
    assert lease.gaps == 0
    clock.now += SURE + 0.001
    lease.confirmed(clock.now)
    assert lease.gaps == 1
    assert sure(lease)


def test_who_was_taken_for_dead_is_unsure_until_it_is_seen_again() -> None:
    clock = Clock()
    lease = Lease(alone=False, clock=clock)
    lease.confirmed(clock.now)
    lease.lapsed()
    assert not sure(lease)
    assert lease.gaps == 1
    lease.confirmed(clock.now)
    assert sure(lease)
    assert lease.gaps == 1


async def test_whoever_waits_goes_on_once_a_heartbeat_is_confirmed() -> None:
    clock = Clock()
    lease = Lease(alone=False, clock=clock)
    waiting = [asyncio.create_task(lease.until_sure()) for _ in range(3)]
    await asyncio.sleep(0)
    lease.confirmed(clock.now - SURE - 1)  # an old one's answer
    await asyncio.wait(waiting, timeout=0.01)
    assert not any(task.done() for task in waiting)
    lease.confirmed(clock.now)
    await asyncio.gather(*waiting)
    await lease.until_sure()
