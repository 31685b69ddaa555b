"""What the thread is known to show of a reply. No I/O.

A part that isn't recorded may stand there all the same, posted by an attempt that died before it said so, or by a call
whose answer was lost. Such a part is looked for before it is posted. Parts are posted in order, so once one of the text
isn't there, those after it aren't either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bridge.inbound import position
from bridge.store.values import PartRecord
from bridge.turns.surface import NO_PROGRESS, PartKey, PartKind, Progress

FOUND_SHOWS = 1_000  # characters: what a part that was found may show at most, as it is recorded within seconds


@dataclass(slots=True)
class Shown:
    """What a platform message is known to show."""

    id: str
    text: str | None = None  # None: nobody knows
    length: int = 0  # characters of the part's text that it shows at least: no live edit takes them back
    digest: str | None = None  # of the text it was finished with
    progress: Progress | None = None  # None: nobody knows
    ends: int | None = None


class Parts:
    """The record of one reply. `resumed`: an earlier attempt may have posted more than is recorded."""

    def __init__(self, turn: str, records: Iterable[PartRecord], *, resumed: bool) -> None:
        self._turn = turn
        self._resumed = resumed
        self._text_ends = False  # a part of the text was looked for and isn't there
        self._doubtful: set[PartKey] = set()
        self._absent: set[PartKey] = set()
        self._shown = {
            PartKey(turn, PartKind(one.kind), one.index): Shown(
                one.message_id, None, one.shown, one.digest, None, one.ends
            )
            for one in records
        }

    def get(self, key: PartKey) -> Shown | None:
        return self._shown.get(key)

    def __len__(self) -> int:
        return len(self._shown)

    @property
    def message_ids(self) -> set[str]:
        return {shown.id for shown in self._shown.values()}

    @property
    def last(self) -> str | None:
        """The message id of the part that stands last in the thread."""
        return max(self.message_ids, key=_order, default=None)

    @property
    def text_count(self) -> int:
        """Parts of the text."""
        return sum(key.kind is PartKind.TEXT for key in self._shown)

    @property
    def cuts(self) -> list[int]:
        """Where parts of the text were closed."""
        return [
            shown.ends
            for key, shown in self._shown.items()
            if key.kind is PartKind.TEXT and shown.ends is not None
        ]

    def to_be_found(self, key: PartKey) -> bool:
        """Whether the part may stand there already, so that it has to be looked for before it is posted."""
        if key in self._doubtful:
            return True
        if not self._resumed or key in self._absent:
            return False
        return not (key.kind is PartKind.TEXT and self._text_ends)

    def absent(self, key: PartKey) -> None:
        """It was looked for and isn't there."""
        self._absent.add(key)
        self._doubtful.discard(key)
        self._text_ends = self._text_ends or key.kind is PartKind.TEXT

    def doubtful(self, key: PartKey) -> None:
        """It was sent, and the answer was lost."""
        self._doubtful.add(key)

    def found(self, key: PartKey, message_id: str) -> PartRecord:
        return self._put(key, Shown(message_id, length=FOUND_SHOWS))

    def posted(
        self, key: PartKey, message_id: str, text: str, length: int, progress: Progress = NO_PROGRESS
    ) -> PartRecord:
        return self._put(key, Shown(message_id, text, length, progress=progress))

    def shows(self, key: PartKey, text: str, length: int, progress: Progress = NO_PROGRESS) -> PartRecord:
        """An edit was taken."""
        shown = self._shown[key]
        shown.text, shown.length, shown.progress = text, length, progress
        return self.record(key)

    def promised(self, key: PartKey) -> PartRecord:
        """Words are about to be shown where none were; how many is recorded later."""
        return replace(self.record(key), shown=FOUND_SHOWS)

    def finished(self, key: PartKey, text: str, length: int, ends: int | None) -> PartRecord:
        shown = self._shown[key]
        shown.text, shown.length, shown.digest, shown.ends = text, length, digest(text), ends
        return self.record(key)

    def is_finished(self, key: PartKey, text: str) -> bool:
        shown = self._shown.get(key)
        return shown is not None and shown.digest == digest(text)

    def growing(self) -> list[PartKey]:
        """Parts of the text that were never finished."""
        return [key for key, shown in self._shown.items() if key.kind is PartKind.TEXT and shown.digest is None]

    def surplus(self, count: int) -> list[PartKey]:
        """Parts of the text that its final form has no use for."""
        return [key for key in self._shown if key.kind is PartKind.TEXT and key.index >= count]

    def forget(self, key: PartKey) -> None:
        del self._shown[key]

    def record(self, key: PartKey) -> PartRecord:
        shown = self._shown[key]
        return PartRecord(key.kind, key.index, shown.id, shown.ends, shown.length, shown.digest)

    def _put(self, key: PartKey, shown: Shown) -> PartRecord:
        self._doubtful.discard(key)
        self._shown[key] = shown
        return self.record(key)


def _order(message_id: str) -> tuple[int, str]:
    try:
        return position(message_id), ""
    except ValueError:  # a platform whose ids don't tell
        return 0, message_id


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
