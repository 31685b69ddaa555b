"""What a platform can show, as values: the one thing the reply and the surfaces agree on about text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

# Shows nothing and is neither space nor punctuation to CommonMark, so it takes a mention apart and lets an
# emphasis marker stand between a bracket and a letter. Both platforms keep it as it is.
ZERO_WIDTH = "\u200b"


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which Markdown a platform shows well; everything else is turned into the nearest thing it does."""

    name: str
    max_heading: int  # deeper headings become bold lines
    tables: bool  # pipe tables are shown as tables
    schemes: frozenset[str]  # links to anything else aren't shown as links
    entities: frozenset[str]  # characters that stay written as HTML entities
    mentions: re.Pattern[str]  # the one character that begins a mention, by what follows it

    def escape(self, text: str) -> str:
        """Make a whole piece of text harmless: no ping, no faked mention."""
        return self.mentions.sub(rf"\g<0>{ZERO_WIDTH}", text)


@dataclass(frozen=True, slots=True)
class Style:
    """A surface's limits. Sizes are in what `measure` counts."""

    dialect: Dialect
    limit: int  # of one part's text
    measure: Callable[[str], int]
    interval: float  # seconds between two edits of a reply at the platform's budget
    appends: bool  # live text is appended, never replaced (a Slack stream)
    max_files: int
    max_file_bytes: int
