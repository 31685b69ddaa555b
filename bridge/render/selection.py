"""Which columns of a table a person wants, and how its rows are sorted. No I/O.

Columns are named with commas between them: `month,total`. So are those to sort by, the first one first; a minus before
one sorts down: `-total,month`. Names are found whatever their capitals.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.base import Scalar

MAX_NAMED = 30  # columns that are named to a person who asked for one that isn't there
MAX_NAME = 40  # characters of each

_WORD = re.compile(r"(?:^|(?<=\s))(columns|sort)=", re.IGNORECASE)

Rows = Sequence[Sequence[Scalar]]


class WrongSelection(Exception):
    """`str(error)` is a sentence for the person, as Markdown."""


@dataclass(frozen=True, slots=True)
class Selection:
    """As a person wrote it; "" leaves columns or rows as they are."""

    columns: str = ""
    sort: str = ""

    def __bool__(self) -> bool:
        return bool(self.columns or self.sort)


NO_SELECTION = Selection()


def split(words: str) -> tuple[str, Selection]:
    """A file's name, and what follows it: `sales.csv columns=month,total sort=-total`."""
    marks = list(_WORD.finditer(words))
    if not marks:
        return words.strip(), NO_SELECTION
    ends = [*(mark.start() for mark in marks[1:]), len(words)]
    given = {
        mark[1].lower(): words[mark.end() : end].strip().strip('"') for mark, end in zip(marks, ends, strict=True)
    }
    return words[: marks[0].start()].strip(), Selection(given.get("columns", ""), given.get("sort", ""))


def select(columns: Sequence[str], rows: Rows, selection: Selection) -> tuple[Sequence[str], Rows]:
    """The columns and rows that are wanted.

    :raises WrongSelection: a column isn't there.
    """
    for name in reversed(_listed(selection.sort)):
        rows = _sorted(rows, _index(columns, name.removeprefix("-")), down=name.startswith("-"))
    wanted = [_index(columns, name) for name in _listed(selection.columns)]
    if not wanted:
        return columns, rows
    return [columns[at] for at in wanted], [[row[at] for at in wanted] for row in rows]


def _listed(names: str) -> list[str]:
    return [name for name in (one.strip() for one in names.split(",")) if name]


def _index(columns: Sequence[str], name: str) -> int:
    name = name.strip()
    if name in columns:
        return columns.index(name)
    folded = [column.strip().casefold() for column in columns]
    if folded.count(name.casefold()) != 1:
        known = ", ".join(_code(column) for column in columns[:MAX_NAMED])
        more = ", …" if len(columns) > MAX_NAMED else ""
        raise WrongSelection(f"There is no column {_code(name)} in that table. It has {known}{more}.")
    return folded.index(name.casefold())


def _sorted(rows: Rows, at: int, *, down: bool) -> Rows:
    """Empty cells come last either way; a column of numbers that came as text is sorted as numbers."""
    there = [row for row in rows if row[at] not in (None, "")]
    empty = [row for row in rows if row[at] in (None, "")]
    numbers = [_number(row[at]) for row in there]
    if all(number is not None for number in numbers):
        order = sorted(range(len(there)), key=lambda index: numbers[index] or 0.0, reverse=down)
    else:
        order = sorted(range(len(there)), key=lambda index: str(there[index][at]).casefold(), reverse=down)
    return [*(there[index] for index in order), *empty]


def _number(value: Scalar) -> float | None:
    try:
        number = float(value) if value is not None else None
    except (ValueError, OverflowError):
        return None
    return None if number is None or number != number else number  # no order has a place for "not a number"


def _code(name: str) -> str:
    line = " ".join(name.replace("`", "'").split())
    return f"`{line if len(line) <= MAX_NAME else line[: MAX_NAME - 1] + '…'}`"
