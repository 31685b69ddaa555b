"""What the steps of a turn at work share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.base import Agent
from bridge.prompts import UnderReply
from bridge.store.values import Outlook, StoredTurn
from bridge.turns.folder import Folder
from bridge.turns.hold import Hold
from bridge.turns.line import ALONE, Line
from bridge.turns.links import Links
from bridge.turns.outages import Breaker
from bridge.turns.person import Telling
from bridge.turns.surface import Surface
from bridge.turns.voice import Hears


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one turn. Seconds and bytes."""

    deadline: float
    quiet_after: float  # without a word of the agent, until the person is told so
    attachment_bytes: int
    approval_seconds: float  # that an approval waits at most


@dataclass(frozen=True, slots=True)
class Work:
    """A turn, and what it is worked on with."""

    hold: Hold
    turn: StoredTurn
    outlook: Outlook
    surface: Surface
    agent: Agent
    breaker: Breaker
    limits: Limits
    folder: Folder
    telling: Telling
    approvers: Sequence[str]  # who may decide where the agent names nobody, as "slack:U…", "discord:…"
    another_surface: Callable[[], Surface]  # of the same thread, for what is written beside the reply
    hears: Hears | None = None  # where voice notes are written down
    links: Links | None = None  # to files that are too large for the platform
    under_reply: tuple[UnderReply, ...] = ()  # what stands under an answer
    line: Line = ALONE
    kind: str = ""  # of the agent: its adapter's name
