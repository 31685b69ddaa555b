"""Slack's blocks of data as HTML: a table with its first page open, a chart as a drawing."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

KINDS = ("data_table", "data_visualization")
WIDTH, HEIGHT = 420, 190  # of a chart's field, in its own units
LEFT, BOTTOM = 46, 22  # room for the axes
COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2")
PAGE = 5  # rows that Slack shows at once where nothing is said


def data_html(block: Json) -> str:
    """Of a block whose kind is one of `KINDS`."""
    return _table(block) if block["type"] == "data_table" else _chart(block)


def _table(block: Json) -> str:
    head, *rows = block["rows"]
    page = block.get("page_size", PAGE)
    first, more = rows[:page], rows[page:]
    rest = f"<details><summary>{len(more)} more rows</summary>{_rows(head, more)}</details>" if more else ""
    return f'<div class="data"><b>{_safe(block["caption"])}</b>{_rows(head, first)}{rest}</div>'


def _rows(head: Sequence[Json], rows: Sequence[Sequence[Json]]) -> str:
    names = "".join(f"<th>{_safe(cell['text'])}</th>" for cell in head)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table>"


def _cell(cell: Json) -> str:
    aligned = ' class="number"' if cell["type"] == "raw_number" else ""
    return f"<td{aligned}>{_safe(cell.get('text', ''))}</td>"


def _chart(block: Json) -> str:
    chart = block["chart"]
    if chart["type"] == "pie":
        drawn, names = "".join(_slices(chart["segments"])), [_share(one, chart) for one in chart["segments"]]
        box = f"0 0 {HEIGHT} {HEIGHT}"
    else:
        drawn, names = "".join(_plot(chart)), [one["name"] for one in chart["series"]]
        box = f"0 0 {WIDTH} {HEIGHT}"
    legend = "".join(
        f'<span><svg viewBox="0 0 8 8"><rect width="8" height="8" fill="{_colour(index)}"/></svg>{_safe(name)}</span>'
        for index, name in enumerate(names)
    )
    title = _safe(block["title"])
    svg = f'<svg class="chart" role="img" aria-label="{title}" viewBox="{box}">{drawn}</svg>'
    return f'<div class="data"><b>{title}</b>{svg}<div class="legend">{legend}</div></div>'


def _share(segment: Json, chart: Json) -> str:
    total = sum(one["value"] for one in chart["segments"])
    return f"{segment['label']} {segment['value'] / total:.0%}"


def _slices(segments: Sequence[Json]) -> Iterator[str]:
    middle, radius = HEIGHT / 2, HEIGHT / 2 - 6
    total = sum(one["value"] for one in segments)
    if len(segments) == 1:
        yield f'<circle cx="{middle}" cy="{middle}" r="{radius}" fill="{_colour(0)}"/>'
        return
    angle = -math.pi / 2
    for index, one in enumerate(segments):
        end = angle + 2 * math.pi * one["value"] / total
        x0, y0, x1, y1 = (middle + radius * turn(at) for at in (angle, end) for turn in (math.cos, math.sin))
        large = int(end - angle > math.pi)
        yield (
            f'<path d="M{middle} {middle}L{x0:.1f} {y0:.1f}A{radius} {radius} 0 {large} 1 {x1:.1f} {y1:.1f}Z"'
            f' fill="{_colour(index)}"/>'
        )
        angle = end


def _plot(chart: Json) -> Iterator[str]:
    values: list[float] = [point["value"] for one in chart["series"] for point in one["data"]]
    lowest, highest = min(0.0, *values), max(0.0, *values)
    span = (highest - lowest) or 1.0

    def high(value: float) -> float:
        return (HEIGHT - BOTTOM) - (HEIGHT - BOTTOM - 8) * (value - lowest) / span

    for part in range(5):
        value = lowest + span * part / 4
        yield f'<line x1="{LEFT}" x2="{WIDTH}" y1="{high(value):.1f}" y2="{high(value):.1f}" class="grid"/>'
        yield f'<text x="{LEFT - 4}" y="{high(value) + 3:.1f}" text-anchor="end">{value:,.4g}</text>'
    labels = chart["axis_config"]["categories"]
    step = (WIDTH - LEFT) / len(labels)
    every = max(1, len(labels) // 7)
    for index, label in enumerate(labels):
        if index % every == 0:
            x = LEFT + step * (index + 0.5)
            yield f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{_safe(label)}</text>'
    for number, one in enumerate(chart["series"]):
        by_label = {point["label"]: point["value"] for point in one["data"]}
        if chart["type"] == "bar":
            thick = step * 0.8 / len(chart["series"])
            for index, label in enumerate(labels):
                top, base = sorted((high(by_label[label]), high(0)))
                x = LEFT + step * (index + 0.1) + thick * number
                yield (
                    f'<rect x="{x:.1f}" y="{top:.1f}" width="{thick:.1f}" height="{base - top:.1f}"'
                    f' fill="{_colour(number)}"/>'
                )
            continue
        points = [(LEFT + step * (index + 0.5), high(by_label[label])) for index, label in enumerate(labels)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        if chart["type"] == "area":
            closed = f"{points[0][0]:.1f},{high(0):.1f} {line} {points[-1][0]:.1f},{high(0):.1f}"
            yield f'<polygon points="{closed}" fill="{_colour(number)}" fill-opacity="0.3"/>'
        yield f'<polyline points="{line}" fill="none" stroke="{_colour(number)}" stroke-width="2"/>'


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _safe(text: object) -> str:
    return html.escape(str(text))
