"""What a chaos run measures after a fault."""

from __future__ import annotations

import pytest

from tests.chaos.recovery import Hit, percentile, recovered, rows, stalled
from tests.chaos.watching import Seen

HIT = Hit("a fault", begun=10.0, ended=20.0, replica=0, threads=frozenset({"a", "b"}))


def test_recovery_is_the_first_sign_by_a_replica_that_was_not_hit() -> None:
    changes = [Seen(9.0, 1, "a"), Seen(11.0, 0, "a"), Seen(12.0, 1, "a"), Seen(13.0, 1, "a"), Seen(14.0, 1, "c")]
    assert recovered(HIT, changes) == {"a": 2.0}


def test_or_by_the_one_that_was_hit_once_the_fault_is_over() -> None:
    assert recovered(HIT, [Seen(19.0, 0, "b"), Seen(21.5, 0, "b")]) == {"b": 11.5}


def test_a_fault_of_all_ends_with_any_sign() -> None:
    everywhere = Hit("a fault", 10.0, 20.0, None, frozenset({"a"}))
    assert recovered(everywhere, [Seen(10.5, 0, "a")]) == {"a": 0.5}


@pytest.mark.parametrize(
    ("calls", "longest"),
    [
        ([], 10.0),
        ([Seen(12.0, 1, "x"), Seen(13.0, 1, "x")], 7.0),
        ([Seen(15.0, 0, "x"), Seen(16.0, 1, "x")], 6.0),  # calls of the one that was hit don't count
        ([Seen(at / 2, 1, "x") for at in range(100)], 0.5),
    ],
)
def test_the_longest_time_in_which_the_others_called_nobody(calls: list[Seen], longest: float) -> None:
    assert stalled(HIT, calls) == longest


def test_a_lone_replica_has_no_others() -> None:
    [row] = rows([HIT, HIT], [Seen(12.0, 1, "a"), Seen(14.0, 1, "b")], [], replicas=1)
    assert (row.name, row.count, row.recovery_p50, row.recovery_p95, row.stall) == ("a fault", 2, 4.0, 4.0, None)


def test_percentiles() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(n) for n in range(100)], 0.95) == 95.0
