"""Tables and charts as Slack's own blocks, where they fit the documented limits. No I/O.

After Slack's documentation of the blocks `data_table` and `data_visualization`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapters.base import ChartKind, Scalar
from bridge.render.characters import boundary, repair
from bridge.render.data import Data
from bridge.render.slack import SLACK

MAX_ROWS = 100  # besides the header
MAX_COLUMNS = 20
MAX_CHARACTERS = 10_000  # of all cells
MAX_CELL = 300  # characters shown of one; the CSV has all of it
MAX_CAPTION = 60  # no limit is documented
PAGE_ROWS = 10  # shown at once
LARGEST = 10**15  # a number of more digits is shown as text, as JavaScript would round it

MAX_TITLE = 50  # characters of a chart's
MAX_SERIES = 6
MAX_SEGMENTS = 6
MAX_POINTS = 20
MAX_LABEL = 20  # characters of a label, a category and a series' name

EMPTY = "–"  # a cell must hold a character
UNNAMED = "Table"


def rows_shown(data: Data) -> int:
    """How many rows of it a block of Slack's shows; 0 where there is none that takes it."""
    if data.chart is not None:
        return 0 if _chart(data) is None else len(data.rows)
    return max(0, len(_cells(data)) - 1)


def drawn(data: Data) -> dict[str, Any]:
    """The block. Only for what `rows_shown` says that it takes."""
    if data.chart is not None:
        return {"type": "data_visualization", "title": _title(data.title, MAX_TITLE), "chart": _chart(data)}
    cells = _cells(data)
    return {
        "type": "data_table",
        "caption": _title(data.title, MAX_CAPTION),
        "page_size": max(1, min(PAGE_ROWS, len(cells) - 1)),
        "rows": cells,
    }


def _cells(data: Data) -> list[list[dict[str, Any]]]:
    """The header and as many rows as fit."""
    columns = range(min(len(data.columns), MAX_COLUMNS))
    if not columns:
        return []
    header = [_text(data.columns[index]) for index in columns]
    numeric = [_is_numeric(data, index) for index in columns]
    left = MAX_CHARACTERS - _size(header)
    rows = [header]
    for row in data.rows[:MAX_ROWS]:
        values = (row[index] if index < len(row) else None for index in columns)
        cells = [_number(value) if numeric[at] else _text(value) for at, value in enumerate(values)]
        left -= _size(cells)
        if left < 0:
            break
        rows.append(cells)
    return rows


def _is_numeric(data: Data, index: int) -> bool:
    """Whether a column is sorted by number: all of it must be one then."""
    return all(
        index < len(row)
        and isinstance(value := row[index], int | float)
        and not isinstance(value, bool)
        and abs(value) < LARGEST
        for row in data.rows[:MAX_ROWS]
    )


def _size(cells: Sequence[dict[str, Any]]) -> int:
    return sum(len(cell["text"]) for cell in cells)


def _number(value: Scalar) -> dict[str, Any]:
    return {"type": "raw_number", "value": value, "text": str(value)}


def _text(value: Scalar) -> dict[str, Any]:
    text = "" if value is None else " ".join(repair(str(value)[: MAX_CELL * 4]).split())
    return {"type": "raw_text", "text": SLACK.escape(_cut(text, MAX_CELL)) or EMPTY}


def _chart(data: Data) -> dict[str, Any] | None:
    """None where it has more than a chart of Slack's takes, or a gap."""
    names, labels = [_label(name) for name in data.columns[1:]], [_label(label) for label in data.labels]
    if not all(_are_fit(some) for some in (names, labels)):
        return None
    series = data.series
    if data.chart is ChartKind.PIE:
        segments = [
            {"label": label, "value": value}
            for label, value in zip(labels, series[0], strict=True)
            if value is not None and value > 0
        ]
        fits = len(segments) == len(labels) <= MAX_SEGMENTS
        return {"type": "pie", "segments": segments} if fits else None
    whole = all(value is not None for one in series for value in one)
    if not whole or len(series) > MAX_SERIES or len(labels) > MAX_POINTS:
        return None
    return {
        "type": str(data.chart),
        "series": [
            {
                "name": name,
                "data": [{"label": label, "value": value} for label, value in zip(labels, one, strict=True)],
            }
            for name, one in zip(names, series, strict=True)
        ],
        "axis_config": {"categories": labels},
    }


def _are_fit(names: Sequence[str]) -> bool:
    """Whether there are names, and each is one of its own."""
    return 0 < len(names) == len(set(names)) and all(names)


def _label(text: str) -> str:
    return SLACK.escape(_cut(" ".join(text.split()), MAX_LABEL - 2))[:MAX_LABEL]


def _title(text: str, most: int) -> str:
    return SLACK.escape(_cut(" ".join(text.split()), most - 5))[:most] or UNNAMED


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: boundary(text, most - 1)]}…"
