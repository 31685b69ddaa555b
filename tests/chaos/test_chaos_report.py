"""What a chaos run says in the end."""

from __future__ import annotations

import pytest

from tests.chaos import report
from tests.chaos.judge import Finding, Kind, Observed, Standing
from tests.chaos.recovery import Row
from tests.chaos.words import answer

FACTS = {
    "seed": 7, "database": "sqlite", "replicas": 1, "rate": 6.0, "turns": 2, "threads": 1, "seconds": 12.0,
    "presses": 0, "unwritten": 0, "held_back": 0, "ended": 0, "rested": True, "left_out": ["disk full"],
    "states": {"done/done": 2},
}  # fmt: skip
OBSERVED = Observed(
    [], [], {"a": [Standing(answer("t0m0", 9)), Standing("A word about it", growing=True)], "b": []}
)


@pytest.mark.parametrize("kind", list(Kind))
def test_it_says_whether_the_promise_was_kept(kind: Kind) -> None:
    found = report.as_json(FACTS, OBSERVED, [Finding(kind, "a", "t0m1", "some detail")], [])
    assert report.kept(found) is not kind.breaks
    assert (f"{kind.value}: t0m1 in a: some detail" in report.drawn(found)) is kind.breaks
    assert f"| {kind.value} | 1 |" in report.drawn(found)


def test_the_json_shows_the_threads_that_broke() -> None:
    found = report.as_json(FACTS, OBSERVED, [Finding(Kind.TORN, "a", "t0m0")], [])
    assert found["broken"] == {"a": ["9 words, t0m0x0 to t0m0x8", "A word about it (growing)"]}


def test_each_fault_has_its_row_and_what_was_left_out_is_named() -> None:
    rows = [Row("SIGKILL", 3, 1.234, 2.0, None), Row("disk", 1, None, None, 0.26)]
    drawn = report.drawn(report.as_json(FACTS, OBSERVED, [], rows))
    assert "| SIGKILL | 3 | 1.2 s | 2.0 s |  |" in drawn
    assert "| disk | 1 |  |  | 0.3 s |" in drawn
    assert "`threadbridge turns`: 2 done/done" in drawn
    assert "not tried in this run: disk full" in drawn
    assert drawn.endswith("the promise was kept")
