"""Text of others on its way to a terminal, which obeys some characters and shows others out of order. No I/O."""

from __future__ import annotations

import json
import re
from typing import Any

# Controls but line break and tab, overrides and isolates of direction, halves of surrogate pairs. What joins
# letters or only marks a direction stays: scripts and emoji need it.
_OBEYED = "\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u206f\ud800-\udfff"
_IN_TEXT = re.compile(f"[{_OBEYED}]")
_IN_JSON = re.compile(f"[{_OBEYED}\u2028\u2029]")
_LINE_BREAKS = re.compile("\r\n|[\r\u2028\u2029]")


def printable(text: str) -> str:
    """The text as a terminal may have it."""
    return _IN_TEXT.sub("", _LINE_BREAKS.sub("\n", text))


def printable_line(text: str) -> str:
    """The same on one line."""
    return " ".join(printable(text).split())


def printable_json(value: Any, *, indent: int | None = None) -> str:
    """JSON that says all and that a terminal may have: what it would obey is escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
