"""Charts as text, for where a platform draws none: bars, each with its number, in a code block.

Text needs neither a drawing library nor fonts, is read out by screen readers, and can be copied. Every number stands
beside its bar, so nothing has to be guessed from a length.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.base import ChartKind
from bridge.render.characters import boundary, width
from bridge.render.data import Data
from bridge.render.measure import utf16
from bridge.render.style import Dialect

BARS = 20  # rows of a chart; more are drawn as one line for each series
BAR = 24  # columns of the longest bar
LABEL = 18  # characters of a label
SPARKS = 48  # columns of a line
SERIES = 6  # shown of a chart
LIMIT = 1_500  # UTF-16 units, as of a table's preview

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = "▁▂▃▄▅▆▇█"


def text_chart(data: Data, dialect: Dialect, *, limit: int = LIMIT) -> str:
    """A chart as Markdown for the platform, within `limit` UTF-16 units; "" where it holds no number."""
    series = data.series[:SERIES]
    known = [value for one in series for value in one if value is not None]
    if not known:
        return ""
    lines = bool(data.chart in (ChartKind.LINE, ChartKind.AREA) or len(data.rows) * len(series) > BARS)
    if data.chart is ChartKind.PIE:
        lines = len(data.rows) > BARS
    drawn = _lines(data, series, dialect) if lines else _bars(data, series, known, dialect)
    more = len(data.columns) - 1 - len(series)
    about = f"\n\n{more:,} more series in the file" if more > 0 else ""
    title = f"**{dialect.literal(_cut(data.title, 60))}**\n\n" if data.title else ""
    text = f"{title}```\n{drawn}\n```{about}"
    return text if utf16(text) <= limit else ""


def _bars(data: Data, series: Sequence[Sequence[float | None]], known: Sequence[float], dialect: Dialect) -> str:
    """A bar for each label, or for each series below each label."""
    longest = max(abs(value) for value in known) or 1.0
    total = sum(value for value in known if value > 0) if data.chart is ChartKind.PIE else 0.0
    if data.chart is ChartKind.PIE:
        series = series[:1]
    named = len(series) > 1
    names = [_name(name, dialect) for name in (data.columns[1:] if named else data.labels)]
    room = max(map(width, names), default=0)
    rows = []
    for index, label in enumerate(data.labels):
        if named:
            rows.append(_name(label, dialect) or "·")
        for number, one in enumerate(series):
            value = one[index]
            name = names[number] if named else names[index]
            lead = f"{name}{' ' * (room - width(name))}"
            share = f" ({value / total:.0%})" if total and value is not None and value > 0 else ""
            bar = "" if value is None else _bar(value / longest)
            rows.append(" ".join(filter(None, (lead, bar, f"{_shown(value)}{share}"))))
    return "\n".join(rows)


def _lines(data: Data, series: Sequence[Sequence[float | None]], dialect: Dialect) -> str:
    """Each series as one line of heights, with what it begins, ends and ranges with."""
    names = [_name(name, dialect) for name in data.columns[1 : 1 + len(series)]]
    room = max(map(width, names), default=0)
    rows = []
    for name, one in zip(names, series, strict=True):
        values = [value for value in one if value is not None]
        if not values:
            continue
        lead = f"{name}{' ' * (room - width(name))}"
        lowest, highest = min(values), max(values)
        span = f"{_shown(one[0])} → {_shown(one[-1])}, from {_shown(lowest)} to {_shown(highest)}"
        rows.append(f"{lead} {_spark(one, lowest, highest)} {span}".lstrip())
    ends = [_name(label, dialect) for label in (data.labels[0], data.labels[-1])]
    return "\n".join([*rows, f"{ends[0]} – {ends[1]} ({len(data.rows):,} values)"])


def _bar(share: float) -> str:
    if share < 0:
        return "░" * max(1, round(-share * BAR))
    eighths = round(share * BAR * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _spark(values: Sequence[float | None], lowest: float, highest: float) -> str:
    count = min(len(values), SPARKS)
    pieces = []
    for column in range(count):
        part = values[column * len(values) // count : (column + 1) * len(values) // count]
        there = [value for value in part if value is not None]
        if not there:
            pieces.append(" ")
            continue
        mean = sum(there) / len(there)
        height = (mean - lowest) / (highest - lowest) if highest > lowest else 0.5
        pieces.append(_HEIGHTS[min(int(height * len(_HEIGHTS)), len(_HEIGHTS) - 1)])
    return "".join(pieces)


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.4g}"


def _name(name: str, dialect: Dialect) -> str:
    return dialect.code(_cut(" ".join(name.split()), LABEL))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: boundary(text, most - 1)]}…"
