"""Rows of data and what may be drawn of them: the one form of tables and charts from an agent's event to the thread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.base import Chart, ChartKind, Scalar, Table
from bridge.render.tables import to_csv

MOST = 10**300  # a larger number isn't drawn


@dataclass(frozen=True, slots=True)
class Data:
    """A table, or a chart: then the first column holds its labels, and each other one a series."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Scalar]]
    truncated: bool = False  # there are more rows than these
    chart: ChartKind | None = None

    @classmethod
    def of(cls, event: Table | Chart) -> Data:
        if isinstance(event, Table):
            return cls(event.name, event.columns, event.rows, event.truncated)
        columns = ("", *(one.name or f"Series {number}" for number, one in enumerate(event.series, 1)))
        rows = [
            (label, *(one.values[index] if index < len(one.values) else None for one in event.series))
            for index, label in enumerate(event.labels)
        ]
        return cls(event.name, columns, rows, chart=event.kind)

    @classmethod
    def stored(cls, title: str, value: Mapping[str, Any]) -> Data:
        """From the JSON of an artifact."""
        chart = value.get("chart")
        return cls(
            title,
            value["columns"],
            value["rows"],
            bool(value.get("truncated")),
            ChartKind(chart) if chart else None,
        )

    @property
    def series(self) -> Sequence[Sequence[float | None]]:
        """Of a chart: the values of each of its series."""
        return [[_number(row[column]) for row in self.rows] for column in range(1, len(self.columns))]

    @property
    def labels(self) -> Sequence[str]:
        return [_words(row[0]) for row in self.rows]

    def same_rows(self, other: Data) -> bool:
        return [list(row) for row in self.rows] == [list(row) for row in other.rows]

    def csv(self) -> bytes:
        return to_csv(self.columns, self.rows)


def _number(value: Scalar) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MOST:
        return None
    return value if math.isfinite(value) else None


def _words(value: Scalar) -> str:
    return "" if value is None else str(value)
