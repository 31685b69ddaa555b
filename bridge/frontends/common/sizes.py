"""Sizes of files, for people."""

from __future__ import annotations

KILO = 1024


def in_words(size: int | None) -> str:
    """ "12 KB"; "" where nobody says."""
    if size is None:
        return ""
    if size < KILO:
        return f"{size} bytes"
    for unit in ("KB", "MB"):
        size = -(-size // KILO)
        if size < KILO:
            return f"{size} {unit}"
    return f"{-(-size // KILO)} GB"
