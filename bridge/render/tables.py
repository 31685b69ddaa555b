"""Tables: from Markdown to what a platform shows, previews, and CSV files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from markdown_it import MarkdownIt

from adapters.base import Scalar
from bridge.render.characters import boundary, width
from bridge.render.inline import Inline, code_safe
from bridge.render.measure import utf16
from bridge.render.style import Dialect

WIDEST = 90  # columns of a code block that a desktop window shows without wrapping lines
_SLACK_COLUMNS = 20  # the most that a table of Slack's may have

PREVIEW_ROWS = 10
PREVIEW_LIMIT = 1_500  # UTF-16 units; goes with a file, where Discord allows 2,000
_CELL = 40  # characters of a cell in a preview

Alignment = Literal["left", "right", "center"]

_PIPE = re.compile(r"(?<!\\)((?:\\\\)*)\|")
_DELIMITER = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?")
_BREAK = re.compile(r"\s*(?:<br\s*/?>|[\r\n]+)\s*", re.IGNORECASE)
_MARKUP = re.compile(r"[\\`*_~|\[\]<>#&]")
_LINKED = re.compile(r"\]\(\S")
_BREAKS = ("softbreak", "hardbreak")
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

_parser = MarkdownIt("commonmark", {"html": False}).enable("strikethrough")


def is_delimiter(line: str) -> bool:
    """Whether a line is the one between a Markdown table's header and its rows."""
    return _DELIMITER.fullmatch(line.strip()) is not None


def split_row(line: str) -> list[str]:
    """The cells of a line of a Markdown table, their Markdown as it stands."""
    line = line.strip()
    cells = []
    start = 1 if line.startswith("|") else 0
    for pipe in _PIPE.finditer(line, start):
        cells.append(line[start : pipe.end() - 1].strip())
        start = pipe.end()
    if start < len(line):
        cells.append(line[start:].strip())
    return cells


def alignments(delimiter: str) -> list[Alignment]:
    """What a table's delimiter line says of each column."""
    return [
        "center" if cell.startswith(":") and cell.endswith(":") else "right" if cell.endswith(":") else "left"
        for cell in split_row(delimiter)
    ]


def layout(
    header: Sequence[str], sides: Sequence[Alignment], rows: Iterable[Sequence[str]], dialect: Dialect
) -> str:
    """Render a Markdown table: as a table where the platform has them, else lined up in a code block, else, if
    that is too wide or would lose links, row by row."""
    count = len(header)
    cells = [[*row[: count - 1], " ".join(row[count - 1 :]), *[""] * (count - len(row))][:count] for row in rows]
    if dialect.tables and count <= _SLACK_COLUMNS:
        inline = Inline(dialect)
        rendered = ([inline.whole(_BREAK.sub(" ", cell)) for cell in row] for row in (header, *cells))
        return _piped(sides, *rendered)
    if not any(_LINKED.search(cell) for row in (header, *cells) for cell in row):
        block = aligned(sides, *([plain(cell) for cell in row] for row in (header, *cells)))
        if block is not None:
            return block
    return _recorded(header, cells, dialect)


