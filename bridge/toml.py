"""Writes TOML values. Python reads TOML and doesn't write it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

Value = str | bool | int | float | Sequence["Value"] | Mapping[str, "Value"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dumps(value: Value) -> str:
    """A value as it stands after the equals sign, on one line. Raises `ValueError` for half a surrogate pair."""
    match value:
        case str():
            return _string(value)
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case Mapping():
            return "{" + ", ".join(f"{key(name)} = {dumps(one)}" for name, one in value.items()) + "}"
        case _:
            return "[" + ", ".join(map(dumps, value)) + "]"


def key(name: str) -> str:
    """A key, quoted where it must be."""
    return name if _BARE.fullmatch(name) else _string(name)


def _string(text: str) -> str:
    text.encode()
    # JSON's escapes are TOML's, but for the one control character that JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
