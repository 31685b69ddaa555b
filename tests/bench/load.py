"""The load of a measurement: so many threads, so many at once, each one question and its reply."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from tests.bench.sightings import Sighting, Sightings, TimedDiscord, TimedSlack

WAITS = 120.0  # seconds for one reply
CHANNELS = tuple(f"room{number}" for number in range(10))


class Asker(Protocol):
    """People of one platform."""

    sightings: Sightings

    async def ask(self, number: int) -> Sighting:
        """Mention the bot in a new thread."""
        ...


class SlackAsker:
    def __init__(self, world: TimedSlack) -> None:
        self._world = world
        self.sightings = world.sightings = Sightings()

    async def ask(self, number: int) -> Sighting:
        channel = self._world.channel(CHANNELS[number % len(CHANNELS)]).id
        asked_at = time.monotonic()
        ts = await self._world.say("ada", channel, f"{self._world.mention} question number {number}")
        return self.sightings.expect((channel, ts), number, asked_at)


class DiscordAsker:
    def __init__(self, world: TimedDiscord) -> None:
        self._world = world
        self.sightings = world.sightings = Sightings()

    async def ask(self, number: int) -> Sighting:
        channel = self._world.place(CHANNELS[number % len(CHANNELS)]).id
        asked_at = time.monotonic()
        thread = await self._world.say("ada", channel, f"{self._world.mention} question number {number}")
        return self.sightings.expect(thread, number, asked_at)  # a thread has the id of its first message


@dataclass(frozen=True, slots=True)
class Seen:
    """What a load came to. Milliseconds and seconds."""

    replies: int
    lost: int  # replies that weren't there in time, or not whole
    seconds: float
    first_p50: float
    first_p95: float
    last_p50: float
    last_p95: float
    calls: float  # of the platform, a reply


async def put_load(asker: Asker, numbers: range, at_once: int, words: int) -> Seen:
    """Ask every number, never more than `at_once` together, and wait for every reply."""
    sightings = asker.sightings
    slots = asyncio.Semaphore(at_once)
    calls, begun = sightings.calls, time.monotonic()

    async def one(number: int) -> Sighting:
        async with slots:
            sighting = await asker.ask(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sighting.done.wait(), WAITS)
            return sighting

    seen = await asyncio.gather(*(one(number) for number in numbers))
    seconds = time.monotonic() - begun
    whole = [one for one in seen if one.first is not None and one.last is not None and one.whole(words)]
    first = [one.first * 1000 for one in whole if one.first is not None]
    last = [one.last * 1000 for one in whole if one.last is not None]
    return Seen(
        replies=len(whole),
        lost=len(seen) - len(whole),
        seconds=seconds,
        first_p50=median(first) if first else 0.0,
        first_p95=percentile(first, 0.95),
        last_p50=median(last) if last else 0.0,
        last_p95=percentile(last, 0.95),
        calls=(sightings.calls - calls) / len(numbers),
    )


def percentile(values: list[float], part: float) -> float:
    """The value that this part of all are at most."""
    ordered = sorted(values)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else 0.0
