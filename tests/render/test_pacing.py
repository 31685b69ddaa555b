from hypothesis import given
from hypothesis import strategies as st

from bridge.render.pace import SLOWEST, Pacer
from tests.examples import examples

TINY = 1e-6  # what sums of seconds may be off by


def test_the_first_goes_at_once_and_the_next_after_the_interval() -> None:
    pacer = Pacer(1.2)
    assert pacer.delay(100.0) == 0.0
    pacer.sent(100.0)
    assert pacer.ready_at(100.0) == 101.2
    assert pacer.delay(100.5) == 101.2 - 100.5
    assert pacer.delay(200.0) == 0.0
    assert pacer.ready_at(200.0) == 200.0


def test_the_first_may_wait() -> None:
    assert Pacer(1.0, first=50.0).delay(49.0) == 1.0


def test_a_refusal_waits_as_told_and_slows_down_for_a_while() -> None:
    pacer = Pacer(1.0)
    pacer.sent(0.0)
    pacer.throttled(1.0, 5.0)
    assert pacer.delay(1.0) == 5.0
    pacer.sent(6.0)
    assert 1.0 < pacer.interval < 2.0
    for second in range(7, 30):
        pacer.sent(float(second))
    assert pacer.interval == 1.0


def test_a_refusal_without_a_delay_still_waits() -> None:
    pacer = Pacer(1.0)
    pacer.throttled(0.0, 0.0)
    assert pacer.delay(0.0) == 2.0


@examples(60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60), st.integers(0, 10)), max_size=60))
def test_never_faster_than_the_budget_and_never_stuck(steps: list[tuple[bool, int, int]]) -> None:
    pacer = Pacer(1.0)
    now = 0.0
    for refused, retry_after, more in steps:
        now = pacer.ready_at(now) + more
        if refused:
            pacer.throttled(now, retry_after)
            assert pacer.delay(now) >= retry_after - TINY
        else:
            pacer.sent(now)
            assert pacer.delay(now) >= 1.0 - TINY
        assert 1.0 <= pacer.interval <= SLOWEST
        assert pacer.delay(now) <= max(SLOWEST, retry_after) + TINY
