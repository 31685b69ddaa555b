"""The text in Sema4.ai's messages and streams. No I/O.

The guide says to join the deltas and not what a delta looks like, so every form that is known is read: plain text,
a JSON string, an object that holds the text, and an object that says which place of the message to change.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

_KEYS = ("delta", "content", "text", "chunk")  # of an object, where its text may be
_APPENDING = ("add", "append", "concat_string")  # operations that put text at the end of a place
_JSON = frozenset('"{[')  # what JSON that matters here begins with
_SHOWN = "text"  # the kind of a part that people see; the others are thoughts and tools


def content_text(content: Any) -> str:
    """The text of a message's `content`: a string, or a list of parts of which those of kind text count."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return ""
    return "".join(_part_text(part) for part in content)


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("kind", _SHOWN) != _SHOWN:
        return ""
    for key in ("text", "content"):
        if isinstance(part.get(key), str):
            return str(part[key])
    return ""


class Deltas:
    """The data of one event in, the text it adds out."""

    def __init__(self) -> None:
        self._hidden: set[str] = set()  # places whose text isn't for people
        self._places: defaultdict[str, list[str]] = defaultdict(list)  # what each holds, for what replaces it

    def feed(self, data: str) -> str:
        value = _decoded(data)
        if isinstance(value, str):
            return value
        if not isinstance(value, dict) or value.get("kind", _SHOWN) != _SHOWN:
            return ""
        if "op" in value:
            return self._changed(value)
        for key in _KEYS:
            found = value.get(key)
            if isinstance(found, dict) and "op" in found:
                return self._changed(found)
            if isinstance(found, str | list | dict):
                return content_text(found)
        return ""

    def _changed(self, change: dict[str, Any]) -> str:
        op, path, value = change.get("op"), str(change.get("path", "")), change.get("value")
        if isinstance(value, dict) and value.get("kind", _SHOWN) != _SHOWN:
            self._hidden.add(path.rstrip("/"))
            return ""
        if any(path == place or path.startswith(f"{place}/") for place in self._hidden):
            return ""
        text = content_text(value)
        if op == "replace":
            held = "".join(self._places[path])
            if not text.startswith(held):
                return ""  # what was shown stays; the message itself has the last word
            self._places[path] = [text]
            return text[len(held) :]
        if op in _APPENDING:
            self._places[path].append(text)
            return text
        return ""


def _decoded(data: str) -> Any:
    """JSON strings and objects as such; anything else is plain text."""
    first = data.lstrip()[:1] if data[:1].isspace() else data[:1]
    if first not in _JSON:
        return data
    if data.strip() == "[DONE]":
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data
