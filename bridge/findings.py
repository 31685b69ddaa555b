"""What a check of the set-up found: one line, and the way to mend it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from adapters.text import one_line

MAX_SAID = 700  # characters; what a service says of itself can be of any length


class Mark(StrEnum):
    OK = "ok"
    WARN = "warn"  # it serves, but less than it could
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`place` is the setting it is about, as in `slack.bot_token`; `mend` is a whole sentence, without secrets."""

    mark: Mark
    place: str
    said: str
    mend: str = ""

    def __str__(self) -> str:
        end = f". {self.mend}" if self.mend else ""
        return f"{self.mark:4} {self.place}: {one_line(self.said, MAX_SAID)}{end}"


def ok(place: str, said: str) -> Finding:
    return Finding(Mark.OK, place, said)


def warn(place: str, said: str, mend: str) -> Finding:
    return Finding(Mark.WARN, place, said, mend)


def fail(place: str, said: str, mend: str) -> Finding:
    return Finding(Mark.FAIL, place, said, mend)
