"""What has to be known about single characters: where a text may be cut, how wide it is, how emphasis sees it.

The rules for grapheme clusters are those of Unicode's annex 29, as far as the standard library has the data.
"""

from __future__ import annotations

import re
from unicodedata import category, combining, east_asian_width

_JOINER = "\u200d"
_VIRAMA = 9  # canonical combining class; the consonant after one belongs to the same cluster
_LONGEST_CLUSTER = 64  # characters; beyond that it is decoration, and cut
_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))
_FLAGS_SEEN = 5_000  # characters before a cut, in which the first letter of a row of flags is looked for

_SURROGATE = re.compile("[\ud800-\udfff]")

_LINE_ENDS = dict.fromkeys(map(ord, "\r\v\f\x85\u2028\u2029"), "\n")
# Controls, the marks that turn the direction of what follows, the byte order mark, annotations.
_NEVER = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]+")
# Soft hyphen, joiners, direction marks, invisible operators, variation selectors and tags.
_SHOWS_NOTHING = (
    "\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u2060-\u2065\u206a-\u206f\ufe00-\ufe0e\U000e0000-\U000e0fff"
)
_ODD = re.compile(
    "[^\t\n -~\u00a0-\ud7ff\ue000-\U0010ffff]"
    f"|[\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ufe0f{_SHOWS_NOTHING}]"
)
_AFTER_ASCII = re.compile(  # U+FE0F makes a keycap of what may be one
    f"(?<=[0-9#*])[{_SHOWS_NOTHING}]+|(?<![^\0-\x7f])(?<![0-9#*])[{_SHOWS_NOTHING}\ufe0f]+"
)

# Scripts written without spaces, and Korean, where a particle follows a word directly.
CJK = (
    "\u1100-\u11ff\u2e80-\u303f\u3040-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f"
    "\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
)
_CJK = re.compile(f"[{CJK}]")


def is_cjk(character: str) -> bool:
    return character >= "\u1100" and _CJK.match(character) is not None


def is_punctuation(character: str) -> bool:
    """Punctuation or symbol, as CommonMark means it."""
    return category(character)[0] in "PS"


def _extends(character: str) -> bool:
    """Belongs to the character before it, whatever that is."""
    if character < "\u0300":
        return False
    return (
        category(character)[0] == "M"
        or character == _JOINER
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # tags, as in the flag of Scotland
        or "\u1160" <= character <= "\u11ff"  # Hangul vowels and finals
        or "\uff9e" <= character <= "\uff9f"  # halfwidth kana voicing
    )


def _is_flag_letter(character: str) -> bool:
    return character in _FLAG_LETTERS


def is_boundary(text: str, at: int) -> bool:
    """Whether text may be cut before index `at` without taking a character apart that people see as one."""
    if at <= 0 or at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    if before == "\r" and after == "\n":
        return False
    if before < "\u0300" and after < "\u0300":
        return True
    if _extends(after) or (before == _JOINER and not after.isspace()):
        return False
    if "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff":
        return False
    if combining(before) == _VIRAMA and category(after)[0] == "L":
        return False
    if "\u1100" <= before <= "\u115f" and ("\u1100" <= after <= "\u115f" or "\uac00" <= after <= "\ud7a3"):
        return False
    if _is_flag_letter(before) and _is_flag_letter(after):
        behind = text[max(0, at - _FLAGS_SEEN) : at]
        return (len(behind) - len(behind.rstrip(_FLAG_LETTERS))) % 2 == 0
    return True


def boundary(text: str, at: int) -> int:
    """The last place up to `at`, and after 0, where text may be cut; `at` itself where there is none near."""
    cut = at
    while cut > 0 and at - cut < _LONGEST_CLUSTER:
        if is_boundary(text, cut):
            return cut
        cut -= 1
    return at


def width(text: str) -> int:
    """Columns that text takes in a fixed-width font: East Asian wide characters and emoji take two."""
    if text.isascii():
        return len(text)
    columns = 0
    for index, character in enumerate(text):
        if _extends(character):
            # The emoji form of a character that is narrow by itself.
            if character == "\ufe0f" and index and east_asian_width(text[index - 1]) not in "WF":
                columns += 1
            continue
        if category(character) in ("Cf", "Cc") or (index and text[index - 1] == _JOINER):
            continue
        columns += 2 if east_asian_width(character) in "WF" else 1
    return columns


def repair(text: str, before: str = "") -> str:
    """Text as a platform may get it: every line ends in a newline, surrogate pairs that came as two characters are
    joined, U+FFFD stands for NUL and for what UTF-8 has no way to write, and control characters and those that
    change the direction of writing are gone. Of the characters that show nothing, those stay that scripts and
    emoji need: none that follows an ASCII character, where it can only hide a mention or a marker.

    `before` is the last character of the repaired text that this one goes on from.
    """
    if _ODD.search(text) is None:
        return text
    text = text.replace("\r\n", "\n").replace("\0", "\ufffd").translate(_LINE_ENDS)
    if _SURROGATE.search(text) is not None:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    text = _NEVER.sub("", text)
    if text.isascii():
        return text
    before = before if before.isascii() else "é"
    return _AFTER_ASCII.sub("", before + text)[len(before) :]
