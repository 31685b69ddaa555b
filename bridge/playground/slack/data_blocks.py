"""What Slack refuses about its tables and charts of data. No I/O.

After Slack's documentation of the blocks `data_table` and `data_visualization`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from bridge.playground.slack.values import Json

# Documented.
MAX_ROWS = 101  # with the header
MAX_COLUMNS = 20
MAX_PAGE = 100
MAX_CHARACTERS = 10_000  # of all cells of a message
MAX_TITLE = 50
MAX_SERIES = 6
MAX_SEGMENTS = 6
MAX_POINTS = 20
MAX_LABEL = 20
# Not documented; measured by others.
MAX_CHARTS = 2  # in one message

_TABLE_FIELDS = {"type", "block_id", "rows", "page_size", "caption", "row_header_column_index"}
_CHART_FIELDS = {"type", "block_id", "title", "chart"}
_SERIES_CHARTS = ("line", "bar", "area")


def data_table(block: Json, at: str) -> list[str]:
    return [f"{problem} [json-pointer:{at}{place}]" for place, problem in _table(block)]


def data_visualization(block: Json, at: str) -> list[str]:
    return [f"{problem} [json-pointer:{at}{place}]" for place, problem in _visualization(block)]


def too_many(blocks: Sequence[Json]) -> list[str]:
    """What a message's blocks exceed together."""
    problems = []
    charts = sum(1 for block in blocks if block.get("type") == "data_visualization")
    if charts > MAX_CHARTS:
        problems.append(f"no more than {MAX_CHARTS} data_visualization blocks [json-pointer:/blocks]")
    characters = sum(
        len(str(cell.get("text", "")))
        for block in blocks
        if block.get("type") == "data_table" and isinstance(block.get("rows"), list)
        for row in block["rows"]
        if isinstance(row, list)
        for cell in row
        if isinstance(cell, dict)
    )
    if characters > MAX_CHARACTERS:
        problems.append(f"cells must have at most {MAX_CHARACTERS} characters in all [json-pointer:/blocks]")
    return problems


def _table(block: Json) -> Iterator[tuple[str, str]]:
    yield from (("", f"unknown field: {name}") for name in set(block) - _TABLE_FIELDS)
    if not isinstance(block.get("caption"), str) or not block["caption"]:
        yield "", "missing required field: caption"
    page = block.get("page_size", 5)
    if not isinstance(page, int) or not 1 <= page <= MAX_PAGE:
        yield "/page_size", f"must be between 1 and {MAX_PAGE}"
    rows = block.get("rows")
    if not isinstance(rows, list) or not 2 <= len(rows) <= MAX_ROWS:
        yield "/rows", f"must have between 2 and {MAX_ROWS} items"
        return
    width = len(rows[0]) if isinstance(rows[0], list) else 0
    index = block.get("row_header_column_index", 0)
    if not isinstance(index, int) or not 0 <= index < max(width, 1):
        yield "/row_header_column_index", "must be a column"
    for number, row in enumerate(rows):
        if not isinstance(row, list) or not 1 <= len(row) <= MAX_COLUMNS:
            yield f"/rows/{number}", f"must have between 1 and {MAX_COLUMNS} items"
            continue
        if len(row) != width:
            yield f"/rows/{number}", "all rows must have the same number of cells"
        for column, cell in enumerate(row):
            yield from ((f"/rows/{number}/{column}", problem) for problem in _cell(cell, header=number == 0))


def _cell(cell: Any, *, header: bool) -> Iterator[str]:
    match cell:
        case {"type": "raw_text" | "raw_number"} if not isinstance(cell.get("text"), str) or not cell["text"]:
            yield "must be more than 0 characters"
        case {"type": "raw_number"} if not _is_number(cell.get("value")):
            yield "value must be a number"
        case {"type": "raw_text" | "raw_number"}:
            pass
        case {"type": "rich_text", "elements": list()} if not header:
            pass
        case _:
            yield "unsupported type"


def _visualization(block: Json) -> Iterator[tuple[str, str]]:
    yield from (("", f"unknown field: {name}") for name in set(block) - _CHART_FIELDS)
    yield from (("/title", problem) for problem in _words(block.get("title"), MAX_TITLE))
    match block.get("chart"):
        case {"type": "pie", "segments": list(segments), **more} if not more:
            if not 1 <= len(segments) <= MAX_SEGMENTS:
                yield "/chart/segments", f"must have between 1 and {MAX_SEGMENTS} items"
            for index, segment in enumerate(segments):
                yield from _point(segment, f"/chart/segments/{index}")
                if isinstance(segment, dict) and _is_number(segment.get("value")) and segment["value"] <= 0:
                    yield f"/chart/segments/{index}/value", "must be greater than 0"
        case {"type": str(kind), "series": list(series), "axis_config": dict(axis), **more} if (
            kind in _SERIES_CHARTS and not more
        ):
            yield from _series(series, axis)
        case _:
            yield "/chart", "failed to match any allowed schemas"


def _series(series: list[Any], axis: Json) -> Iterator[tuple[str, str]]:
    categories = axis.get("categories")
    if not isinstance(categories, list) or not 1 <= len(categories) <= MAX_POINTS:
        yield "/chart/axis_config/categories", f"must have between 1 and {MAX_POINTS} items"
        return
    for category in categories:
        yield from (("/chart/axis_config/categories", problem) for problem in _words(category, MAX_LABEL))
    if set(axis) - {"categories", "x_label", "y_label"}:
        yield "/chart/axis_config", "unknown field"
    for name in ("x_label", "y_label"):
        if name in axis:
            yield from ((f"/chart/axis_config/{name}", problem) for problem in _words(axis[name], MAX_TITLE))
    if not 1 <= len(series) <= MAX_SERIES:
        yield "/chart/series", f"must have between 1 and {MAX_SERIES} items"
    names = [one.get("name") if isinstance(one, dict) else None for one in series]
    if len(set(map(str, names))) != len(names):
        yield "/chart/series", "names must be unique"
    for index, one in enumerate(series):
        place = f"/chart/series/{index}"
        yield from ((f"{place}/name", problem) for problem in _words(names[index], MAX_LABEL))
        data = one.get("data") if isinstance(one, dict) else None
        if not isinstance(data, list) or not 1 <= len(data) <= MAX_POINTS:
            yield f"{place}/data", f"must have between 1 and {MAX_POINTS} items"
            continue
        for at, point in enumerate(data):
            yield from _point(point, f"{place}/data/{at}")
        labels = [point.get("label") for point in data if isinstance(point, dict)]
        if sorted(map(str, labels)) != sorted(map(str, categories)):
            yield f"{place}/data", "labels must match the categories"


def _point(point: Any, place: str) -> Iterator[tuple[str, str]]:
    if not isinstance(point, dict) or set(point) != {"label", "value"}:
        yield place, "must have a label and a value"
        return
    yield from ((f"{place}/label", problem) for problem in _words(point["label"], MAX_LABEL))
    if not _is_number(point["value"]):
        yield f"{place}/value", "must be a number"


def _words(text: Any, most: int) -> Iterator[str]:
    if not isinstance(text, str) or not text:
        yield "must be more than 0 characters"
    elif len(text) > most:
        yield f"must be less than {most + 1} characters"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
