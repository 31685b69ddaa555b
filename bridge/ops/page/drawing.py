"""The last hour as shapes for the page's SVG, in a box of `WIDTH` by `HEIGHT`. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.ops.page.hour import Hour, Minute, Pace, Some

WIDTH, HEIGHT = 600, 100
GAP = 2  # between two bars


@dataclass(frozen=True, slots=True)
class Piece:
    """Of a bar: what ended so in one minute."""

    kind: str
    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    ago: int  # minutes
    minute: Minute
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Curve:
    kind: str
    path: str  # "" where nothing was measured


@dataclass(frozen=True, slots=True)
class Curves:
    top: float  # seconds at the upper edge
    curves: Sequence[Curve]


@dataclass(frozen=True, slots=True)
class Picture:
    top: int  # turns at the upper edge
    bar: float  # width of one
    bars: Sequence[Bar]
    first_words: Curves
    total: Curves


def drawn(hour: Hour) -> Picture:
    top = round(rounded_up(max((one.all for one in hour.minutes), default=0), least=4))
    step = WIDTH / len(hour.minutes)
    bars = [
        Bar(round(index * step, 2), len(hour.minutes) - 1 - index, minute, _pieces(minute, index * step, top))
        for index, minute in enumerate(hour.minutes)
    ]
    return Picture(
        top,
        round(step - GAP, 2),
        bars,
        _curves(hour.spans, lambda one: one.first_words),
        _curves(hour.spans, lambda one: one.total),
    )


def rounded_up(value: float, *, least: float) -> float:
    """The next of 1, 2, 5, 10, 20, … that isn't less."""
    found = 1.0
    while found < max(value, least):
        for factor in (2, 2.5, 2):
            found *= factor
            if found >= max(value, least):
                break
    return found


def _pieces(minute: Minute, x: float, top: int) -> Sequence[Piece]:
    found, below = [], 0.0
    for kind, count in (("answered", minute.answered), ("stopped", minute.stopped), ("failed", minute.failed)):
        if count:
            height = count / top * HEIGHT
            below += height
            found.append(Piece(kind, round(x + GAP / 2, 2), round(HEIGHT - below, 2), round(height, 2)))
    return found


def _curves(spans: Sequence[Some], of: Callable[[Some], Pace]) -> Curves:
    paces = [of(one) for one in spans]
    top = rounded_up(max((pace.p95 or 0.0 for pace in paces), default=0.0), least=1)
    curves = (
        Curve("p95", _path([pace.p95 for pace in paces], top)),
        Curve("p50", _path([pace.p50 for pace in paces], top)),
    )
    return Curves(top, curves)


def _path(values: Sequence[float | None], top: float) -> str:
    """Broken where nothing was measured. A point by itself is a stroke without length, whose round ends show."""
    step = WIDTH / len(values)
    steps: list[str] = []
    pen_down = False
    for index, value in enumerate(values):
        if value is None:
            pen_down = False
            continue
        x, y = round((index + 0.5) * step, 1), round(HEIGHT - value / top * HEIGHT, 1)
        steps.append(f"L{x} {y}" if pen_down else f"M{x} {y}h0.1")
        pen_down = True
    return "".join(steps)
