"""What people write while the bridge is away: `--catch-up`. Every replica is killed, messages are written in ten
channels of each platform, nothing is delivered again, and after the start each must be answered once; what is
older than any window of catching up must not be."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Set
from typing import Any

from tests.chaos import report
from tests.chaos.crowd import Crowd, Open
from tests.chaos.judge import Observed, judge
from tests.chaos.options import Options
from tests.chaos.plan import PLATFORMS, Plan, Saying, Talk
from tests.chaos.playing import facts_of, rest
from tests.chaos.stage import Stage, staged
from tests.chaos.words import words_in
from tests.e2e.town import AGENTS
from tests.e2e.waiting import eventually

ROOMS = ("room8", "room9")
CHANNELS = (*AGENTS, *ROOMS)
FOLLOW_UPS = 0.5  # of the messages go into a thread that is known; the others begin one
TOO_MANY = 429
WORDS = 20
WITHIN = 60.0  # seconds


async def catch_up(options: Options) -> dict[str, Any]:
    async with staged(options, ROOMS, behind=options.older) as stage:
        world = stage.world
        world.slack.deliveries.retry_delays = ()
        writers = Writers(
            Crowd(world, Plan(options.seed, (), (), 0.0), options.waits), random.Random(options.seed)
        )
        await writers.begin()
        for replica in stage.replicas:
            await replica.kill()
        gone = time.monotonic()
        if options.older:
            await writers.write(len(CHANNELS), follow_ups=1.0)
        writers.crowd.not_for_it = {one.token for one in writers.crowd.written[writers.known :]}
        world.clock.behind = 0.0
        await writers.write(options.messages, follow_ups=FOLLOW_UPS)
        await asyncio.sleep(max(0.0, options.down - (time.monotonic() - gone)))
        return await _return(options, stage, writers.crowd)


class Writers:
    """People in ten channels of each platform, each with a thread that the bridge knows."""

    def __init__(self, crowd: Crowd, chance: random.Random) -> None:
        self.crowd = crowd
        self.known = 0  # messages written before the bridge was gone
        self._chance = chance
        self._threads: list[tuple[Talk, Open]] = []
        self._next: Counter[int] = Counter()

    async def begin(self) -> None:
        """Open the threads and wait until all is answered."""
        for platform in PLATFORMS:
            for channel in CHANNELS:
                talk = self._talk(platform, channel)
                self._threads.append((talk, await self._say(talk, None)))
        self.known = len(self.crowd.written)
        ended, written = self.crowd.world.eyes.ended, {one.token for one in self.crowd.written}
        try:
            await eventually(lambda: written <= ended, WITHIN)
        except TimeoutError:
            raise RuntimeError(f"not answered before it was killed: {sorted(written - ended)}") from None

    async def write(self, count: int, *, follow_ups: float) -> None:
        for _ in range(count):
            if self._chance.random() < follow_ups:
                await self._say(*self._chance.choice(self._threads))
            else:
                await self._say(self._talk(self._chance.choice(PLATFORMS), self._chance.choice(CHANNELS)), None)

    async def _say(self, talk: Talk, opened: Open | None) -> Open:
        index = self._next[talk.number]
        self._next[talk.number] += 1
        return await self.crowd.say(talk, index, Saying(WORDS), opened)

    def _talk(self, platform: str, channel: str) -> Talk:
        number = len(self.crowd.written)
        return Talk(number, 0.0, platform, channel, "ada", direct=False, sayings=())


async def _return(options: Options, stage: Stage, crowd: Crowd) -> dict[str, Any]:
    """Start the bridge again, wait until all is at rest, and judge."""
    world, back = stage.world, time.monotonic()
    before = len(world.eyes.changes)
    for replica in stage.replicas:
        await replica.start()
    rested = await rest(crowd, options)
    observed = crowd.observed()
    shown = [seen.at - back for seen in world.eyes.changes[before:]]
    facts = {
        **await facts_of(options, stage, crowd),
        "seconds": time.monotonic() - back,
        "rested": rested,
        "messages": options.messages,
        "down": options.down,
        "too_old": len(crowd.not_for_it),
        "too_old_answered": sorted(_answered(observed, crowd.not_for_it)),
        "first_after": shown[0] if shown else None,
        "last_after": shown[-1] if shown else None,
        "refused_for_rate": _refused_for_rate(stage),
    }
    return report.as_json(facts, observed, judge(observed), ())


def _answered(observed: Observed, tokens: Set[str]) -> set[str]:
    said = {word.token for shown in observed.threads.values() for one in shown for word in words_in(one.text)}
    return {token for token in tokens if token in said or token in observed.asked}


def _refused_for_rate(stage: Stage) -> int:
    """Calls of the bridge that the platforms answered with 429."""
    slack = sum(call.error == "ratelimited" for call in stage.world.slack.made_calls)
    return slack + sum(call.status == TOO_MANY for call in stage.world.discord.calls())


def drawn(found: Mapping[str, Any]) -> str:
    shown = "nothing was shown"
    if found["first_after"] is not None:
        shown = f"the first words after {found['first_after']:.1f} s, the last after {found['last_after']:.1f} s"
    lines = [
        f"{found['messages']} messages in {len(CHANNELS)} channels of each platform while the bridge was away for"
        f" {found['down']:.0f} s",
        f"{shown}; {found['refused_for_rate']} calls refused for their rate",
        f"of {found['too_old']} messages that were too old {len(found['too_old_answered'])} were answered",
        report.drawn(found),
    ]
    return "\n".join(lines)
