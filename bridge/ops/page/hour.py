"""The last hour in numbers: what ended each minute, and how long it took. No I/O."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from bridge.store.tables import SECOND
from bridge.store.watching import Ended

MINUTES = 60
SPAN = 5  # minutes that one point of the curves stands for
MINUTE = 60 * SECOND
ANSWERED = ("done", "waiting")  # an agent that asks back has done its part


@dataclass(frozen=True, slots=True)
class Minute:
    answered: int = 0
    failed: int = 0
    stopped: int = 0

    @property
    def all(self) -> int:
        return self.answered + self.failed + self.stopped


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds by which half, and nineteen of twenty, were there. None where nothing was measured."""

    p50: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True)
class Some:
    """What ended in a while, or at one agent."""

    answered: int
    failed: int
    stopped: int
    first_words: Pace
    total: Pace


@dataclass(frozen=True, slots=True)
class Hour:
    minutes: Sequence[Minute]  # oldest first
    spans: Sequence[Some]  # the same by `SPAN` minutes
    whole: Some
    agents: Mapping[str, Some]


def last_hour(ended: Sequence[Ended], at: int) -> Hour:
    """Of the hour before `at`, in microseconds since 1970."""
    counted = [one for one in ended if one.outcome not in ("joined", "withdrawn")]  # they were never asked
    minutes: list[list[Ended]] = [[] for _ in range(MINUTES)]
    agents: defaultdict[str, list[Ended]] = defaultdict(list)
    for one in counted:
        age = max(0, at - one.ended_at) // MINUTE
        if age < MINUTES:
            minutes[MINUTES - 1 - age].append(one)
            agents[one.agent].append(one)
    spans = [list(chain(*minutes[start : start + SPAN])) for start in range(0, MINUTES, SPAN)]
    return Hour(
        [_minute(some) for some in minutes],
        [_some(some) for some in spans],
        _some(list(chain(*minutes))),
        {name: _some(some) for name, some in sorted(agents.items())},
    )


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest rank: a value that was measured, never one between two. `values` are sorted."""
    if not values:
        return None
    return values[math.ceil(share * len(values)) - 1]


def _minute(some: Sequence[Ended]) -> Minute:
    answered = sum(one.state in ANSWERED for one in some)
    failed = sum(one.state == "failed" for one in some)
    return Minute(answered, failed, len(some) - answered - failed)


def _some(some: Sequence[Ended]) -> Some:
    counts = _minute(some)
    # Of what was stopped, how long it took says nothing of the agent.
    whole = [one for one in some if one.state in ANSWERED]
    first = [one.first_words / SECOND for one in whole if one.first_words is not None]
    total = [(one.ended_at - (one.begun_at or one.received_at)) / SECOND for one in whole]
    return Some(counts.answered, counts.failed, counts.stopped, _pace(first), _pace(total))


def _pace(values: Sequence[float]) -> Pace:
    ranked = sorted(values)
    return Pace(percentile(ranked, 0.5), percentile(ranked, 0.95))
