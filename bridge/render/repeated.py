"""Whether a text shows a table already, so that nobody sees it twice. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from adapters.base import Scalar
from bridge.render.data import Data
from bridge.render.tables import is_delimiter, plain, split_row

COMPARED = 3  # rows

_FENCE = re.compile(r"\s*(`{3,}|~{3,})")


def shows(markdown: str, data: Data) -> bool:
    """Whether one of the text's tables has the same header and begins with the same rows, in whatever form its
    numbers are written."""
    header = [_words(name) for name in data.columns]
    for names, rows in _tables(markdown):
        if [_words(plain(name)) for name in names] != header:
            continue
        pairs = zip(rows, data.rows[:COMPARED], strict=False)
        if bool(rows) == bool(data.rows) and all(_same_row(shown, row) for shown, row in pairs):
            return True
    return False


def _tables(markdown: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The header and the first rows of each table outside code."""
    lines = markdown.split("\n")
    fence = ""
    for at, line in enumerate(lines):
        marker = _FENCE.match(line)
        if marker is not None:
            if not fence:
                fence = marker[1]
            elif marker[1].startswith(fence):
                fence = ""
        elif (
            not fence
            and "|" in line
            and at + 1 < len(lines)
            and "-" in lines[at + 1]
            and is_delimiter(lines[at + 1])
        ):
            rows = []
            for row in lines[at + 2 : at + 2 + COMPARED]:
                if "|" not in row:
                    break
                rows.append(split_row(row))
            yield split_row(line), rows


def _same_row(shown: Sequence[str], row: Sequence[Scalar]) -> bool:
    return len(shown) == len(row) and all(
        _same(plain(cell), value) for cell, value in zip(shown, row, strict=True)
    )


def _same(shown: str, value: Scalar) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        digits = shown.replace(",", "").replace("\u202f", "").strip(" $€£%")
        try:
            number = float(digits)
        except ValueError:
            return False
        decimals = len(digits.partition(".")[2]) if "e" not in digits.lower() else 6
        return abs(number - value) <= 10.0**-decimals
    return _words(shown) == _words("" if value is None else str(value))


def _words(text: str) -> str:
    return " ".join(text.split()).casefold()
