"""Steps as adapters tell them: short, bounded, in an order that makes sense whatever order they came in. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from adapters.base import Source, Step, StepState
from adapters.text import one_line

MAX_STEPS = 200  # of a turn; what comes after them isn't told
MAX_STEP_ID = 200  # characters
MAX_STEP_TITLE = 80  # characters
MAX_STEP_DETAIL = 160  # characters
MAX_SOURCES = 50  # of a step or an answer
MAX_URL = 2_000  # characters; a longer address is left out

_ENDED = {StepState.DONE, StepState.FAILED}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+")


class Steps:
    """The steps of a turn. What `tell` and `end` return is yielded: nothing where nothing changed. A step that has
    ended never runs again, as streams that are joined anew repeat themselves."""

    def __init__(self) -> None:
        self._told: dict[str, Step] = {}

    def __contains__(self, step_id: str) -> bool:
        return step_id in self._told

    def tell(self, step: Step) -> tuple[Step, ...]:
        step = _bounded(step)
        before = self._told.get(step.id)
        if before is None and len(self._told) >= MAX_STEPS:
            return ()
        if before:
            if before.state in _ENDED and step.state not in _ENDED:
                return ()
            step = replace(step, detail=step.detail or before.detail, sources=step.sources or before.sources)
        if step == before:
            return ()
        self._told[step.id] = step
        return (step,)

    def move(self, step_id: str, state: StepState) -> tuple[Step, ...]:
        """A known step is in another state now."""
        known = self._told.get(step_id)
        return self.tell(replace(known, state=state)) if known else ()

    def end(self, state: StepState = StepState.DONE) -> tuple[Step, ...]:
        """Nothing more comes: all that has not ended has now."""
        return tuple(step for known in list(self._told) for step in self._end(known, state))

    def _end(self, step_id: str, state: StepState) -> tuple[Step, ...]:
        return () if self._told[step_id].state in _ENDED else self.move(step_id, state)


class Sources:
    """What an answer quotes, each page once; `number` is that of its footnote, None where it has none."""

    def __init__(self) -> None:
        self._numbers: dict[Source, int] = {}
        self._by_place: dict[str, Source] = {}

    def number(self, source: Source) -> int | None:
        source = Source(source.url.strip(), one_line(source.title, MAX_STEP_TITLE))
        known = self._by_place.setdefault(source.url or source.title, source)
        if known not in self._numbers:
            if not (known.url or known.title) or len(known.url) > MAX_URL or len(self._numbers) >= MAX_SOURCES:
                return None
            self._numbers[known] = len(self._numbers) + 1
        return self._numbers[known]

    def all(self) -> tuple[Source, ...]:
        return tuple(self._numbers)


def sources_of(sources: Iterable[Source]) -> tuple[Source, ...]:
    """At most `MAX_SOURCES`, each page once."""
    found = Sources()
    for source in sources:
        found.number(source)
    return found.all()


def humanized(name: str) -> str:
    """A tool's name in words: "get_currentWeather" is "Get current weather"."""
    words = [word if word.isupper() and len(word) > 1 else word.lower() for word in _words(name)]
    text = " ".join(words)
    return one_line(text[:1].upper() + text[1:], MAX_STEP_TITLE) or "Using a tool"


def _words(name: str) -> Iterator[str]:
    for found in _WORD.finditer(name[: MAX_STEP_TITLE * 4]):
        yield found[0]


def _bounded(step: Step) -> Step:
    return Step(
        step.id[:MAX_STEP_ID],
        one_line(step.title, MAX_STEP_TITLE) or "Working",
        step.state,
        one_line(step.detail, MAX_STEP_DETAIL),
        sources_of(step.sources),
    )
