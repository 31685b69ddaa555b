"""When the bot speaks in a place, and how: what a route says of it. Values, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bridge.inbound import Address

Listen = Literal["mention", "follow", "all"]
Busy = Literal["queue", "steer", "interrupt"]


@dataclass(frozen=True, slots=True)
class Listening:
    """Of the channels that a route matches. Direct messages are always asked, and flat or not by their platform."""

    listen: Listen = "follow"
    flat: bool = False  # what is asked in the channel itself is answered there, as one conversation
    bots: frozenset[str] = frozenset()  # that may ask: ids as their platform writes them

    @property
    def hears_all(self) -> bool:
        return self.listen == "all"


USUAL = Listening()
ListeningAt = Callable[[Address], Listening]  # by platform, workspace and channel; the thread doesn't matter

BusyAt = Callable[[Address], Busy]  # what becomes there of messages that come while the agent is at work


def in_line(_: Address) -> Busy:
    """They wait, one after the other."""
    return "queue"


def as_ever(_: Address) -> Listening:
    """What holds where no route says otherwise."""
    return USUAL
