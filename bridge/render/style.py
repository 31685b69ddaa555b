"""What a platform can show, as values: the one thing the reply and the surfaces agree on about text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which Markdown a platform shows well; everything else is turned into the nearest thing it does."""

    name: str
    max_heading: int  # deeper headings become bold lines
    escape: Callable[[str], str]  # makes a plain run of text harmless: no pings, no faked mentions


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
