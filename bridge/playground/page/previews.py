"""What the page shows of a file before anyone opens it."""

from __future__ import annotations

import csv
from itertools import islice

from bridge.playground.page.views import PreviewView

MAX_READ = 8 * 1024  # bytes looked at
MAX_ROWS = 6
MAX_COLUMNS = 6
MAX_CELL = 40  # characters
MAX_LINES = 6
MAX_LINE = 60  # characters

IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
TEXTS = ("text/", "application/json")


def preview(name: str, media_type: str, content: bytes) -> PreviewView | None:
    """None for what isn't an image, a table or a text, and for one that isn't UTF-8."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind in IMAGES:
        return {"kind": "image"}
    if not kind.startswith(TEXTS):
        return None
    whole = len(content) <= MAX_READ
    try:
        text = content[:MAX_READ].decode("utf-8-sig", errors="strict" if whole else "ignore")
    except UnicodeDecodeError:
        return None
    lines = text.splitlines()
    if kind == "text/csv" or name.lower().endswith(".csv"):
        try:
            rows = list(islice(csv.reader(text.splitlines(keepends=True)), MAX_ROWS))
        except csv.Error:
            return None
        return {"kind": "table", "rows": [[_short(cell, MAX_CELL) for cell in row[:MAX_COLUMNS]] for row in rows]}
    shown = [_short(line, MAX_LINE) for line in lines[:MAX_LINES]]
    if len(lines) > MAX_LINES:
        shown.append("…")
    return {"kind": "text", "text": "\n".join(shown)}


def _short(text: str, limit: int) -> str:
    text = text.replace("\n", " ")
    return text if len(text) <= limit else text[: limit - 1] + "…"
