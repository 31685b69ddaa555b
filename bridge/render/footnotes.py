"""What an answer quotes: a numbered list of links below it, and its `[1]` as links to them. No I/O.

The list is no part of the answer: who is asked next reads the answer without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from adapters.base import Source
from bridge.render.characters import boundary
from bridge.render.inline import Inline
from bridge.render.style import Dialect

MAX_SOURCES = 20  # listed
MAX_TITLE = 120  # characters
MAX_ADDRESS = 1_000  # characters; a longer one is no link, as it may not fit a message

HEADING = "Sources"

# What holds no marker: code, and links. The rest of a text is between them.
_ASIDE = re.compile(
    r"(```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`|\[[^\[\]\n]{0,500}\]\([^)\n]{0,2000}\))", re.DOTALL
)
_MARKER = re.compile(r"(?<![\\\]\w!])\[(\d{1,2})\](?![\[(:])|(?<=\w)\[(\d{1,2})\](?![\[(:\w])")
_BREAKS_LINK = str.maketrans({character: f"%{ord(character):02X}" for character in r'()<>[]\`|"'})


def footnotes(sources: Sequence[Source], dialect: Dialect) -> str:
    """Rendered for the platform; "" for none. Each has the number that it has in the answer."""
    if not sources:
        return ""
    inline = Inline(dialect)
    lines = [
        f"{number}. {_entry(source, inline, dialect)}" for number, source in enumerate(sources[:MAX_SOURCES], 1)
    ]
    if len(sources) > MAX_SOURCES:
        lines.append(f"and {len(sources) - MAX_SOURCES:,} more")
    heading = f"**{HEADING}**"
    if dialect.small:
        return "\n".join(f"{dialect.small}{line}" for line in (heading, *lines))
    return f"{heading}\n\n" + "\n".join(lines)


def linked(answer: str, sources: Sequence[Source]) -> str:
    """The answer's Markdown with its markers as links."""
    targets = [address(source.url) for source in sources[:MAX_SOURCES]]
    if not any(targets) or "[" not in answer:
        return answer

    def link(marker: re.Match[str]) -> str:
        number = int(marker[1] or marker[2])
        target = targets[number - 1] if 0 < number <= len(targets) else ""
        return f"[\\[{number}\\]]({target})" if target else marker[0]

    pieces = _ASIDE.split(answer)
    pieces[::2] = [_MARKER.sub(link, piece) for piece in pieces[::2]]
    return "".join(pieces)


def address(url: str) -> str:
    """An address of the web as a link's target; "" for any other, and for one that is too long."""
    url = "".join(character for character in url.strip() if character.isprintable() and not character.isspace())
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return ""
    target = url.translate(_BREAKS_LINK)
    return target if parts.scheme in ("http", "https") and host and len(target) <= MAX_ADDRESS else ""


def _entry(source: Source, inline: Inline, dialect: Dialect) -> str:
    target = address(source.url)
    title = " ".join(source.title.split())
    if len(title) > MAX_TITLE:
        title = f"{title[: boundary(title, MAX_TITLE - 1)]}…"
    name = dialect.literal(title or (urlsplit(target).hostname or "" if target else source.url[:MAX_TITLE]))
    return inline.whole(f"[{name}]({target})") if target else name or "…"
