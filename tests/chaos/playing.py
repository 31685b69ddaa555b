"""Plays the plan of a chaos run, waits until all is at rest, and judges."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from typing import Any

from tests.chaos import report
from tests.chaos.blows import Blows
from tests.chaos.crowd import Crowd
from tests.chaos.databases import can_mount
from tests.chaos.judge import judge
from tests.chaos.options import Options
from tests.chaos.plan import Fault, Plan, applicable, counted, make_plan
from tests.chaos.recovery import rows
from tests.chaos.replicas import command
from tests.chaos.stage import Stage, staged

LOOK = 2.0  # seconds
STEADY = 4.0  # seconds for which nothing more happens once all is answered


def plan_of(options: Options) -> Plan:
    faults = applicable(options.database, disk=options.database == "sqlite" and can_mount())
    chosen = [fault for fault in faults if not options.only or fault in options.only]
    return make_plan(
        options.seed, options.turns, options.replicas, chosen, speed=options.speed, freeze=options.freeze
    )


async def chaos(options: Options) -> dict[str, Any]:
    """Play the plan to its end, wait until all is at rest, and judge."""
    plan = plan_of(options)
    async with staged(options) as stage:
        world, begun = stage.world, time.monotonic()
        crowd = Crowd(world, plan, options.waits)
        blows = Blows(world, stage.replicas, stage.store, crowd.at_work)
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(crowd.press_buttons()), group.create_task(_tell(crowd, plan))]
            async with asyncio.TaskGroup() as playing:
                for talk in plan.talks:
                    playing.create_task(crowd.talk(talk))
                playing.create_task(blows.strike_all(plan.blows, begun))
            rested = await rest(crowd, options)
            for task in beside:
                task.cancel()
        facts = {
            **await facts_of(options, stage, crowd),
            "seconds": time.monotonic() - begun,
            "rested": rested,
            "left_out": sorted(fault.value for fault in set(Fault) - counted(plan).keys()),
        }
    recovered = rows(blows.hits, world.eyes.changes, world.eyes.calls, options.replicas)
    observed = crowd.observed()
    return report.as_json(facts, observed, judge(observed), recovered)


async def facts_of(options: Options, stage: Stage, crowd: Crowd) -> dict[str, Any]:
    return {
        **{name: getattr(options, name) for name in ("seed", "database", "replicas", "rate")},
        "turns": len(crowd.written),
        "threads": len({one.thread for one in crowd.written}),
        "held_back": crowd.held,
        "unwritten": crowd.unwritten,
        "presses": len(crowd.presses),
        "ended": sum(replica.ended for replica in stage.replicas),
        "states": counted_states(await command(stage.replicas[0].config, "turns", "--limit", "10000")),
    }


async def rest(crowd: Crowd, options: Options) -> bool:
    """Wait until every message is answered and nothing more happens, or until nothing new was seen for long."""
    begun = steady = moved = time.monotonic()
    seen = -1
    while time.monotonic() - begun < options.patience:
        await asyncio.sleep(LOOK)
        news, now = len(crowd.world.eyes.changes) + len(crowd.presses), time.monotonic()
        if news != seen:
            seen, moved = news, now
        if crowd.unsettled():
            steady = now
        if now - steady >= STEADY:
            return True
        if now - moved >= options.quiet:
            return False
    return False


def counted_states(turns: str) -> dict[str, int]:
    """How many turns ended how, by what `threadbridge turns` prints."""
    columns = [line.split("\t") for line in turns.splitlines()]
    return dict(Counter(f"{one[1].strip()}/{one[5]}" for one in columns if len(one) > 5))


async def _tell(crowd: Crowd, plan: Plan) -> None:
    """Say at the terminal how far it is."""
    while sys.stderr.isatty():
        ended = sum(one.token in crowd.world.eyes.ended for one in crowd.written)
        line = f"\r{len(crowd.written)} of {plan.turns} written, {ended} answered "
        print(line, end="", file=sys.stderr, flush=True)
        await asyncio.sleep(LOOK)
