"""What people think of answers, as lines for an operator or as a CSV file. Every cell is hostile text."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from bridge.printable import printable_line
from bridge.store.ledger import Rated

COLUMNS = ("at", "agent", "rating", "words", "person", "thread", "turn", "question", "answer")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with what spreadsheets begin one
MAX_WORDS = 60  # characters of the words in a line


def summary(rated: Sequence[Rated]) -> str:
    """How many of each."""
    good = sum(one.feedback.good for one in rated)
    worded = sum(bool(one.feedback.words) for one in rated)
    return f"{good} good, {len(rated) - good} bad, {worded} with words"


def lines(rated: Iterable[Rated]) -> Iterator[str]:
    for one in rated:
        at, agent, rating, words, person, thread, turn, *_ = _cells(one)
        said = printable_line(words)
        short = said if len(said) <= MAX_WORDS else f"{said[: MAX_WORDS - 1]}…"
        yield "\t".join((turn, at, agent, f"{rating:4}", person, thread, short or "-"))


def write_csv(rated: Iterable[Rated], out: TextIO) -> None:
    """Cells that a spreadsheet would take for a formula begin with an apostrophe."""
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for one in rated:
        writer.writerow([_harmless(cell) for cell in _cells(one)])


def save_csv(rated: Iterable[Rated], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        write_csv(rated, file)


def _cells(one: Rated) -> tuple[str, ...]:
    feedback, turn, place = one.feedback, one.turn, one.thread
    return (
        feedback.at.isoformat(timespec="seconds"),
        feedback.agent,
        "good" if feedback.good else "bad",
        feedback.words,
        feedback.person,
        f"{place.platform}:{place.channel}:{place.thread}",
        turn.id,
        turn.text,
        turn.answer or "",
    )


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell
