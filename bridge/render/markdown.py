"""Turns the Markdown that agents send into a platform's best form while it is still coming.

`Renderer.feed` returns what is certain. The joined output depends on the joined input alone, not on how it was
cut, and output is only ever added to: words come out as they are complete, a heading or a line of code when its
line is, a table when all of it is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bridge.render.characters import boundary, is_boundary, is_cjk, repair
from bridge.render.inline import LOOK_BEHIND, Inline
from bridge.render.style import MENTION_HELD, Dialect
from bridge.render.tables import Alignment, alignments, is_delimiter, layout, split_row

RULE = "─" * 10  # a horizontal rule: three dashes would underline the line above, or show as they are

_LEAD_HELD = 200  # characters of markers that a line may begin with before it is just text
_HEADING_HELD = 400  # characters; a longer one is no heading
_FENCE_HELD = 200  # characters of a fence's line
_CODE_LINE_HELD = 2_000  # characters; a longer line of code comes in pieces
_ROW_HELD = 2_000  # characters; a longer line is no row of a table
_TABLE_ROWS_HELD = 100  # rows; the most that a table of Slack's may have. Then another table goes on
_TABLE_HELD = 6_000  # characters of rows, so that a table fits a Slack message
_WORD_HELD = 40  # characters; what is longer needn't wait for its end to be shown

_MARKERS = re.compile(r"[\s>#\-*+_=~`|:.)\]\[xX0-9]*")
_QUOTE = re.compile(r"[ \t]*(?>(?:>[ \t]?)+)")
_RULE = re.compile(r"[ \t]*+(?:(?>(?:-[ \t]*+){3,})|(?>(?:\*[ \t]*+){3,})|(?>(?:_[ \t]*+){3,})|={3,}+[ \t]*+)")
_ITEM = re.compile(r"([ \t]*+)([-*+]|[0-9]{1,9}+[.)])([ \t]++)(?=\S)")
_TASK = re.compile(r"\[([ xX])\][ \t]++(?=\S)")
_HEADING_BEGUN = re.compile(r"[ \t]*+(#{1,6}+)(?:[ \t]|\Z)")
_FENCE = re.compile(r"([ \t]*+)(`{3,}+(?=[^`]*+$)|~{3,}+)[ \t]*+([^\s{}]*+).*")
_FENCE_BEGUN = re.compile(r"[ \t]*(?:`{3,}[^`]*|~{3}.*)")
_LANGUAGE = re.compile(r"[a-z0-9+#._-]+", re.IGNORECASE)
_ROW_BEGUN = re.compile(r"[ \t]*\|(?!\|)")
_ROW = re.compile(r"[ \t]*+\|")
_ROW_MAYBE = re.compile(r"[ \t>]*+(?:\||\Z)")
_DELIMITER_BEGUN = re.compile(r"[\s>|:-]*")
_HALF = re.compile("[\r\ud800-\udbff]")
_PLAIN = re.compile(r"[ \"#-%'-)+-9;=>?A-Z\]^a-z{-}]+")  # means itself within a line, whatever is before or after


@dataclass(slots=True)
class _Fence:
    marker: str
    opening: str
    indent: int
    quoted: bool
    shown: bool = False  # the opening line is out; it waits for the first line of code
    within_line: bool = False  # in the rest of a line that was too long to wait for

    def closed_by(self, line: str) -> bool:
        line = line.strip()
        return len(line) >= len(self.marker) and not line.strip(self.marker[0])


@dataclass(slots=True)
class _Table:
    header: list[str]
    sides: list[Alignment]
    quoted: bool
    rows: list[list[str]] = field(default_factory=list)
    size: int = 0


class Renderer:
    """Renders one reply for one platform."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._inline = Inline(dialect)
        self._half = ""  # of a line end or a surrogate pair
        self._text = ""  # unread input, after a few characters that were read
        self._at = 0  # where the unread begins
        self._final = False
        self._in_line = False  # the beginning of the line was read
        self._fence: _Fence | None = None
        self._table: _Table | None = None
        self._out: list[str] = []
        self._started = False
        self._newlines = 0  # they come out before the next output, so that none ends the text
        self._least_newlines = 0
        self._word = ""  # not complete, so not shown

    def feed(self, delta: str) -> str:
        """Take more of the input; return what is now certain, to be appended to what was returned before."""
        if self._goes_on and self._at == len(self._text) and _PLAIN.fullmatch(delta):
            self._text = (self._text + delta)[-LOOK_BEHIND:]
            self._at = len(self._text)
            self._out.append(delta)
            return self._release(final=False)
        if self._half or not delta.isascii() or not delta.isprintable():
            delta = self._half + delta
            self._half = delta[-1:] if _HALF.match(delta[-1:]) else ""
            delta = repair(delta.removesuffix(self._half), self._text[-1:])
        self._text += delta
        self._advance()
        return self._release(final=False)

    @property
    def _goes_on(self) -> bool:
        """Whether the line was shown as far as it was read, and what comes is text."""
        return self._in_line and not (self._half or self._newlines or self._least_newlines or self._inline.in_data)

    def finish(self) -> str:
        """The input is complete; return the rest of the output."""
        self._text += repair(self._half, self._text[-1:])
        self._half = ""
        self._final = True
        self._advance()
        if self._fence is not None:
            self._close_fence(self._fence)
        if self._table is not None:
            self._close_table(self._table)
        return self._release(final=True)

    def _advance(self) -> None:
        length = len(self._text)
        end = -1  # of the line; it is looked for once
        while self._at < length:
            if end < self._at:
                end = self._text.find("\n", self._at)
                end = end if end >= 0 else length
            if not self._step(end, self._final or end < length):
                break
        read = self._at - LOOK_BEHIND
        if read > 0:
            self._text = self._text[read:]
            self._at = LOOK_BEHIND

    def _step(self, stop: int, ended: bool) -> bool:
        """Read what is certain up to `stop`, where the line ends if `ended`; False if nothing is."""
        if self._in_line:
            return self._rest_of_line(stop, ended)
        if self._fence is not None:
            return self._code(self._fence, stop, ended)
        if self._table is not None:
            return self._row(self._table, stop, ended)
        return self._line(stop, ended)

    # --- lines ----------------------------------------------------------------------------------------------

    def _line(self, stop: int, ended: bool) -> bool:
        text, at = self._text, self._at
        limit = min(stop, at + _LEAD_HELD)
        short = stop - at < _LEAD_HELD
        if short and not ended and _MARKERS.fullmatch(text, at, stop):
            return False
        quote = _QUOTE.match(text, at, limit)
        quoted = quote is not None
        at = quote.end() if quote is not None else at
        if short and ended:
            rule = _RULE.fullmatch(text, at, stop)
            if rule is not None or not text[at:stop].strip():
                self._inline.reset()
                self._put(RULE if rule is not None else ">" if quoted else "")
                self._end_line(stop)
                return True
        lead = ["> "] if quoted else []
        while item := _ITEM.match(text, at, limit):
            self._inline.reset()
            lead += item[1].expandtabs(4), "-" if item[2] in "*+" else item[2], item[3]
            at = item.end()
            if task := _TASK.match(text, at, stop):
                lead.append("☐ " if task[1] == " " else "☑ ")
                at = task.end()
        for block in (self._fence_begins, self._heading, self._table_begins):
            begun = block(at, stop, ended, lead)
            if begun is not None:
                return begun
        content = limit - len(text[at:limit].lstrip())
        lead.append(text[at:content].expandtabs(4))
        self._put("".join(lead))
        self._at = content
        self._in_line = True
        return True

    def _rest_of_line(self, stop: int, ended: bool) -> bool:
        piece, self._at = self._inline.scan(self._text, self._at, stop, ended)
        self._put(piece)
        if ended:
            self._end_line(stop)
        return ended

    def _end_line(self, stop: int) -> None:
        self._skip_line(stop)
        self._newlines += 1

    def _skip_line(self, stop: int) -> None:
        self._at = min(stop + 1, len(self._text))
        self._in_line = False

    # --- blocks: each tells None if the line begins none, False if that isn't certain, True if it was read ---

    def _heading(self, at: int, stop: int, ended: bool, lead: list[str]) -> bool | None:
        begun = _HEADING_BEGUN.match(self._text, at, stop)
        if begun is None or stop - at > _HEADING_HELD:
            return None
        if not ended:
            return False
        level, title = len(begun[1]), self._text[begun.end() : stop].strip(" \t")
        before_end = title.rstrip("#")
        if not before_end or before_end[-1] in " \t":
            title = before_end.rstrip(" \t")
        self._inline.reset()
        if title and level <= self._dialect.max_heading:
            self._put(f"{''.join(lead)}{begun[1]} {self._inline.whole(title)}")
        elif title:
            self._put(f"{''.join(lead)}**{self._inline.whole(title, bold=True)}**")
        self._inline.reset()
        self._end_line(stop)
        return True

    def _fence_begins(self, at: int, stop: int, ended: bool, lead: list[str]) -> bool | None:
        if stop - at > _FENCE_HELD or not _FENCE_BEGUN.fullmatch(self._text, at, stop):
            return None
        if not ended:
            return False
        fence = _FENCE.fullmatch(self._text, at, stop)
        if fence is None:
            return None
        self._inline.reset()
        quoted = lead[:1] == ["> "]
        marker = "".join(lead[1:] if quoted else lead).rstrip()
        if marker:
            self._put("> " + marker if quoted else marker)
            self._least_newlines = 1
        language = fence[3] if _LANGUAGE.fullmatch(fence[3]) else ""
        indent = len(fence[1].expandtabs(4)) + sum(map(len, lead[1:] if quoted else lead))
        self._fence = _Fence(fence[2], f"```{language}", indent, quoted)
        self._skip_line(stop)
        return True

    def _code(self, fence: _Fence, stop: int, ended: bool) -> bool:
        text, at = self._text, self._at
        ended = ended and stop - at <= _CODE_LINE_HELD
        if not ended and stop - at <= _CODE_LINE_HELD:
            return False
        line = text[at:stop] if ended else _whole_marks(text[at : at + _CODE_LINE_HELD])
        read = len(line)
        if not fence.within_line:
            if fence.quoted:
                quote = _QUOTE.match(line)
                if quote is None:
                    self._close_fence(fence)
                    return True
                line = line[quote.end() :]
            if ended and fence.closed_by(line):
                self._close_fence(fence)
                self._end_line(stop)
                return True
            spaces = len(line) - len(line.lstrip(" "))
            line = line[min(spaces, fence.indent) :]
        if line.strip() or fence.within_line:
            if not fence.shown:
                self._least_newlines = max(self._least_newlines, 1)
                self._put(fence.opening)
                self._newlines = 1
                fence.shown = True
            self._put(self._dialect.code(line), most_newlines=self._newlines)
        fence.within_line = not ended
        if not ended:
            self._at = at + read
        elif fence.shown:
            self._end_line(stop)
        else:
            self._skip_line(stop)
        return True

    def _close_fence(self, fence: _Fence) -> None:
        self._fence = None
        if fence.shown:
            self._newlines = 1
            self._put("```")
            self._least_newlines = 1

    def _table_begins(self, at: int, stop: int, ended: bool, lead: list[str]) -> bool | None:
        text = self._text
        if not _ROW_BEGUN.match(text, at, stop) or stop - at > _ROW_HELD:
            return None
        if not ended:
            return False
        end = text.find("\n", stop + 1, stop + 2 + _ROW_HELD)
        below_ended = end >= 0 or self._final
        end = end if end >= 0 else len(text)
        below = text[stop + 1 : min(end, stop + 1 + _ROW_HELD)]
        if not below_ended and len(below) < _ROW_HELD and _DELIMITER_BEGUN.fullmatch(below):
            return False
        quoted = lead[:1] == ["> "]
        quote = _QUOTE.match(below) if quoted else None
        delimiter = below[quote.end() :] if quote is not None else below
        if len(below) == _ROW_HELD or not is_delimiter(delimiter):
            return None
        header = split_row(text[at:stop])
        if len(split_row(delimiter)) != len(header):
            return None
        self._inline.reset()
        marker = "".join(lead[1:] if quoted else lead).rstrip()
        if marker:
            self._put("> " + marker if quoted else marker)
        self._table = _Table(header, alignments(delimiter), quoted)
        self._skip_line(end)
        return True

    def _row(self, table: _Table, stop: int, ended: bool) -> bool:
        text, at = self._text, self._at
        quote = _QUOTE.match(text, at, stop) if table.quoted else None
        at = quote.end() if quote is not None else at
        if not ended and stop - at <= _ROW_HELD and _ROW_MAYBE.match(text, at, stop):
            return False
        if stop - at > _ROW_HELD or (table.quoted and quote is None) or not _ROW.match(text, at, stop):
            self._close_table(table)
            return True
        size = stop - at
        if len(table.rows) == _TABLE_ROWS_HELD or table.size + size > _TABLE_HELD:
            self._close_table(table)
            self._table = table = _Table(table.header, table.sides, table.quoted)
        table.rows.append(split_row(text[at:stop]))
        table.size += size
        self._skip_line(stop)
        return True

    def _close_table(self, table: _Table) -> None:
        self._table = None
        block = layout(table.header, table.sides, table.rows, self._dialect)
        apart = 1 if block.startswith("```") else 2
        self._least_newlines = max(self._least_newlines, apart)
        self._put(block)
        self._newlines = 1
        self._least_newlines = apart

    # --- output ---------------------------------------------------------------------------------------------

    def _put(self, piece: str, *, most_newlines: int = 2) -> None:
        if not piece:
            return
        if self._started:
            newlines = max(self._least_newlines, min(self._newlines, most_newlines))
            self._out.append("\n" * newlines)
        self._started = True
        self._newlines = self._least_newlines = 0
        self._out.append(piece)

    def _release(self, *, final: bool) -> str:
        text = self._word + "".join(self._out)
        self._out.clear()
        shown = len(text) if final or self._newlines or self._least_newlines else _last_word(text)
        self._word = text[shown:]
        return text[:shown]


def _last_word(text: str) -> int:
    """Where the word begins that text ends with, which may still grow."""
    least = max(0, len(text) - _WORD_HELD)
    tail = text[least:]
    if tail.isascii():
        space = max(tail.rfind(" "), tail.rfind("\n"), tail.rfind("\t")) + 1
        if space or not least:
            return least + space if space else 0
        return len(text) - 1
    for at in range(len(tail), 0, -1):
        if tail[at - 1].isspace() or (at < len(tail) and (is_cjk(tail[at - 1]) or is_cjk(tail[at]))):
            cut = boundary(text, least + at)
            return cut if least or is_boundary(text, cut) else 0
    return boundary(text, len(text) - 1) if least else 0


def _whole_marks(piece: str) -> str:
    """A piece of a line of code, without the end where a run of backticks or a ping may be cut in two."""
    length = len(piece)
    begun = max(piece.rfind("<", length - MENTION_HELD), piece.rfind("@", length - MENTION_HELD))
    begun -= piece[begun - 1 : begun] == "<"
    piece = piece[: begun if begun > 0 else length]
    return piece.rstrip("`") or piece
