"""A reply's text: words as they come in, parts as they should stand in the thread. No I/O and no clock.

Words are only kept when they come in; they are rendered and split when somebody looks, so that what came together is
done together.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence

from bridge.render.markdown import Renderer
from bridge.render.split import Part, Splitter
from bridge.render.style import Style
from bridge.store.values import storable

MAX_REPLY = 100_000  # characters shown as messages; a longer answer comes as a file besides


class ReplyText:
    """`cuts` are the ends of parts that were closed in a former attempt."""

    def __init__(self, style: Style, cuts: Iterable[int] = ()) -> None:
        self._style = style
        self._raw: list[str] = []
        self._waiting: list[str] = []  # not yet rendered
        # A service that counts in UTF-16 may cut a character in two: the half waits for the other one.
        self._whole = codecs.getincrementaldecoder("utf-16-le")("replace")
        self.length = 0  # characters of the answer so far
        self.complete = False
        self._renderer = Renderer(style.dialect)
        self._splitter = Splitter(style.limit, style.measure, sorted(cuts))
        self._rendered_all = False
        self._below = ""

    @property
    def so_far(self) -> str:
        return "".join(self._raw)

    @property
    def overflowed(self) -> bool:
        """Whether the answer is longer than what is shown as messages."""
        return self.length > MAX_REPLY

    @property
    def pending(self) -> int:
        """Characters that the next look has to render."""
        return sum(map(len, self._waiting))

    def feed(self, delta: str) -> None:
        if not delta.isascii() or "\0" in delta or self._whole.getstate()[0]:
            delta = self._whole.decode(delta.encode("utf-16-le", "surrogatepass")).replace("\0", "")
        if self.complete or not delta:
            return
        self._raw.append(delta)
        room = max(0, MAX_REPLY - self.length)
        self.length += len(delta)
        if room:
            self._waiting.append(delta[:room])

    def finish(self, text: str | None = None, below: str = "") -> bool:
        """The answer is complete; `text` is the whole of it, where it may differ from what was fed. False if it does:
        then all of it is rendered anew, and parts that read the same stay as they are. `below` is rendered already,
        and no part of the answer."""
        if self.complete:
            return True
        self._below = below
        streamed = self.so_far
        whole = storable(text) if text is not None else streamed
        extends = whole.startswith(streamed)
        if extends:
            self.feed(whole[len(streamed) :])
        else:
            self._start_over(whole, ())
        self.complete = True
        return extends

    def begin_anew(self, cuts: Iterable[int]) -> None:
        """The agent begins its answer again, after it broke off."""
        self._start_over("", cuts)

    def parts(self) -> Sequence[Part]:
        """The parts as they are now. The same sequence each time, so don't keep it."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._splitter.feed(self._renderer.feed("".join(waiting)))
        if self.complete and not self._rendered_all:
            self._rendered_all = True
            self._splitter.feed(self._renderer.finish())
            if self._below:
                self._splitter.feed(f"\n\n{self._below}" if self._raw else self._below)
            self._splitter.finish()
        return self._splitter.parts

    def cut(self) -> None:
        """The open part takes no more: go on in a new one."""
        self._splitter.cut()

    def _start_over(self, text: str, cuts: Iterable[int]) -> None:
        self._raw, self._waiting, self.length = [], [], 0
        self._whole.reset()
        self._renderer = Renderer(self._style.dialect)
        self._splitter = Splitter(self._style.limit, self._style.measure, sorted(cuts))
        self.feed(text)
