"""How platforms count a text. Each count adds up: that of two pieces is that of the two joined."""

from __future__ import annotations


def utf16(text: str) -> int:
    """UTF-16 code units, as JavaScript counts. Never less than the number of characters."""
    if text.isascii():
        return len(text)
    return len(text) + sum(character > "\uffff" for character in text)


def utf8(text: str) -> int:
    """Bytes of the text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