def _piped(sides: Sequence[Alignment], header: Sequence[str], *rows: Sequence[str]) -> str:
    rules = {"left": "---", "right": "--:", "center": ":-:"}
    lines = (header, [rules[side] for side in sides], *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def aligned(sides: Sequence[Alignment], header: Sequence[str], *rows: Sequence[str]) -> str | None:
    """Lay plain cells out in columns, in a code block; None if that would be wider than `WIDEST`."""
    widths = [max(3, *map(width, column)) for column in zip(header, *rows, strict=True)]
    if sum(widths) + 3 * (len(widths) - 1) > WIDEST:
        return None

    def line(row: Sequence[str]) -> str:
        padded = (_pad(cell, columns, side) for cell, columns, side in zip(row, widths, sides, strict=True))
        return " | ".join(padded).rstrip()

    rule = "-|-".join("-" * columns for columns in widths)
    return "\n".join(("```", line(header), rule, *map(line, rows), "```"))


def _pad(text: str, columns: int, side: Alignment) -> str:
    room = columns - width(text)
    before = room if side == "right" else room // 2 if side == "center" else 0
    return f"{' ' * before}{text}{' ' * (room - before)}"


def _recorded(header: Sequence[str], rows: Iterable[Sequence[str]], dialect: Dialect) -> str:
    inline = Inline(dialect)
    names = [inline.whole(plain(name)) for name in header]
    records = [[inline.whole(_BREAK.sub(" ", cell.replace("\\|", "|"))) for cell in row] for row in rows]
    if not records:
        return " · ".join(f"**{name}**" for name in names if name)
    used = [any(column) for column in zip(*records, strict=True)]
    blocks = (
        "\n".join(
            f"**{name}:** {value}" if name else value
            for name, value, wanted in zip(names, record, used, strict=True)
            if value or not wanted
        )
        for record in records
    )
    return "\n\n".join(filter(None, blocks))


def plain(markdown: str) -> str:
    """The words of a cell without their Markdown, safe inside a code block."""
    [block] = _parser.parseInline(_BREAK.sub(" ", markdown.replace("\\|", "|")))
    words = "".join(" " if token.type in _BREAKS else token.content for token in block.children or ())
    return code_safe(" ".join(words.split()))


def preview(
    columns: Sequence[str],
    rows: Sequence[Sequence[Scalar]],
    dialect: Dialect,
    *,
    title: str = "",
    truncated: bool = False,
    max_rows: int = PREVIEW_ROWS,
    limit: int = PREVIEW_LIMIT,
) -> str:
    """The first rows of a data frame as Markdown for the platform, with a line that says how many there are.

    `truncated`: the frame itself was cut, so there are more than `rows`. `limit` is in UTF-16 units; as many rows
    are left out as it takes.
    """
    cells = [[_shorten(_shown(value)) for value in row] for row in rows[:max_rows]]
    header = [_shorten(name) for name in columns]
    sides: list[Alignment] = [
        "right" if rows and all(_is_number(row[index]) for row in rows[:max_rows]) else "left"
        for index in range(len(columns))
    ]
    name = f"**{_escape(_shorten(title), dialect)}**\n\n" if title else ""
    for count in range(len(cells), -1, -1):
        text = f"{name}{_preview(header, sides, cells[:count], dialect)}\n\n{_count(count, len(rows), truncated)}"
        if utf16(text) <= limit:
            return text
    return _count(0, len(rows), truncated)


def _preview(
    header: Sequence[str], sides: Sequence[Alignment], rows: Sequence[Sequence[str]], dialect: Dialect
) -> str:
    def safe(row: Sequence[str]) -> list[str]:
        return [_escape(cell, dialect) for cell in row]

    if dialect.tables and len(header) <= _SLACK_COLUMNS:
        return _piped(sides, *map(safe, (header, *rows)))
    block = aligned(sides, *([code_safe(cell) for cell in row] for row in (header, *rows)))
    if block is not None:
        return block
    if not rows:
        return " · ".join(safe(header))
    records = (zip(safe(header), safe(row), strict=True) for row in rows)
    return "\n\n".join("\n".join(f"**{name}:** {value}" for name, value in record) for record in records)


def _escape(text: str, dialect: Dialect) -> str:
    return dialect.escape(_MARKUP.sub(r"\\\g<0>", text))


def _count(shown: int, total: int, truncated: bool) -> str:
    rows = "row" if total == 1 else "rows"
    if truncated:
        return f"First {shown:,} of more than {total:,} {rows}"
    return f"{total:,} {rows}" if shown == total else f"First {shown:,} of {total:,} {rows}"


def _shown(value: Scalar) -> str:
    return "" if value is None else str(value)


def _is_number(value: Scalar) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _CELL else f"{text[: boundary(text, _CELL - 1)]}…"


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[Scalar]]) -> bytes:
    """A CSV file that spreadsheets open as it is meant: with a byte order mark, so that they read UTF-8, and
    with an apostrophe before a text that they would run as a formula."""
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow([_harmless(name) for name in columns])
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return target.getvalue().encode("utf-8-sig", "replace")


def _harmless(value: Scalar) -> Scalar:
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
