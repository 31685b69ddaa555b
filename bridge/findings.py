"""What a check of the set-up found: one line, and what to do about it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from adapters.text import one_line

MAX_FOUND = 700  # characters; what a service says of itself can be of any length


class Mark(StrEnum):
    OK = "ok"
    WARN = "warn"  # it serves, but less than it could, or nobody can tell
    FAIL = "fail"
    DONE = "done"  # it was mended just now


@dataclass(frozen=True, slots=True)
class Finding:
    """`place` is the setting it is about, as in `slack.bot_token`; `fix` is a whole sentence, without secrets."""

    mark: Mark
    place: str
    found: str
    fix: str = ""

    def __str__(self) -> str:
        end = f". {self.fix}" if self.fix else ""
        return f"{self.mark:4} {self.place}: {one_line(self.found, MAX_FOUND)}{end}"

    def as_object(self) -> dict[str, str]:
        """The same for programs."""
        found = one_line(self.found, MAX_FOUND)
        return {"place": self.place, "mark": self.mark.value, "text": found, "mend": self.fix}


def ok(place: str, found: str) -> Finding:
    return Finding(Mark.OK, place, found)


def warn(place: str, found: str, fix: str) -> Finding:
    return Finding(Mark.WARN, place, found, fix)


def fail(place: str, found: str, fix: str) -> Finding:
    return Finding(Mark.FAIL, place, found, fix)
