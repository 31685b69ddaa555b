"""Where the pieces of a text end that a part is not cut within if that can be helped."""

from __future__ import annotations

import re

from bridge.render.characters import CJK, boundary, is_boundary
from bridge.render.inline import LABEL, NOT_YET, PARENTHESES
from bridge.render.measure import MOST_UNITS
from bridge.render.style import ZERO_WIDTH

_GLUE = rf"[*_~|\\{ZERO_WIDTH}]"
_OPENING_GLUE = re.compile(rf"{_GLUE}+")
_PLAIN = re.compile(rf"[^\s\[`\\{CJK}]+")
# A line doesn't begin with these.
_CLOSING = "、。，．！？：；」』）】〉》〕”’…ー々"
_CLUSTER = re.compile(rf"[{CJK}](?>(?:[{_CLOSING}]|{_GLUE})*)")
_SEAM = re.compile(rf"(?<=[{CJK}])(?![{_CLOSING}])[{CJK}]")
_SEAM_SOUGHT = 16  # characters
_RUN = re.compile(r"[^\s\[`\\](?>(?:[^\s\[`\\]++| )*)")  # in which no link, code or escape begins
_BACKTICKS = re.compile(r"`+")
_BACKTICKS_OR_LINE_END = re.compile(r"`+|\n")


_DECORATION = 64  # characters of marks that a piece may be longer by, so that they stay at their letter


class WordEnds:
    """Finds the ends of the pieces of a text. While more of the text is needed to tell, it remembers how far it
    has looked: a long word that comes letter by letter isn't read again for each."""

    def __init__(self) -> None:
        self.seen = 0  # characters of the piece that was looked at in vain

    def end(self, text: str, at: int, most: int, final: bool) -> int | None:
        """The end of the piece that begins at `at`: a word with the links and the code in it, or one character of
        a script without spaces. At most about `most` characters. None where more of the text is needed to tell,
        which `final` says won't come; then the next call has to be for the same piece."""
        limit = min(len(text), at + most)
        end = at + self.seen
        waits = not final and len(text) - at <= most
        cluster = None
        if not self.seen:
            glue = _OPENING_GLUE.match(text, at, limit)
            end = glue.end() if glue is not None else at
            cluster = _CLUSTER.match(text, end, limit)
        self.seen = 0
        begun = end
        if cluster is not None:
            end = cluster.end()
        else:
            while end < limit and not text[end].isspace() and not _CLUSTER.match(text, end, limit):
                following = _token_end(text, end, limit)
                if following == NOT_YET and waits:
                    self.seen = end - at
                    return None
                end = following if following != NOT_YET else end + 1
        seen = end - at if cluster is None and (end > begun or begun > at) else 0
        reach = min(len(text), end + _DECORATION)
        while end < reach and not is_boundary(text, end):
            end += 1
        if end >= len(text) and not final and end - at <= most:
            self.seen = seen
            return None
        return end if end - at <= most else boundary(text, at + most)


def run_end(text: str, at: int, room: int, final: bool) -> tuple[int, int]:
    """The end of the last of several plain pieces, with the spaces after it, that begin at `at` and count for no
    more than `room`; `at` if there is none. And how far was looked: no run that begins before that ends there."""
    plain = _RUN.match(text, at, at + room) if room > 0 else None
    if plain is None:
        return at, at
    end = plain.end() if plain[0].isascii() else min(plain.end(), at + room // MOST_UNITS)
    if text[end : end + 1] == "\n" or (final and end == len(text)):
        return end, end
    return text.rfind(" ", at, end) + 1 or _last_seam(text, at, end), end


def _last_seam(text: str, at: int, end: int) -> int:
    """A place shortly before `end` where a piece certainly ends, in a script without spaces."""
    for seam in range(end - 1, max(at, end - _SEAM_SOUGHT), -1):
        if _SEAM.match(text, seam) is not None and is_boundary(text, seam):
            return seam
    return at


def _token_end(text: str, at: int, limit: int) -> int:
    """The end of the link, code, escape or plain run at `at`; `NOT_YET` where that lies beyond `limit`."""
    first = text[at]
    if first == "[":
        end = LABEL.end(text, at, limit)
        end = PARENTHESES.end(text, end, limit) if end > 0 else end
        return end or at + 1
    if first == "`":
        run = _BACKTICKS.match(text, at, limit)
        opened = run.end() if run is not None else at + 1
        for closing in _BACKTICKS_OR_LINE_END.finditer(text, opened, limit):
            if closing[0] == "\n":
                return at + 1
            if closing.end() - closing.start() == opened - at:
                return closing.end()
        return NOT_YET
    if first == "\\":
        return (at + 1 if text[at + 1] == "\n" else at + 2) if at + 1 < limit else NOT_YET
    plain = _PLAIN.match(text, at, limit)
    return plain.end() if plain is not None else at + 1
