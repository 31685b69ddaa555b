"""What a platform can show, as values: the one thing the reply and the surfaces agree on about text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bridge.render.characters import repair

# Shows nothing and is neither space nor punctuation to CommonMark, so it takes a mention apart and lets an
# emphasis marker stand between a bracket and a letter. Both platforms keep it as it is.
ZERO_WIDTH = "\u200b"

_BLOCK_END = re.compile(r"`(?=``)")
_MARKUP = re.compile(r"[\\`*_~|\[\]<>#&]")


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which Markdown a platform shows well; everything else is turned into the nearest thing it does.

    `mentions` and `pings` find the one character that begins one, by at most `MENTION_HELD` characters. In code
    only pings are taken apart: no documentation of either platform says that a mention there notifies nobody,
    servers that are compatible with Discord's do notify, and the rest of code is best left as it is.
    """

    name: str
    max_heading: int  # deeper headings become bold lines
    tables: bool  # pipe tables are shown as tables
    schemes: frozenset[str]  # links to anything else aren't shown as links
    entities: frozenset[str]  # characters that stay written as HTML entities
    mentions: re.Pattern[str]  # all that the platform would show as something else than what is written
    pings: re.Pattern[str]  # those that notify people
    moment: str = "{utc}"  # a time that each reader sees in theirs: {at} is Unix seconds, {utc} the time in UTC
    small: str = ""  # begins a line of small print, where there is such a thing

    def escape(self, text: str) -> str:
        """Make a whole piece of text harmless, whoever wrote it: no ping, no faked mention, nothing hidden. It may
        be Markdown. Not for what a `Renderer` gives, which is harmless and holds what this takes out."""
        return self.mentions.sub(rf"\g<0>{ZERO_WIDTH}", repair(text))

    def literal(self, text: str) -> str:
        """The same for a text that is no Markdown, as a file's name: it is shown as it stands, in one line."""
        line = " ".join(repair(text).split())
        return self.mentions.sub(rf"\g<0>{ZERO_WIDTH}", _MARKUP.sub(r"\\\g<0>", line))

    def code(self, text: str) -> str:
        """Make a line of code harmless: no ping, and no three backticks, which would end a code block, or begin
        one."""
        return self.pings.sub(rf"\g<0>{ZERO_WIDTH}", _BLOCK_END.sub(f"`{ZERO_WIDTH}", text))


MENTION_HELD = 12  # characters; "<!everyone>" has eleven


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
    max_choices: int = 25  # that can be offered to be pressed, as buttons or in a select
    working_part: bool = False  # there is no sign with a Stop button but a message: see `turns.pump`
    cards: bool = (
        False  # an agent's steps are shown as cards that stay, without words too; else in a line that goes
    )
