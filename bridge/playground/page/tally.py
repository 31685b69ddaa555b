"""The promise in numbers, by nothing but what the platforms show and the agents counted. No I/O.

Every message to an agent, and every "send it again" that a person pressed, leads to one turn. A turn counts when
it ended: it has a reply, nothing in its thread grows any more, and it has been quiet for a moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field

SETTLED = 1.5  # seconds of quiet: longer than the pauses between two parts of a reply


@dataclass(frozen=True, slots=True)
class PartSeen:
    """One message of a reply as its platform shows it."""

    thread: Hashable
    turn: str
    key: str  # names the part within its turn
    state: Hashable  # changes with whatever a reader would see change


@dataclass(frozen=True, slots=True)
class Replies:
    """How many turns ended, and how many parts of replies stand there once more than they should."""

    ended: int
    twice: int


@dataclass(slots=True)
class _Turn:
    thread: Hashable
    states: dict[str, Hashable]
    changed: float


@dataclass(slots=True)
class ReplyWatch:
    """Remembers when each turn's reply last changed."""

    _turns: dict[str, _Turn] = field(default_factory=dict)

    def look(self, parts: Iterable[PartSeen], busy: Collection[Hashable], now: float) -> Replies:
        """`parts` oldest first; `busy` are the threads where something grows or the app says that it works."""
        found = list(parts)
        seen: dict[str, _Turn] = {}
        for part in found:
            turn = seen.setdefault(part.turn, _Turn(part.thread, {}, now))
            turn.states[part.key] = part.state
        for name, turn in seen.items():
            known = self._turns.get(name)
            if known is not None and known.states == turn.states:
                turn.changed = known.changed
        self._turns = seen
        newest = {turn.thread: name for name, turn in seen.items()}
        ended = sum(
            newest[turn.thread] != name or (turn.thread not in busy and now - turn.changed >= SETTLED)
            for name, turn in seen.items()
        )
        counted = Counter((part.turn, part.key) for part in found)
        return Replies(ended, sum(count - 1 for count in counted.values()))
