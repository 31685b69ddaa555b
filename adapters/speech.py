"""The text of an answer that comes in blocks, as it may be shown. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from adapters.text import ThinkFilter


class Speech:
    """Blocks of text with an empty line between them, without thoughts. What `begin`, `add` and `end` return is
    shown at once and in this order; `said` is all of it."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._gap = ""
        self._thoughts = ThinkFilter()

    @property
    def said(self) -> str:
        return "".join(self._said)

    def begin(self) -> str:
        """A new block begins. Returns what the one before still held back."""
        rest = self.end()
        self._thoughts = ThinkFilter()
        self._gap = "\n\n" if self._said else ""
        return rest

    def add(self, delta: str) -> str:
        """More of the block."""
        return self._show(self._thoughts.feed(delta))

    def end(self) -> str:
        """The block is complete. Returns what was held back."""
        return self._show(self._thoughts.end())

    def _show(self, text: str) -> str:
        if not text:
            return ""
        text = self._gap + text
        self._gap = ""
        self._said.append(text)
        return text


def spoken(blocks: Iterable[str], *, complete: bool) -> Speech:
    """What would have been said, had these blocks been streamed. `complete`: nothing is added to the last one."""
    speech = Speech()
    for block in filter(None, blocks):
        speech.begin()
        speech.add(block)
    if complete:
        speech.end()
    return speech
