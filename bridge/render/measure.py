"""How platforms count a text. Each count adds up: that of two pieces is that of the two joined. A character counts
for one at least and `MOST_UNITS` at most, one of ASCII for one."""

from __future__ import annotations

from collections.abc import Callable

from bridge.render.characters import boundary

MOST_UNITS = 4  # that a character counts for, whatever the measure


def utf16(text: str) -> int:
    """UTF-16 code units, as JavaScript counts. Never less than the number of characters."""
    if text.isascii():
        return len(text)
    return len(text) + sum(character > "\uffff" for character in text)


def utf8(text: str) -> int:
    """Bytes of the text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def fitting(text: str, room: int, measure: Callable[[str], int]) -> int:
    """How many characters of text, cut between what people see as characters, fit into the room; at least one."""
    count = len(text)
    while (size := measure(text[:count])) > room:
        count = min(count - 1, count * room // size)
    return max(boundary(text, count), 1)
