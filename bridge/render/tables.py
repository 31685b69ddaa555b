"""Tables: from Markdown to what a platform shows, previews, and CSV files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal
from unicodedata import category, normalize

from markdown_it import MarkdownIt

from adapters.base import Scalar
from bridge.render.characters import boundary, repair, width
from bridge.render.inline import Inline
from bridge.render.measure import utf16
from bridge.render.style import Dialect

WIDEST = 90  # columns of a code block that a desktop window shows without wrapping lines
_NARROWEST = 3  # columns of such a block that one of a table's takes, and as many lie between two
_SLACK_COLUMNS = 20  # the most that a table of Slack's may have
COLUMNS = 60  # that a table is laid out with; what stands further right is joined to the last
_NAME = 60  # characters of a column's name where it is repeated for each row

PREVIEW_ROWS = 10
PREVIEW_COLUMNS = 40
PREVIEW_LIMIT = 1_500  # UTF-16 units; goes with a file, where Discord allows 2,000
_CELL = 40  # characters of a cell in a preview

Alignment = Literal["left", "right", "center"]

_PIPE = re.compile(r"(?<!\\)((?:\\\\)*)\|")
_DELIMITER = re.compile(r"\|?\s*+:?-++:?\s*+(?>(?:\|\s*+:?-++:?\s*+)*)\|?")
_BREAK = re.compile(r"<br\s*+/?>|[\r\n]++", re.IGNORECASE)
_MARKED = re.compile(r"[\\`*_~\[\]<>!&]")
_LINKED = re.compile(r"\]\(\S")
_BREAKS = ("softbreak", "hardbreak")
_BLANK = ("Cc", "Cf", "Cn", "Co")  # categories of characters that show nothing
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
_FORMULA = frozenset("=+-@")

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
    header, sides = _bounded(header), sides[:COLUMNS]
    count = len(header)
    cells = [_bounded(row, count) for row in rows]
    if dialect.tables and count <= _SLACK_COLUMNS:
        inline = Inline(dialect)
        rendered = ([inline.whole(_one_line(cell)) for cell in row] for row in (header, *cells))
        return _piped(sides, *rendered)
    if _may_align(count) and not any(_LINKED.search(cell) for row in (header, *cells) for cell in row):
        block = aligned(sides, *([dialect.code(plain(cell)) for cell in row] for row in (header, *cells)))
        if block is not None:
            return block
    return _recorded(header, cells, dialect)


def _bounded(row: Sequence[str], count: int = COLUMNS) -> list[str]:
    """At most `count` cells; those that are more are joined to the last."""
    return [*row[: count - 1], " ".join(row[count - 1 :])] if len(row) > count else list(row)


def _one_line(cell: str) -> str:
    return " ".join(piece.strip() for piece in _BREAK.split(cell))


def _may_align(count: int) -> bool:
    return count * 2 * _NARROWEST - _NARROWEST <= WIDEST


def _piped(sides: Sequence[Alignment], header: Sequence[str], *rows: Sequence[str]) -> str:
    rules = {"left": "---", "right": "--:", "center": ":-:"}
    lines = (header, [rules[side] for side in sides], *(_filled(row, len(header)) for row in rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _filled(row: Sequence[str], count: int) -> list[str]:
    return [*row, *[""] * (count - len(row))]


def aligned(sides: Sequence[Alignment], header: Sequence[str], *rows: Sequence[str]) -> str | None:
    """Lay plain cells out in columns, in a code block; None if that would be wider than `WIDEST`."""
    if not _may_align(len(header)):
        return None
    rows = tuple(_filled(row, len(header)) for row in rows)
    widths = [max(_NARROWEST, *map(width, column)) for column in zip(header, *rows, strict=True)]
    if sum(widths) + _NARROWEST * (len(widths) - 1) > WIDEST:
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


def _recorded(header: Sequence[str], rows: Sequence[Sequence[str]], dialect: Dialect) -> str:
    """Row by row, each value with its column's name. A column that is empty in every row is named by the first."""
    inline = Inline(dialect)
    names = [inline.whole(plain(name)) for name in header]
    if not rows:
        return " · ".join(f"**{name}**" for name in names if name)
    short = [
        name if len(name) <= _NAME else inline.whole(_cut(plain(cell), _NAME))
        for name, cell in zip(names, header, strict=True)
    ]
    records = [[inline.whole(_one_line(cell.replace("\\|", "|"))) for cell in row] for row in rows]
    used = {index for record in records for index, value in enumerate(record) if value}
    blocks = []
    for number, record in enumerate(records):
        values = _filled(record, len(names)) if number == 0 else record
        blocks.append("\n".join(_record(names if number == 0 else short, values, used)))
    return "\n\n".join(filter(None, blocks))


