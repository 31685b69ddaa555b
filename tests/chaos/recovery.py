"""How soon work went on after each fault, and how long the others stood still. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.watching import Seen


@dataclass(frozen=True, slots=True)
class Hit:
    """A fault: from when to when, which replica it hit (None: all), and the threads that were at work then."""

    name: str
    begun: float
    ended: float
    replica: int | None
    threads: frozenset[str]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of fault. Seconds; None where there was nothing to see."""

    name: str
    count: int
    recovery_p50: float | None
    recovery_p95: float | None
    stall: float | None


def rows(hits: Iterable[Hit], changes: Sequence[Seen], calls: Sequence[Seen], replicas: int) -> list[Row]:
    by_name: dict[str, list[Hit]] = {}
    for hit in hits:
        by_name.setdefault(hit.name, []).append(hit)
    return [_row(name, ones, changes, calls, replicas) for name, ones in by_name.items()]


def _row(name: str, hits: Sequence[Hit], changes: Sequence[Seen], calls: Sequence[Seen], replicas: int) -> Row:
    times = [seconds for hit in hits for seconds in recovered(hit, changes).values()]
    stalls = [stalled(hit, calls) for hit in hits if hit.replica is not None and replicas > 1]
    return Row(name, len(hits), percentile(times, 0.5), percentile(times, 0.95), max(stalls, default=None))


def recovered(hit: Hit, changes: Sequence[Seen]) -> Mapping[str, float]:
    """For each thread that was at work the seconds until something became visible in it again: by a replica that
    wasn't hit, or by any once the fault was over."""
    found: dict[str, float] = {}
    for seen in changes:
        went_on = seen.at > hit.begun and (seen.at >= hit.ended or seen.replica != hit.replica)
        if went_on and seen.place in hit.threads and seen.place not in found:
            found[seen.place] = seen.at - hit.begun
    return found


def stalled(hit: Hit, calls: Sequence[Seen]) -> float:
    """The longest time, while the fault held, in which no other replica made a call."""
    others = [seen.at for seen in calls if seen.replica != hit.replica and hit.begun <= seen.at <= hit.ended]
    return max(later - earlier for earlier, later in pairwise([hit.begun, *others, hit.ended]))


def percentile(values: Sequence[float], part: float) -> float | None:
    """The value that this part of all are at most."""
    ordered = sorted(values)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else None
