"""Figures for a simulated agent: what a CSV holds, and a chart of it as a picture. No I/O."""

from __future__ import annotations

import csv
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

MAX_ROWS = 24  # looked at, and bars of a chart
MAX_COLUMNS = 6
WIDTH, HEIGHT = 440, 220  # pixels
MARGIN = 18
GAP = 6  # between two bars
LINES = 4  # of the grid
PAPER, GRID, BAR, BEST = (255, 255, 255), (226, 232, 240), (71, 119, 200), (217, 119, 6)

Cell = str | int | float
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Figures:
    """A small table whose first column names its rows."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def measure(self) -> int | None:
        """The first column of numbers."""
        numbers = (
            index
            for index in range(1, len(self.columns))
            if all(not isinstance(row[index], str) for row in self.rows)
        )
        return next(numbers, None)

    def values(self) -> list[float]:
        """The numbers of the measure; empty if there is none."""
        index = self.measure
        return [] if index is None else [float(row[index]) for row in self.rows]


def read_csv(content: bytes) -> Figures | None:
    """The first rows and columns of a CSV with a head; None for anything else."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
        head, *rows = islice(csv.reader(lines), MAX_ROWS + 1)
    except (UnicodeDecodeError, csv.Error, ValueError):
        return None
    whole = [tuple(map(_cell, row[:MAX_COLUMNS])) for row in rows if len(row) == len(head)]
    if len(head) < 2 or not whole:
        return None
    return Figures(tuple(head[:MAX_COLUMNS]), tuple(whole))


def _cell(text: str) -> Cell:
    try:
        number = float(text)
    except ValueError:
        return text
    if not abs(number) < 1e15:  # nor infinity and not a number
        return text
    return int(number) if number.is_integer() and "." not in text else number


def bar_chart(values: Sequence[float]) -> bytes:
    """A PNG with a bar for each value, the highest in another colour."""
    rows = [bytearray(bytes(PAPER) * WIDTH) for _ in range(HEIGHT)]
    floor, height = HEIGHT - MARGIN, HEIGHT - 2 * MARGIN
    for line in range(LINES + 1):
        _fill(rows, MARGIN, floor - height * line // LINES, WIDTH - 2 * MARGIN, 1, GRID)
    top = max(values, default=0) or 1
    step = (WIDTH - 2 * MARGIN) / max(len(values), 1)
    for index, value in enumerate(values):
        tall = max(0, round(height * value / top))
        left = MARGIN + round(index * step) + GAP // 2
        _fill(rows, left, floor - tall, max(1, round(step) - GAP), tall, BEST if value == top else BAR)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _fill(rows: list[bytearray], left: int, top: int, width: int, height: int, colour: Colour) -> None:
    for y in range(max(top, 0), min(top + height, HEIGHT)):
        rows[y][3 * left : 3 * (left + width)] = bytes(colour) * width


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