def _record(names: Sequence[str], values: Sequence[str], used: Collection[int]) -> Iterator[str]:
    for index, value in enumerate(values):
        if value or (index not in used and names[index]):
            yield f"**{names[index]}:** {value}" if names[index] else value


def plain(markdown: str) -> str:
    """The words of a cell without their Markdown."""
    text = _one_line(markdown.replace("\\|", "|"))
    if _MARKED.search(text) is not None:
        [block] = _parser.parseInline(text)
        text = "".join(" " if token.type in _BREAKS else token.content for token in block.children or ())
    return " ".join(text.split())


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
    shown = rows[:max_rows]
    cells = [[_shorten(_shown(value)) for value in row[:PREVIEW_COLUMNS]] for row in shown]
    header = [_shorten(name) for name in columns[:PREVIEW_COLUMNS]]
    sides: list[Alignment] = [
        "right" if rows and all(_is_number(row[index]) for row in shown) else "left"
        for index in range(len(header))
    ]
    name = f"**{dialect.literal(_shorten(title))}**\n\n" if title else ""
    begin, pieces, end = _preview(header, sides, cells, dialect)
    for count in range(len(cells), -1, -1):
        if count == 0:
            begin, pieces, end = _preview(header, sides, [], dialect)
        about = f"\n\n{counted(count, len(rows), truncated)}{_columns_left_out(len(columns))}"
        text = f"{name}{begin}{''.join(pieces[:count])}{end}{about}"
        if utf16(text) <= limit:
            return text
    return counted(0, len(rows), truncated)


def _columns_left_out(total: int) -> str:
    return f", {PREVIEW_COLUMNS} of {total:,} columns" if total > PREVIEW_COLUMNS else ""


def _preview(
    header: Sequence[str], sides: Sequence[Alignment], rows: Sequence[Sequence[str]], dialect: Dialect
) -> tuple[str, Sequence[str], str]:
    """A preview's beginning, a piece for each row, and its end."""

    def safe(row: Sequence[str]) -> list[str]:
        return [*map(dialect.literal, row)]

    if dialect.tables and len(header) <= _SLACK_COLUMNS:
        first, rule, *others = _piped(sides, *map(safe, (header, *rows))).split("\n")
        return f"{first}\n{rule}", [f"\n{line}" for line in others], ""
    block = aligned(sides, *([*map(dialect.code, row)] for row in (header, *rows)))
    if block is not None:
        fence, first, rule, *others, closing = block.split("\n")
        return f"{fence}\n{first}\n{rule}", [f"\n{line}" for line in others], f"\n{closing}"
    if not rows:
        return " · ".join(safe(header)), [], ""
    names = safe(header)
    records = (zip(names, safe(row), strict=True) for row in rows)
    pieces = ["\n".join(f"**{name}:** {value}" for name, value in record) for record in records]
    return "", [f"\n\n{piece}" if number else piece for number, piece in enumerate(pieces)], ""


def counted(shown: int, total: int, truncated: bool) -> str:
    """How many rows there are, and how many of them are shown."""
    rows = "row" if total == 1 else "rows"
    if truncated:
        return f"First {shown:,} of more than {total:,} {rows}"
    return f"{total:,} {rows}" if shown == total else f"First {shown:,} of {total:,} {rows}"


def _shown(value: Scalar) -> str:
    return "" if value is None else str(value)


def _is_number(value: Scalar) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _shorten(text: str) -> str:
    return _cut(" ".join(repair(text[: _CELL * _CELL]).split()), _CELL)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: boundary(text, most - 1)]}…"


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[Scalar]]) -> bytes:
    """A CSV file that spreadsheets open as it is meant: with a byte order mark, so that they read UTF-8, and
    with an apostrophe before a text that they would run as a formula."""
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow([_harmless(name) for name in columns])
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return target.getvalue().encode("utf-8-sig", "replace")


def _harmless(value: Scalar) -> Scalar:
    if isinstance(value, str) and _may_run(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _may_run(text: str) -> bool:
    """Whether a spreadsheet may take a cell for a formula, also behind characters that show nothing."""
    if text[:1] in ("\t", "\r", "\n"):
        return True
    seen = (character for character in text if not character.isspace() and category(character) not in _BLANK)
    return normalize("NFKC", next(seen, "x"))[0] in _FORMULA
