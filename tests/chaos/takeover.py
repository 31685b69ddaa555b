"""How long a replica's threads lie idle after it died, froze or lost the database: `--takeover TRIES`.

In each try every agent that can go on after a crash works on one thread, and holds its answer. The replica that
asked most of them is hit; counted is the time until another one asks those agents anything. Meanwhile people write
new messages: how long those take tells whether the others stand still.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos.crowd import Crowd
from tests.chaos.databases import Postgres
from tests.chaos.options import Options
from tests.chaos.plan import Fault, Plan, Saying, Talk
from tests.chaos.recovery import percentile
from tests.chaos.stage import Stage, staged
from tests.chaos.words import token_of
from tests.e2e.waiting import eventually

FAULTS = (Fault.KILL, Fault.FREEZE, Fault.BLACK_HOLE)
AGENTS = ("toqan", "sema4ai", "enthusiast", "agentok", "openai", "a2a")
WITHIN = 60.0  # seconds for anything
ENDS_WITHIN = 20.0  # seconds that the replies get once the agents may finish
LOOK = 0.02
PROBE_EVERY = 1.0  # seconds
WORDS = 30
TIMES = ("p50", "p95", "probe_p50", "probe_max")
ROOMS = tuple(f"room{number}" for number in range(5))  # a channel opens few threads in a minute
PROBE = Saying(words=10)


@dataclass(frozen=True, slots=True)
class Try:
    """Seconds: until each thread of the hit replica was taken up, and that each new message took."""

    fault: Fault
    taken_up: Sequence[float]
    probes: Sequence[float]
    never: int  # threads that nobody took up in time


async def takeovers(options: Options) -> dict[str, Any]:
    faults = [fault for fault in FAULTS if not options.only or fault in options.only]
    plan = Plan(options.seed, (), (), 0.0)
    tries: list[Try] = []
    async with staged(options, ROOMS) as stage:
        crowd = Crowd(stage.world, plan, options.waits)
        pressing = asyncio.create_task(crowd.press_buttons())
        numbers = itertools.count()
        for number in range(options.takeover):
            for fault in faults:
                print(f"{fault}, {number + 1} of {options.takeover} …", flush=True)
                tries.append(await _try(stage, crowd, fault, [next(numbers) for _ in AGENTS], numbers))
        pressing.cancel()
    return {
        "replicas": options.replicas,
        "tries": options.takeover,
        "rows": [_row(fault, [one for one in tries if one.fault is fault]) for fault in faults],
    }


async def _try(stage: Stage, crowd: Crowd, fault: Fault, threads: Sequence[int], numbers: Iterator[int]) -> Try:
    world = stage.world
    for agent in AGENTS:
        world.backend(agent).hold = True
    asked = len(world.eyes.calls)
    for number, agent in zip(threads, AGENTS, strict=True):
        platform = ("slack", "discord")[number % 2]
        await crowd.say(_talk(number, platform, agent), 0, Saying(WORDS), None)
    await eventually(lambda: {token_of(number, 0) for number in threads} <= set(world.questions), WITHIN)
    owners = _owners(stage, asked)
    victim = Counter(owners.values()).most_common(1)[0][0]
    orphaned = {agent for agent, owner in owners.items() if owner == victim}
    begun, seen = time.monotonic(), len(world.eyes.calls)
    probing = asyncio.create_task(_probe(stage, crowd, numbers))
    await _hit(stage, fault, victim)
    taken_up: dict[str, float] = {}
    while orphaned - taken_up.keys() and time.monotonic() - begun < WITHIN:
        await asyncio.sleep(LOOK)
        taken_up = _taken_up(stage, seen, victim, orphaned, begun)
    for agent in AGENTS:
        world.backend(agent).release()
    probing.cancel()
    probes = await probing
    await _mend(stage, fault, victim)
    with contextlib.suppress(TimeoutError):  # a run of chaos judges replies, this measures time
        await eventually(lambda: {token_of(number, 0) for number in threads} <= world.eyes.ended, ENDS_WITHIN)
    await stage.connected()
    return Try(fault, list(taken_up.values()), probes, len(orphaned) - len(taken_up))


def _owners(stage: Stage, since: int) -> Mapping[str, int]:
    """Which replica asked each agent last."""
    called = [(_agent(seen.place), seen.replica) for seen in stage.world.eyes.calls[since:]]
    return {agent: replica for agent, replica in called if agent in AGENTS and replica is not None}


def _taken_up(stage: Stage, since: int, victim: int, orphaned: set[str], begun: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for seen in stage.world.eyes.calls[since:]:
        if seen.replica != victim and _agent(seen.place) in orphaned:
            found.setdefault(_agent(seen.place), seen.at - begun)
    return found


def _agent(place: str) -> str:
    return place.removeprefix("agents/").partition("/")[0]


async def _probe(stage: Stage, crowd: Crowd, numbers: Iterator[int]) -> list[float]:
    """Write new messages until cancelled; how long each took, or has waited for its answer by then."""
    ended = stage.world.eyes.ended
    written: dict[str, float] = {}
    took: dict[str, float] = {}
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            number = next(numbers)
            written[token_of(number, 0)] = time.monotonic()
            await crowd.say(_talk(number, "discord", ROOMS[number % len(ROOMS)]), 0, PROBE, None)
            until = time.monotonic() + PROBE_EVERY
            while time.monotonic() < until:
                await asyncio.sleep(LOOK)
                took |= {one: time.monotonic() - written[one] for one in written.keys() & ended - took.keys()}
    now = time.monotonic()
    return [took.get(token, now - at) for token, at in written.items()]


async def _hit(stage: Stage, fault: Fault, victim: int) -> None:
    match fault:
        case Fault.KILL:
            await stage.replicas[victim].kill()
        case Fault.FREEZE:
            stage.replicas[victim].freeze()
        case _:
            assert isinstance(stage.store, Postgres)
            stage.store.proxies[victim].black_hole()


async def _mend(stage: Stage, fault: Fault, victim: int) -> None:
    match fault:
        case Fault.KILL:
            await stage.replicas[victim].start()
            await stage.replicas[victim].ready()
        case Fault.FREEZE:
            stage.replicas[victim].thaw()
        case _:
            assert isinstance(stage.store, Postgres)
            stage.store.proxies[victim].heal()


def _talk(number: int, platform: str, agent: str) -> Talk:
    return Talk(number, 0.0, platform, agent, "ada", direct=False, sayings=())


def _row(fault: Fault, tries: Sequence[Try]) -> dict[str, Any]:
    taken_up = [seconds for one in tries for seconds in one.taken_up]
    probes = [seconds for one in tries for seconds in one.probes]
    return {
        "fault": fault.value,
        "tries": len(tries),
        "threads": len(taken_up),
        "never": sum(one.never for one in tries),
        "p50": percentile(taken_up, 0.5),
        "p95": percentile(taken_up, 0.95),
        "probes": len(probes),
        "probe_p50": percentile(probes, 0.5),
        "probe_max": max(probes, default=None),
    }


def drawn(report: Mapping[str, Any]) -> str:
    lines = [
        f"replicas: {report['replicas']}; tries of each fault: {report['tries']}",
        "",
        "| fault | threads | taken up after p50 | p95 | never | new messages | answered after p50 | at most |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in report["rows"]:
        times = {key: "" if row[key] is None else f"{row[key]:.2f} s" for key in TIMES}
        cells = (
            row["fault"], row["threads"], times["p50"], times["p95"], row["never"], row["probes"],
            times["probe_p50"], times["probe_max"],
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
