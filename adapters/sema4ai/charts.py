"""Vega-Lite charts in Sema4.ai's messages, as far as their numbers stand in them. No I/O.

What would have to be computed (aggregates, transforms, layers) is left out: a wrong number is worse than none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from adapters.base import MAX_TABLE_ROWS, Chart, ChartKind, Series
from adapters.sema4ai.wire import Item
from adapters.text import one_line

MAX_SPEC = 4 * 2**20  # characters
MAX_SERIES = 20
MAX_NAME = 100  # characters

_KINDS = {
    "bar": ChartKind.BAR,
    "line": ChartKind.LINE,
    "trail": ChartKind.LINE,
    "point": ChartKind.LINE,
    "area": ChartKind.AREA,
    "arc": ChartKind.PIE,
}


def charts_in(items: Sequence[Item]) -> Iterator[Chart]:
    """The charts in these messages that can be read."""
    for item in items:
        for part in item.content if item.is_agents and isinstance(item.content, list) else ():
            is_chart = isinstance(part, dict) and part.get("kind") == "vega_chart"
            if is_chart and (chart := chart_of(part.get("chart_spec_raw"))):
                yield chart


def chart_of(raw: object) -> Chart | None:
    if not isinstance(raw, str) or len(raw) > MAX_SPEC:
        return None
    try:
        spec = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(spec, dict) or spec.get("transform"):
        return None
    rows = [row for row in _list(_dict(spec.get("data")).get("values")) if isinstance(row, dict)]
    mark = spec.get("mark")
    kind = _KINDS.get(str(mark.get("type") if isinstance(mark, dict) else mark))
    encoding = _dict(spec.get("encoding"))
    if kind is None or not rows or len(rows) > MAX_TABLE_ROWS:
        return None
    if any(_dict(channel).get("aggregate") or _dict(channel).get("bin") for channel in encoding.values()):
        return None
    label, value, group = _fields(kind, encoding)
    if not label or not value:
        return None
    title = spec.get("title")
    name = one_line(str(_dict(title).get("text") or "") if isinstance(title, dict) else str(title or ""), MAX_NAME)
    return _drawn(
        name or "chart",
        kind,
        [(row.get(group) if group else value, row.get(label), row.get(value)) for row in rows],
    )


def _fields(kind: ChartKind, encoding: dict[str, Any]) -> tuple[str, str, str]:
    """The names of the columns that hold labels, values and, where there are several series, their names."""
    channel = {name: _dict(found) for name, found in encoding.items()}
    field = {name: str(found.get("field") or "") for name, found in channel.items()}
    if kind is ChartKind.PIE:
        return field.get("color", ""), field.get("theta", ""), ""
    x, y = field.get("x", ""), field.get("y", "")
    across = (
        channel.get("x", {}).get("type") == "quantitative" and channel.get("y", {}).get("type") != "quantitative"
    )
    label, value = (y, x) if across else (x, y)
    group = field.get("color", "")
    return label, value, "" if group == label else group


def _drawn(name: str, kind: ChartKind, cells: list[tuple[Any, Any, Any]]) -> Chart | None:
    labels: dict[str, None] = {}
    lines: dict[str, dict[str, float | None]] = {}
    for group, label, value in cells:
        labels[str(label)] = None
        line = lines.setdefault(str(group), {})
        if str(label) in line:  # it would have to be added up
            return None
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        line[str(label)] = float(value) if fits else None
    if len(lines) > MAX_SERIES:
        return None
    series = (Series(group, tuple(line.get(label) for label in labels)) for group, line in lines.items())
    return Chart(name, kind, tuple(labels), tuple(series))


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
