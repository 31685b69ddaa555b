"""Whether the words of a link claim to lead elsewhere than the link does."""

from __future__ import annotations

import re
from unicodedata import category, normalize
from urllib.parse import urlsplit

_MARKUP = re.compile(r"[\\`*_~]|\.(?=[:/?#]|\Z)")
_WRITTEN_OUT = re.compile(r"https?:/|www\.")
_HOST = re.compile(r"(?:[^\s@/?#]*+@)?((?>(?:[\w-]++\.)+)([^\W\d_]{2,24}+))(?=[:/?#]|\Z)")
# The only names of hosts that are found within a sentence: most words with a dot are something else.
_KNOWN_HOST = re.compile(r"(?<![\w.-])((?>(?:[\w-]++\.)+)(?:com|org|net|gov|edu|mil|int|io|co|bank))(?![\w-])")
_DOTS = str.maketrans("。．｡․", "....")
# What a file's name may end in: the first are no host's, the second may be.
_FILES = frozenset(
    [
        *["csv", "docx", "gif", "html", "ipynb", "jpeg", "jpg", "js", "json", "log", "parquet", "pdf", "png"],
        *["pptx", "sql", "svg", "toml", "ts", "txt", "xlsx", "xml", "yaml", "yml"],
    ]
)
_FILES_OR_HOSTS = frozenset(["md", "pl", "ps", "py", "rs", "sh", "zip"])


def names_another(label: str, target: str) -> bool:
    """Whether a link's label is an address itself, or names a host that isn't the target's. The two are then best
    shown side by side."""
    if label.isascii() and "." not in label and ":" not in label:
        return False
    words = normalize("NFKC", label.translate(_DOTS)).casefold()
    words = "".join(character for character in words if category(character) != "Cf")
    if "." not in words and ":" not in words:
        return False
    if _WRITTEN_OUT.search(words):
        return True
    address = _MARKUP.sub("", words.strip())
    named = _HOST.match(address)
    if named is not None and named[2] not in _FILES:
        its_file = named[2] in _FILES_OR_HOSTS and _path(target).endswith(f"/{address}")
        return not its_file and not _within(named[1], target)
    return any(not _within(host, target) for host in _KNOWN_HOST.findall(words))


def _path(target: str) -> str:
    return target.partition("?")[0].partition("#")[0].casefold()


def _within(host: str, target: str) -> bool:
    """Whether the target lies on that host, or on one below it."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    there = parts.hostname or parts.path.rpartition("@")[2].casefold()
    return f".{there}".endswith(f".{host}")
