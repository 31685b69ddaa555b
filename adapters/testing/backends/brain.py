"""What a simulated backend's agent says: the same for the same words, so that tests can foretell it.

table           a table of figures            fail      the run fails
csv, report     a file                        slow      speaks ten times slower; slowly too
file            a file, if none was sent      long      30,000 characters of everything Markdown has
ask me          asks back (where the backend can); ask me which: with choices
approve         asks leave first; approval too
steps           works in steps that are seen
cite            quotes two pages; sources too
chart           a picture of the figures and what is highest; figures are those of a CSV that was sent, or its own
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.testing.backends.figures import Figures, bar_chart, read_csv

LONG = 30_000  # characters
MAX_PIECES = 400  # of a text: word by word, unless there are more
FIRST_LINE = 120  # characters quoted of an uploaded file
QUOTED = 200  # characters quoted of a question
INTERNAL = "hunter2"  # in the arguments and results of tools; nobody may see it


@dataclass(frozen=True, slots=True)
class Blob:
    """A file that was sent or made."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """A table that was made."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]


@dataclass(frozen=True, slots=True)
class Citation:
    """A page that is quoted, behind the first place where `after` stands in the text."""

    after: str
    url: str
    title: str


@dataclass(frozen=True, slots=True)
class Work:
    """A step: the tool's own name, and what it works on."""

    tool: str
    topic: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a run will do."""

    text: str
    files: tuple[Blob, ...] = ()
    frame: Frame | None = None
    figures: Figures | None = None  # what a chart shows
    fails: bool = False
    slow: bool = False
    asks: str = ""  # the question it asks back before it goes on
    choices: tuple[str, ...] = ()  # of that question
    approves: str = ""  # what it wants leave for before it goes on
    steps: tuple[Work, ...] = ()
    citations: tuple[Citation, ...] = ()
    pieces: tuple[str, ...] = field(init=False)  # the text as it is streamed

    def __post_init__(self) -> None:
        words = re.findall(r"\s*\S+(?:\s+$)?", self.text)
        together = -(-len(words) // MAX_PIECES) or 1
        pieces = tuple("".join(words[at : at + together]) for at in range(0, len(words), together))
        object.__setattr__(self, "pieces", pieces)


STEPS = (Work("search_calendar", "this week"), Work("readMinutes", "of the last meeting"))
CITATIONS = (
    Citation("two markets", "https://example.com/markets", "Markets of the town"),
    Citation("closes at six", "https://example.com/harbour", "The harbour"),
)


def think(question: str, uploads: Sequence[Blob] = (), earlier: Sequence[str] = ()) -> Plan:
    """What the agent makes of a question, the files that came with it and the questions before it."""
    words = set(re.findall(r"[a-z]+", question.lower()))
    drawn: Figures | None = None
    figures = next(filter(None, (read_csv(upload.content) for upload in uploads)), None)
    frame = _frame_of(figures) if "table" in words else None
    files = _files(words, bool(uploads))
    if "chart" in words:
        shown = figures or _own_figures()
        name = uploads[0].name if uploads else "the sales"
        parts = [f"I looked at **{name}**: {len(shown.rows)} rows. {_highest(shown)}"]
        drawn = shown if shown.measure is not None else None
        files = (*files, Blob("chart.png", "image/png", bar_chart(shown.values())))
    else:
        parts = [_opening(question, earlier), *(_about(upload) for upload in uploads)]
    if frame:
        parts.append(_as_markdown(frame))
    if files:
        parts.append("I wrote it down for you: " + ", ".join(f"`{file.name}`" for file in files) + ".")
    cites = not words.isdisjoint({"cite", "sources"})
    if cites:
        parts.append("The town has two markets, and the harbour closes at six.")
    if "long" in words:
        parts.append(_long())
    if len(parts) == 1:
        parts.append(
            "Here is how I would go about it:\n\n"
            "1. Look at what is **known** already.\n"
            "2. Try the *smallest* step that shows something.\n"
            "3. Write it down, for example as `notes.md`.\n\n"
            "Ask me for a `table`, a `csv` or a `report`, or send me a file."
        )
    return Plan(
        text="\n\n".join(parts),
        files=files,
        frame=frame,
        figures=drawn,
        fails="fail" in words,
        slow=not words.isdisjoint({"slow", "slowly"}),
        asks="Which year do you mean?" if re.search(r"\bask me\b", question.lower()) else "",
        choices=("2025", "2026") if re.search(r"\bask me which\b", question.lower()) else (),
        approves="" if words.isdisjoint({"approve", "approval"}) else "send_letters",
        steps=STEPS if "steps" in words else (),
        citations=CITATIONS if cites else (),
    )


def _opening(question: str, earlier: Sequence[str]) -> str:
    opening = f"You asked: “{_quoted(question, QUOTED)}”."
    if earlier:
        opening += f" Before that it was “{_quoted(earlier[-1], QUOTED)}”, so this is question {len(earlier) + 1}."
    return opening


def _about(upload: Blob) -> str:
    first = upload.content.partition(b"\n")[0].decode("utf-8", "replace")
    shown = _quoted(first, FIRST_LINE) if first.isprintable() and first else "(not text)"
    return f"I read **{upload.name}** ({len(upload.content)} bytes). Its first line: `{shown}`"


def _quoted(text: str, limit: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _frame() -> Frame:
    months = ("January", "February", "March", "April", "May", "June")
    rows = tuple((month, 120 + 17 * n, round(0.031 * (n + 1), 3)) for n, month in enumerate(months))
    return Frame("sales", ("month", "orders", "returned"), rows)


def _frame_of(figures: Figures | None) -> Frame:
    return Frame("figures", figures.columns, figures.rows) if figures else _frame()


def _own_figures() -> Figures:
    return Figures(_frame().columns, _frame().rows)


def _highest(figures: Figures) -> str:
    values = figures.values()
    if figures.measure is None:
        return "There is no column of numbers to draw."
    best = max(range(len(values)), key=values.__getitem__)
    row, name = figures.rows[best], figures.columns[figures.measure]
    mean = sum(values) / len(values)
    return f"The highest `{name}` is **{values[best]:,g}**, in **{row[0]}**; the mean is {mean:,.1f}."


def _as_markdown(frame: Frame) -> str:
    lines = [" | ".join(frame.columns), " | ".join("---" for _ in frame.columns)]
    lines += [" | ".join(str(cell) for cell in row) for row in frame.rows]
    return "\n".join(f"| {line} |" for line in lines)


def _files(words: set[str], sent: bool) -> tuple[Blob, ...]:
    files = []
    if "csv" in words:
        frame = _frame()
        lines = [",".join(frame.columns), *(",".join(map(str, row)) for row in frame.rows)]
        files.append(Blob("sales.csv", "text/csv", ("\n".join(lines) + "\n").encode()))
    if "report" in words or ("file" in words and not sent):
        text = "# Report\n\nSix months of figures, none of them alarming.\n\n" + _as_markdown(_frame()) + "\n"
        files.append(Blob("report.md", "text/markdown", text.encode()))
    return tuple(files)


def _long() -> str:
    chapters: list[str] = []
    size = 0
    while size < LONG:
        n = len(chapters) + 1
        chapter = (
            f"## Chapter {n}\n\n"
            f"This paragraph is number {n}. It has **bold**, *slanted* and `code` words, a "
            f"[link](https://example.com/{n}), an emoji 🧵 and some 日本語**の強調**です.\n\n"
            f"```python\ndef chapter_{n}(lines: list[str]) -> int:\n"
            + "".join(f"    print(lines[{i}])  # line {i} of {n}\n" for i in range(12))
            + f"    return {n}\n```\n\n- one\n- two\n  - two and a half\n- three\n\n"
            + _as_markdown(_frame())
        )
        chapters.append(chapter)
        size += len(chapter) + 2
    return "\n\n".join(chapters)
