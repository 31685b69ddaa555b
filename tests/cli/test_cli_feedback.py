"""`threadbridge feedback`: what is written of words that anybody may have chosen. Nothing in a cell is a formula."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest

from bridge.cli.feedback import COLUMNS, lines, summary, write_csv
from bridge.store.ledger import Rated
from bridge.store.tables import Feedback, Thread, Turn


def rated(words: str, *, good: bool = False, question: str = "q") -> Rated:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    return Rated(
        Feedback(turn_id="t1", person="slack:U1", agent="support", good=good, words=words, at=at),
        Turn(id="t1", text=question, answer=None),  # type: ignore[call-arg]
        Thread(platform="slack", channel="C1", thread="1.0"),  # type: ignore[call-arg]
    )


@pytest.mark.parametrize("words", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(words: str) -> None:
    out = io.StringIO(newline="")
    write_csv([rated(words, question=words)], out)
    header, row = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert tuple(header) == COLUMNS
    assert row[COLUMNS.index("words")] == f"'{words}"
    assert row[COLUMNS.index("question")] == f"'{words}"


def test_commas_quotes_and_lines_come_back_as_they_were() -> None:
    words, out = 'one, "two"\nthree', io.StringIO(newline="")
    write_csv([rated(words, good=True)], out)
    _, row = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert row[COLUMNS.index("words")] == words
    assert row[COLUMNS.index("rating")] == "good"


def test_a_line_is_one_line_and_harmless_at_a_terminal() -> None:
    [line] = lines([rated("bad\nnews \x1b[31m" + "x" * 100)])
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(line) < 200


def test_they_are_counted() -> None:
    assert summary([rated("why"), rated("", good=True), rated("", good=True)]) == "2 good, 1 bad, 1 with words"
