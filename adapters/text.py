"""Small helpers for text that comes from a backend. No I/O."""

from __future__ import annotations

import re
import unicodedata

MAX_NAME = 240  # bytes of a file name; file systems take 255, and a caller may add a number or an ending
MAX_ENDING = 16  # characters of an ending that is kept when a name is cut
MAX_DETAIL = 300  # characters of a backend's own words in a log line

_OPEN, _CLOSE = "<think>", "</think>"
_LETTERS = (_OPEN, _CLOSE)  # what is looked for outside of thoughts, and within
_TAGS = tuple(re.compile(tag, re.IGNORECASE | re.ASCII) for tag in _LETTERS)
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
_HARMFUL = {"Cc", "Cf", "Co", "Cn", "Zl", "Zp"}  # control, format and direction characters, and no characters
_JOINERS = "\u200c\u200d"  # format characters too, but Persian, Indic scripts and emoji are written with them
_SKIN_TONES = "".join(map(chr, range(0x1F3FB, 0x1F400)))
_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))
_FIRST_JOINED = 0x0590  # below it are scripts that never join; their rarer letters are above it
_UNJOINED = ("LATIN", "GREEK", "CYRILLIC")


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
        if "<" not in delta and not (self._held or self._thinking or self._trim):  # most of what ever comes
            self._last = delta[-1:] or self._last
            return delta
        text, at = self._held + delta, 0
        shown: list[str] = []
        while found := _TAGS[self._thinking].search(text, at):
            before, at = text[at : found.start()], found.end()
            if self._thinking:
                self._thinking, self._trim = False, not self._last
            elif (before or self._last).endswith("`"):
                shown.append(self._show(before + found[0]))
            else:
                shown.append(self._show(before))
                self._thinking = True
        ready = max(at, len(text) - _overlap(text[at:][-len(_CLOSE) :].lower(), _LETTERS[self._thinking]))
        self._held = text[ready:]
        if not self._thinking:
            shown.append(self._show(text[at:ready]))
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
    dots or names that Windows keeps for itself; at most `MAX_NAME` bytes as UTF-8, the ending kept.

    Decode percent-escapes first, where a service uses them.
    """
    name = name.encode("utf-8", "ignore").decode().replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = "".join(c for c in name if c in _JOINERS or unicodedata.category(c) not in _HARMFUL)
    name = unicodedata.normalize("NFC", _without_stray_joiners(unicodedata.normalize("NFC", name)))
    name = re.sub(r'[<>:"|?*]', "_", " ".join(name.split())).lstrip(". ").rstrip(". ")
    if not name:
        return default
    if _RESERVED.match(name):
        name = f"_{name}"
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > MAX_ENDING:
        stem, dot, ending = name, "", ""
    return _cut(stem, MAX_NAME - len((dot + ending).encode())) + dot + ending


def _without_stray_joiners(text: str) -> str:
    """Joiners only where they join: between letters of a script that has them, or between emoji. Anywhere else
    they only make two names look the same."""
    kept: list[str] = []
    base = ""  # the last character that is no mark
    for at, c in enumerate(text):
        follower = text[at + 1 : at + 2]
        if c not in _JOINERS:
            kept.append(c)
            base = base if _is_mark(c) else c
        elif kept and kept[-1] not in _JOINERS and _joins(base) and (_is_mark(follower) or _joins(follower)):
            kept.append(c)
    return "".join(kept)


def _is_mark(c: str) -> bool:
    return bool(c) and unicodedata.category(c)[0] == "M"


def _joins(c: str) -> bool:
    """Whether a letter is of a script that has joiners, or a symbol may be an emoji."""
    return (
        bool(c)
        and ord(c) >= _FIRST_JOINED
        and unicodedata.category(c)[0] in "LS"
        and not unicodedata.name(c, "").startswith(_UNJOINED)
    )


def _cut(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, never ending inside what people see as one character."""
    if len(text.encode()) <= limit:
        return text
    whole = len(text.encode()[:limit].decode("utf-8", "ignore"))
    at = whole
    while at and _continues(text, at):
        at -= 1
    return text[: at or whole].rstrip(". " + _JOINERS)


def _continues(text: str, at: int) -> bool:
    """Whether the character there belongs to the one before it: a mark, a joiner and what it joins, a skin tone,
    the second half of a flag."""
    before, c = text[at - 1], text[at]
    flags = len(text[:at]) - len(text[:at].rstrip(_FLAG_LETTERS))
    return (
        _is_mark(c)
        or c in _JOINERS
        or before in _JOINERS
        or c in _SKIN_TONES
        or (c in _FLAG_LETTERS and flags % 2 == 1)
    )


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
