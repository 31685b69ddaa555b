"""Cuts a growing text into parts that each fit a platform message.

Where a part ends is decided while the text is still coming and never changed: the parts depend on the whole text
and on the forced cuts alone, not on how the text was cut into deltas, and what an open part shows only grows.

A part ends
- at the first blank line after 70 % of the limit, the first line end after 85 %, the first end of a sentence
  after 92 %, else before the word that doesn't fit. Not right after a heading;
- before a code block that starts in its second half and doesn't fit, if that shows within `BLOCK_HELD`
  characters. So long such a block is held back; one that is longer is shown as it comes and cut between lines;
- before a table that doesn't fit, if it fits in a part of its own. A longer one is cut between rows.

What is cut inside a code block or a table is closed, and opened again in the next part with its language or
header. A link, inline code, a word or a line of code is cut only if it doesn't fit in a part of its own, and
then between what people see as characters.

The text is what a `Renderer` gives: fences are three backticks at the beginning of a line.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bridge.render.characters import boundary
from bridge.render.measure import fitting
from bridge.render.tables import is_delimiter
from bridge.render.words import WordEnds, run_end

SMALLEST_LIMIT = 64
BLANK_LINE_ZONE = 0.70
LINE_ZONE = 0.85
SENTENCE_ZONE = 0.92
BLOCK_ZONE = 0.50  # of the limit; a code block that starts before it goes on in this part
BLOCK_HELD = 600  # characters of a code block that waits to see whether it fits
WORD_HELD = 1_024  # characters; a longer word may be cut
LINE_HELD = 2_000  # characters; a longer line of code may be cut
ROWS_HELD = 4_000  # characters of a table's first two lines, or of a row, which a Renderer gives whole

_CLOSING = "\n```"
_SPACE = re.compile(r"[^\S\n]+")
_FENCE = re.compile(r"```[^`\n]*")
_TABLE_RULE = re.compile(r"-{3,}(?:-\|-+)*")
_TABLE_BEGUN = re.compile(r"[^\n]*(?:\n[\s|:-]*)?")
_SENTENCE_ENDS = frozenset(".!?…。！？")


@dataclass(frozen=True, slots=True)
class Part:
    """One platform message. `start` and `end` are offsets into the text that was fed; each part starts where
    the one before it ends. `text` + `closing` is well-formed and within the limit at any time."""

    index: int
    text: str
    closing: str  # ends what is open; "" when nothing is, and in a closed part, whose text has it
    start: int
    end: int
    closed: bool  # final


@dataclass(slots=True)
class _Block:
    """A code block or table that is being read."""

    opening: str  # begins it in each part
    closing: str  # ends it there; a table has none
    shown: bool = False  # the open part has the opening
    first: str = ""  # line
    lines: int = 0


class Splitter:
    """`limit` is in what `measure` counts; see `bridge.render.measure`. `cuts` are the ends of parts that were
    closed in a former process, so that the same text gives the same parts again."""

    def __init__(self, limit: int, measure: Callable[[str], int] = len, cuts: Iterable[int] = ()) -> None:
        if limit < SMALLEST_LIMIT:
            raise ValueError(f"a part must have room for at least {SMALLEST_LIMIT}")
        self._limit = limit
        self._measure = measure
        self._cuts = deque(sorted(cuts))
        self._calm = int(limit * SENTENCE_ZONE)  # up to here a part ends within no line
        self._words = WordEnds()
        self._no_run_before = 0  # offset
        self._word_held = min(WORD_HELD, limit)
        self._line_held = min(LINE_HELD, limit)

        # What is read.
        self._text = ""
        self._at = 0
        self._offset = 0  # of the first character of _text
        self._final = False
        self._line_begins = True
        self._heading = False  # the last line was one
        self._quote = False  # in a line that is quoted
        self._block: _Block | None = None
        self._held: list[tuple[str, int, bool]] | None = None  # lines of the block: text, offset, whether ended
        self._held_size = 0

        # The parts, and what the open one shows.
        self._parts: list[Part] = []
        self._closed = 0
        self._changed = False  # since the open one was put into _parts
        self._pieces: list[str] = []
        self._size = 0
        self._start = 0
        self._end = 0
        self._pending = ""  # white space; it comes out before what follows

    @property
    def parts(self) -> Sequence[Part]:
        """The parts so far, the last of which may be open. The same sequence each time, so don't keep it."""
        if self._changed:
            self._changed = False
            text = "".join(self._pieces)
            self._pieces = [text]
            closing = self._block.closing if self._block is not None and self._block.shown else ""
            self._parts[self._closed :] = [Part(self._closed, text, closing, self._start, self._end, closed=False)]
        return self._parts

    def feed(self, text: str) -> None:
        """Take more of the text."""
        self._text += text
        self._read()
        self._offset += self._at
        self._text = self._text[self._at :]
        self._at = 0

    def finish(self) -> None:
        """The text is complete: show what was held back and close the last part."""
        self._final = True
        self.feed("")
        if self._block is not None:
            self._end_block(self._block, self._offset)
        self._close_part()

    def cut(self) -> None:
        """Close the open part at what it shows now and go on in a new one. To close it earlier, feed the text
        to a new splitter with that end among its cuts."""
        self._close_part()

    # --- reading --------------------------------------------------------------------------------------------
    # Each of these reads something at `_at`, or returns False where it has to see more first.

    def _read(self) -> None:
        while self._at < len(self._text):
            if self._block is not None:
                read = self._block_line(self._block)
            elif self._line_begins:
                read = self._line()
            else:
                read = self._run() or self._atom()
            if not read:
                break

    def _line(self) -> bool:
        text, at = self._text, self._at
        rest = len(text) - at
        first = text[at]
        if first in "`|>" and rest < len(_CLOSING) and not self._final and "\n" not in text[at:]:
            return False
        if text.startswith("```", at):
            begun = self._fence_begins()
        elif first == "|" and not text.startswith("||", at):
            begun = self._table_begins()
        else:
            begun = None
        if begun is not None:
            return begun
        if text.startswith("> ", at):
            self._quote = True
            self._pending += "> "
            self._at = at + 2
        if first != "\n":
            self._heading = first == "#"
            self._line_begins = False
        return self._at > at or self._atom()

    def _fence_begins(self) -> bool | None:
        text, at = self._text, self._at
        end = text.find("\n", at, at + WORD_HELD)
        if end < 0 and not self._final and len(text) - at < WORD_HELD:
            return False
        stop = end if end >= 0 else len(text)
        if stop - at >= WORD_HELD or not _FENCE.fullmatch(text, at, stop):
            return None
        opening = text[at:stop].rstrip()
        self._begin_block(_Block(opening if self._measure(opening) <= self._limit // 4 else "```", _CLOSING))
        self._at = min(stop + 1, len(text))
        return True

    def _table_begins(self) -> bool | None:
        text, at = self._text, self._at
        stop = text.find("\n", at, at + ROWS_HELD)
        end = text.find("\n", stop + 1, at + ROWS_HELD) if stop >= 0 else -1
        if end < 0 and not self._final and len(text) - at < ROWS_HELD and _TABLE_BEGUN.fullmatch(text, at):
            return False
        end = end if end >= 0 else len(text)
        if stop < 0 or end - at >= ROWS_HELD or not is_delimiter(text[stop + 1 : end]):
            return None
        opening = text[at:end]
        if self._measure(opening) > self._limit // 2:
            return None
        self._begin_block(_Block(opening, ""))
        self._at = min(end + 1, len(text))
        return True

    def _begin_block(self, block: _Block) -> None:
        self._block = block
        self._line_begins = True
        late = self._size >= self._limit * BLOCK_ZONE or not block.closing
        self._held = [] if late and self._pieces else None
        self._held_size = 0

    def _block_line(self, block: _Block) -> bool:
        text, at = self._text, self._at
        most = self._line_held if block.closing else ROWS_HELD
        end = text.find("\n", at, at + most + 1)
        stop = end if end >= 0 else len(text)
        ended = end >= 0 or self._final
        if not block.closing and text[at] != "|" and self._line_begins:
            self._end_block(block, self._offset + at)
            return True
        if not ended and stop - at <= most:
            return False
        if stop - at > most:
            stop, ended = boundary(text, at + most), False
        line = text[at:stop]
        if block.closing and self._line_begins and ended and line.rstrip() == "```":
            self._at = stop
            self._end_block(block, self._offset + stop)
            return True
        self._block_grows(block, line, self._offset + at, ended)
        self._line_begins = ended
        self._at = min(stop + 1, len(text)) if ended else stop
        return True

    def _block_grows(self, block: _Block, line: str, offset: int, ended: bool) -> None:
        if self._held is None:
            self._place_line(block, line, offset, ended)
            return
        self._held.append((line, offset, ended))
        self._held_size += self._measure(line) + 1
        if block.closing:
            if self._held_size > self._room(block):
                self._close_part()
                self._release(block)
            elif self._held_size > BLOCK_HELD:
                self._release(block)
        elif self._measure(block.opening) + self._held_size > self._limit:
            self._release(block)

    def _room(self, block: _Block) -> int:
        """What the open part has room for, with the line ends, if the block began in it."""
        taken = self._size + self._measure(self._pending) + self._measure(block.opening + block.closing)
        return self._limit - taken if self._pieces else self._limit

    def _release(self, block: _Block) -> None:
        held, self._held = self._held, None
        for line, offset, ended in held or ():
            self._place_line(block, line, offset, ended)

    def _place_line(self, block: _Block, line: str, offset: int, ended: bool) -> None:
        if line:
            self._place(line, offset)
            if block.lines == 0:
                block.first = line
            elif block.lines == 1 and block.opening == "```" and _TABLE_RULE.fullmatch(line):
                opening = f"```\n{block.first}\n{line}"
                if self._measure(opening) <= self._limit // 2:
                    block.opening = opening
            block.lines += 1
        if ended and block.shown:
            self._pending += "\n"

    def _end_block(self, block: _Block, end: int) -> None:
        if self._held is not None:
            if self._held_size > self._room(block):
                self._close_part()
            self._release(block)
        if block.closing and block.shown:
            self._append(block.closing, end, self._measure(block.closing))
            self._pending = ""
        self._block = None
        self._line_begins = not block.closing
        self._heading = self._quote = False
        if not block.closing and not block.lines:
            self._place(block.opening, end - len(block.opening))
        self._cut_if_due(self._end)

    def _run(self) -> bool:
        """Several plain words at once, where the part certainly goes on after them."""
        text, at = self._text, self._at
        if self._cuts or self._words.seen or self._offset + at < self._no_run_before:
            return False
        lead = self._lead()
        end, seen = run_end(text, at, self._calm - self._size - self._measure(lead) - 1, self._final)
        words = text[at:end].rstrip(" ")
        if not words:
            self._no_run_before = self._offset + seen
            return False
        shown = lead + words
        self._append(shown, self._offset + at + len(words), self._measure(shown))
        self._pending = text[at + len(words) : end]
        self._at = end
        return True

    def _atom(self) -> bool:
        text, at = self._text, self._at
        if text[at] == "\n":
            self._at += 1
            self._newline()
            return True
        space = _SPACE.match(text, at)
        if space is not None:
            self._at = space.end()
            self._pending += space[0]
            return True
        end = self._words.end(text, at, self._word_held, self._final)
        if end is None:
            return False
        self._at = end
        self._place(text[at:end], self._offset + at)
        return True

    def _newline(self) -> None:
        self._line_begins = True
        self._quote = False
        self._pending += "\n"
        zone = BLANK_LINE_ZONE if self._pending.count("\n") > 1 else LINE_ZONE
        if self._size >= self._limit * zone and not self._heading:
            self._close_part()

    # --- placing --------------------------------------------------------------------------------------------

    def _place(self, text: str, offset: int) -> None:
        """Show a piece that is not to be cut, in the open part or else in a new one."""
        if self._cuts:
            self._cut_if_due(offset)
            if self._cuts and self._cuts[0] < offset + len(text):
                before = self._cuts[0] - offset
                self._place(text[:before], offset)
                text, offset = text[before:], offset + before
        closing = self._measure(self._block.closing) if self._block is not None else 0
        shown = self._lead() + text
        size = self._measure(shown)
        while self._size + size + closing > self._limit:
            if not self._pieces:
                lead = shown.removesuffix(text)
                count = fitting(text, self._limit - self._measure(lead) - closing, self._measure)
                piece, text, offset = lead + text[:count], text[count:], offset + count
                self._append(piece, offset, self._measure(piece))
            self._close_part()
            shown = self._lead() + text
            size = self._measure(shown)
        self._append(shown, offset + len(text), size)
        if self._block is None and text[-1] in _SENTENCE_ENDS and self._size >= self._limit * SENTENCE_ZONE:
            self._close_part()
        if self._cuts:
            self._cut_if_due(self._end)

    def _lead(self) -> str:
        """What comes before the next piece: the white space before it, or the beginning of a new part."""
        if self._block is not None and not self._block.shown:
            return f"{self._pending if self._pieces else ''}{self._block.opening}\n"
        if not self._pieces:
            return "> " if self._quote else ""
        return self._pending

    def _append(self, text: str, end: int, size: int) -> None:
        self._pieces.append(text)
        self._size += size
        self._end = end
        self._pending = ""
        self._changed = True
        if self._block is not None:
            self._block.shown = True

    def _close_part(self) -> None:
        if not self._pieces:
            return
        closing = ""
        if self._block is not None and self._block.shown:
            closing = self._block.closing
            self._block.shown = False
        text = "".join(self._pieces) + closing
        self._parts[self._closed :] = [Part(self._closed, text, "", self._start, self._end, closed=True)]
        self._closed += 1
        self._changed = False
        self._pieces = []
        self._size = 0
        self._start = self._end
        self._pending = ""

    def _cut_if_due(self, reached: int) -> None:
        while self._cuts and self._cuts[0] <= reached:
            self._cuts.popleft()
            self._close_part()
