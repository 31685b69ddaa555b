"""A turn's steps as people follow them: in order, bounded, each in the part of the reply that shows it. No I/O.

A step stands in the part that was open when it began. One that still runs when that part is closed goes on in the next;
what has ended stays where it is. All of it is stored as JSON, so that whoever takes the turn up shows the same steps.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from urllib.parse import urlsplit

from adapters.base import Source, Step, StepState
from bridge.lifecycle import Outcome
from bridge.render.links import names_another
from bridge.store.tables import as_json
from bridge.store.values import storable
from bridge.turns.surface import NO_PROGRESS, Progress

MAX_STEPS = 100  # of one turn; later ones aren't shown
MAX_ID = 64  # characters; a longer id, or one of other characters than a name's, is shown by its digest
MAX_TITLE = 100  # characters, of a phase as well
MAX_DETAIL = 200  # characters
MAX_SOURCES = 5  # of one step
MAX_URL = 300  # characters; a source with a longer address is left out
MAX_STORED = 60_000  # characters of JSON; beyond that it is stored without sources

WORKING = "Working"
MOVED = "Goes on below"
STOPPED = "stopped"
NOT_NEEDED = "not needed"

ENDED = (StepState.DONE, StepState.FAILED)
_NAME = re.compile(rf"[\w.:-]{{1,{MAX_ID}}}", re.ASCII)


class Ending(Enum):
    """What becomes of the steps that nobody said the end of."""

    WHOLE = auto()
    FAILED = auto()
    STOPPED = auto()

    @classmethod
    def of(cls, outcome: Outcome) -> Ending:
        if outcome in (Outcome.ANSWERED, Outcome.INPUT_REQUEST):
            return cls.WHOLE
        return cls.STOPPED if outcome is Outcome.STOPPED else cls.FAILED


@dataclass(slots=True)
class _Placed:
    step: Step
    first: int  # part that showed it first
    last: int  # part that shows it now, or where it ended


class Steps:
    """Those of one turn; `stored` is what an earlier attempt knew of them."""

    def __init__(self, stored: str | None = None) -> None:
        self._placed: dict[str, _Placed] = {}
        self._phase = ""
        self._open = 0  # part that new steps go to
        self._ending: Ending | None = None
        self.restored = bool(stored)
        """An earlier attempt showed some."""
        if stored:
            self._restore(json.loads(stored))

    def __len__(self) -> int:
        return len(self._placed)

    def add(self, step: Step) -> bool:
        """A step as it is now; whether that changes what is shown. What has ended doesn't run again: it was yielded
        once more by whoever took the turn up."""
        if self._ending is not None:
            return False
        step = bounded(step)
        known = self._placed.get(step.id)
        if known is None:
            if len(self._placed) < MAX_STEPS:
                self._placed[step.id] = _Placed(step, self._open, self._open)
            return step.id in self._placed
        over = known.step.state in ENDED
        if known.step == step or (over and (step.state not in ENDED or known.last < self._open)):
            return False
        known.step = step
        return True

    def phase(self, label: str) -> None:
        """What the steps to come are part of."""
        self._phase = _line(label, MAX_TITLE)

    def settle(self, ending: Ending) -> None:
        """There are no more steps, and none of them runs."""
        if self._ending is not None:
            return
        self._ending = ending
        for placed in self._placed.values():
            if placed.step.state not in ENDED:
                placed.step = _settled(placed.step, ending)

    def close(self, part: int) -> None:
        """This part takes no more: what still runs goes on in the next."""
        self._open = max(self._open, part + 1)
        for placed in self._placed.values():
            if placed.last <= part and placed.step.state not in ENDED:
                placed.last = part + 1

    def of(self, part: int) -> Progress:
        """What a part shows, as cards."""
        here = [placed for placed in self._placed.values() if placed.first <= part <= placed.last]
        if not here:
            return NO_PROGRESS
        steps = (placed.step if placed.last == part else _moved(placed.step) for placed in here)
        return Progress(self._title(part, here), tuple(steps))

    @property
    def line(self) -> Progress:
        """What is done at the moment, in a line."""
        if self._ending is not None or not self._placed:
            return NO_PROGRESS
        steps = (placed.step for placed in reversed(self._placed.values()))
        return Progress(next((step.title for step in steps if step.state is StepState.RUNNING), self._phase))

    def stored(self) -> str:
        rows = [_row(placed) for placed in self._placed.values()]
        value = {"phase": self._phase, "open": self._open, "steps": rows}
        text = as_json(value)
        if len(text) <= MAX_STORED:
            return text
        return as_json(value | {"steps": [[*row[:4], [], *row[5:]] for row in rows]})

    def _restore(self, value: dict[str, object]) -> None:
        self._phase, self._open = str(value["phase"]), int(str(value["open"]))
        rows = value["steps"]
        assert isinstance(rows, list)  # noqa: S101  # `stored` wrote it
        for name, title, state, detail, sources, first, last in rows:
            pages = tuple(Source(url, words) for url, words in sources)
            step = Step(name, title, StepState(state), detail, pages)
            self._placed[name] = _Placed(step, first, last)

    def _title(self, part: int, here: Sequence[_Placed]) -> str:
        """Of the cards of a part: while the turn runs the phase, so that nobody takes it for completed."""
        if any(placed.last > part for placed in here):
            return MOVED
        if self._ending is None:
            return (self._phase or WORKING) if part >= self._open else f"Done: {_count(len(here))}"
        if part < max(placed.last for placed in self._placed.values()):
            return f"Done: {_count(len(here))}"
        steps = _count(len(self._placed))
        match self._ending:
            case Ending.WHOLE:
                return f"Done in {steps}"
            case Ending.FAILED:
                return f"Failed after {steps}"
            case Ending.STOPPED:
                return f"Stopped after {steps}"


def bounded(step: Step) -> Step:
    """A step as it is kept, whatever the agent gave: lines of some length, few sources, web addresses only."""
    name = step.id if _NAME.fullmatch(step.id) else hashlib.sha256(storable(step.id).encode()).hexdigest()[:32]
    sources = tuple(source for one in step.sources if (source := _source(one)) is not None)
    return Step(
        name,
        _line(step.title, MAX_TITLE) or WORKING,
        step.state,
        _line(step.detail, MAX_DETAIL),
        sources[:MAX_SOURCES],
    )


def _source(source: Source) -> Source | None:
    url = storable(source.url.strip())
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    strange = any(character.isspace() or not character.isprintable() or character in "<>|\"'" for character in url)
    if parts.scheme.lower() not in ("http", "https") or not host or len(url) > MAX_URL or strange:
        return None
    title = _line(source.title, MAX_TITLE)
    return Source(url, host[:MAX_TITLE] if not title or names_another(title, url) else title)


def _line(text: str, most: int) -> str:
    line = " ".join(storable(text[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _settled(step: Step, ending: Ending) -> Step:
    match ending:
        case Ending.WHOLE if step.state is StepState.PENDING:
            return replace(step, state=StepState.DONE, detail=NOT_NEEDED)
        case Ending.WHOLE:
            return replace(step, state=StepState.DONE)
        case Ending.FAILED:
            return replace(step, state=StepState.FAILED)
        case Ending.STOPPED:  # a platform takes one that is left pending for a failure without a reason
            return replace(step, state=StepState.FAILED, detail=STOPPED)


def _moved(step: Step) -> Step:
    return replace(step, state=StepState.DONE, detail=MOVED.lower())


def _row(placed: _Placed) -> list[object]:
    step = placed.step
    sources = [[source.url, source.title] for source in step.sources]
    return [step.id, step.title, step.state, step.detail, sources, placed.first, placed.last]


def _count(steps: int) -> str:
    return "1 step" if steps == 1 else f"{steps} steps"
