"""Small helpers for text that comes from a backend. No I/O."""

from __future__ import annotations

import re
import unicodedata

MAX_NAME = 120  # characters of a file name; both platforms and all file systems take 255 bytes
MAX_DETAIL = 300  # characters of a backend's own words in a log line

_OPEN, _CLOSE = "<think>", "</think>"
_TAGS = [re.compile(tag, re.IGNORECASE | re.ASCII) for tag in (_OPEN, _CLOSE)]  # outside of thoughts, and in them
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


class ThinkFilter:
    """Takes `<think>…</think>` out of streamed text, also one that is never closed.

    `feed` returns what may be shown now: it holds back no more than the beginning of a possible tag. A tag that
    follows a backtick is being quoted and stays. White space that would begin the answer is dropped only after
    thoughts were.
    """

    def __init__(self) -> None:
        self._held = ""
        self._last = ""
        self._thinking = False
        self._trim = False

    def feed(self, delta: str) -> str:
        held, at = self._held + delta, 0
        shown: list[str] = []
        while (tag := _TAGS[self._thinking].search(held, at)) is not None:
            before, at = held[at : tag.start()], tag.end()
            if self._thinking:
                self._thinking, self._trim = False, not self._last
            elif (before or self._last).endswith("`"):
                shown.append(self._show(before + tag[0]))
            else:
                shown.append(self._show(before))
                self._thinking = True
        keep = _overlap(held[-len(_CLOSE) :].lower(), _CLOSE if self._thinking else _OPEN)
        ready, self._held = held[at : len(held) - keep], held[len(held) - keep :]
        if not self._thinking:
            shown.append(self._show(ready))
        return "".join(shown)

    def end(self) -> str:
        """What was held back, now that nothing more comes."""
        rest, self._held = self._held, ""
        return "" if self._thinking else self._show(rest)

    def _show(self, text: str) -> str:
        if self._trim:
            text = text.lstrip()
            self._trim = not text
        if text:
            self._last = text[-1]
        return text


def without_thoughts(text: str) -> str:
    """The whole text without `<think>…</think>`."""
    thoughts = ThinkFilter()
    return thoughts.feed(text) + thoughts.end()


def safe_name(name: str, default: str = "file") -> str:
    """A file name that can do no harm: the base name, without control, format or direction characters, leading
    dots or names that Windows keeps for itself; at most `MAX_NAME` characters, the extension kept.

    Decode percent-escapes first, where a service uses them.
    """
    name = unicodedata.normalize("NFC", name.encode("utf-8", "ignore").decode())
    name = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = "".join(c for c in name if unicodedata.category(c) not in {"Cc", "Cf", "Co", "Cn", "Zl", "Zp"})
    name = re.sub(r'[<>:"|?*]', "_", " ".join(name.split())).lstrip(". ").rstrip(". ")
    if not name:
        return default
    if _RESERVED.match(name):
        name = f"_{name}"
    if len(name) > MAX_NAME:
        stem, dot, extension = name.rpartition(".")
        if dot and len(extension) <= 16:
            name = stem[: MAX_NAME - len(extension) - 1] + dot + extension
        else:
            name = name[:MAX_NAME]
    return name


def one_line(text: str, limit: int = MAX_DETAIL) -> str:
    """Text for a log line: no line breaks or control characters, at most `limit` characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: limit * 4]).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def scrub(text: str) -> str:
    """Text that UTF-8 can carry: halves of a surrogate pair become `?`."""
    return text.encode("utf-8", "replace").decode()


def _overlap(text: str, tag: str) -> int:
    """How many of the last characters of `text` may begin `tag`."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if tag.startswith(text[-length:]):
            return length
    return 0
