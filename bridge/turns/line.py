"""The messages that wait while their thread is busy: which of them are asked together. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bridge.store.values import StoredTurn
from bridge.turns.prepare import MAX_ATTACHMENTS

MAX_JOINED = 20  # messages in one turn; what is over is asked in the next
MAX_WORDS = 40_000  # characters of them


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class Line:
    """What a turn has to do with those that wait behind it."""

    joined: tuple[StoredTurn, ...] = ()  # their words and files are in the turn
    interrupted_after: int | None = None  # position after which a message of its person stops it; None: none does
    on_begun: Callable[[], None] = _nothing  # called once it is stored that the turn is begun


ALONE = Line()


def joinable(turn: StoredTurn, line: Sequence[StoredTurn]) -> tuple[StoredTurn, ...]:
    """What is asked together with a turn, of the `line` that it is the first of: what its person wrote right after it.
    Another person's message isn't, as the agent acts for whoever asks."""
    if not line or line[0].id != turn.id or not _was_written(turn):
        return ()
    found: list[StoredTurn] = []
    words, files = len(turn.text), len(turn.files)
    for one in line[1:MAX_JOINED]:
        words, files = words + len(one.text), files + len(one.files)
        same = _was_written(one) and one.person.id == turn.person.id
        if not same or words > MAX_WORDS or files > MAX_ATTACHMENTS:
            break
        found.append(one)
    return tuple(found)


def together(turn: StoredTurn, joined: Sequence[StoredTurn]) -> StoredTurn:
    """The turn with the words and files of all, in their order."""
    if not joined:
        return turn
    texts = [text for one in (turn, *joined) if (text := one.text.strip())]
    files = tuple(file for one in (turn, *joined) for file in one.files)
    return replace(turn, text="\n\n".join(texts), files=files)


def _was_written(turn: StoredTurn) -> bool:
    """As a message, and not asked by a button: that has a meaning of its own."""
    by_button = turn.retry_of or turn.chosen or turn.asked_as or turn.asked_by or turn.start
    return not by_button and turn.answer is None
