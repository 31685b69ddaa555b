"""The bridge beside the floor, in one run, the contenders in turns:

    make bench                                        all workloads
    make bench ARGS="--quick"                         the same, small
    make bench ARGS="--only talk-openai --profile top.txt"

Each contender is a process of its own; this process is the simulated platform, without limits of rate, the backend
and the people. Times count from the moment a person wrote to the moment the platform accepted the call whose text
has the word. The floor (`floor_slack.py`, `floor_discord.py`) is the least program with the platform's library.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.bench import table
from tests.bench.contenders import (
    Command,
    Contender,
    bridge_command,
    contending,
    ended_gently,
    floor_command,
    own_cpu,
)
from tests.bench.load import Seen, put_load
from tests.bench.places import Place, place_of
from tests.ports import free_port

WARM_UP = 12  # replies before anything is measured
LATEST = Path(__file__).parent / "results" / "latest.json"


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    platform: str
    kind: str  # of the backend
    threads: int
    at_once: int
    words: int
    pause: float  # seconds from word to word


WORKLOADS = (
    Workload("talk-openai", "slack", "openai", 300, 20, 200, 0.005),
    Workload("talk-sema4ai", "slack", "sema4ai", 300, 20, 200, 0.005),
    Workload("rush-openai", "slack", "openai", 300, 100, 300, 0.0),
    Workload("rush-sema4ai", "slack", "sema4ai", 300, 100, 300, 0.0),
    Workload("discord-openai", "discord", "openai", 100, 10, 200, 0.005),
)
QUICK = 10  # times fewer threads
CONTENDERS = ("bridge", "floor")


async def measure(work: Workload, contender: str, profile: Path | None) -> dict[str, float]:
    """One contender under one workload, freshly started."""
    with tempfile.TemporaryDirectory(prefix="threadbridge-bench-") as name:
        folder = Path(name)
        async with place_of(work.platform, work.kind, work.words, work.pause) as place:
            port = free_port()
            command = _command(contender, place, port, folder, profile)
            async with contending(command, folder) as process:
                await place.connect(port)
                return await _measure(work, place, process, profiled=profile is not None)


def _command(contender: str, place: Place, port: int, folder: Path, profile: Path | None) -> Command:
    if contender == "floor":
        return floor_command(place.floor, place.given(port), port)
    config = folder / "threadbridge.toml"
    config.write_text(place.settings(folder / "bench.db", port), encoding="utf-8")
    return bridge_command(config, port, profile)


async def _measure(work: Workload, place: Place, process: Contender, *, profiled: bool) -> dict[str, float]:
    await put_load(place.asker, range(WARM_UP), min(work.at_once, WARM_UP), work.words)
    await process.settle()
    if profiled:
        process.begin_profile()
    spent, own, at = process.cpu(), own_cpu(), time.monotonic()
    seen = await put_load(place.asker, range(WARM_UP, WARM_UP + work.threads), work.at_once, work.words)
    busy = (own_cpu() - own) / (time.monotonic() - at)
    await process.settle()
    twice = sum(times > 1 for times in place.backend.asked.values())
    return {**asdict(seen), **_rates(seen, process.cpu() - spent), "asked_twice": twice, "driver_busy": busy}


def _rates(seen: Seen, cpu: float) -> dict[str, float]:
    return {
        "per_second": seen.replies / seen.seconds,
        "cpu_per_reply": 1000 * cpu / max(seen.replies, 1),
    }


async def run(
    works: Sequence[Workload], rounds: int, contenders: Sequence[str], profile: Path | None
) -> list[Any]:
    results = []
    for work in works:
        runs: dict[str, list[dict[str, float]]] = {contender: [] for contender in contenders}
        for number in range(rounds):
            for contender in contenders:
                print(f"{work.name}: {contender}, {number + 1} of {rounds} …", file=sys.stderr, flush=True)
                runs[contender].append(await measure(work, contender, profile if contender == "bridge" else None))
        results.append({"workload": asdict(work), "runs": runs})
    return results


def read_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="a workload; may be given again")
    parser.add_argument("--rounds", type=int, default=2, help="times that the contenders take turns")
    parser.add_argument("--threads", type=int, help="threads of each workload")
    parser.add_argument("--at-once", type=int)
    parser.add_argument("--words", type=int, help="of an answer")
    parser.add_argument("--pause", type=float, help="milliseconds from word to word")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} times fewer threads, one round")
    parser.add_argument("--bridge-only", action="store_true", help="without the floor")
    parser.add_argument(
        "--profile", type=lambda path: Path(path).absolute(), metavar="FILE", help="the bridge alone, sampled"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"of a whole run {LATEST.name}, else none")
    arguments = parser.parse_args(given)
    if arguments.profile and len(arguments.only or ()) != 1:
        parser.error("--profile is of one workload: name it by --only")
    if arguments.json is None and vars(arguments) == vars(parser.parse_args(["--rounds", str(arguments.rounds)])):
        arguments.json = LATEST
    known = [work.name for work in WORKLOADS]
    for name in arguments.only or ():
        if name not in known:
            parser.error(f"unknown workload {name}; known are {', '.join(known)}")
    return arguments


def workloads(arguments: argparse.Namespace) -> list[Workload]:
    chosen = [work for work in WORKLOADS if not arguments.only or work.name in arguments.only]
    if arguments.quick:
        chosen = [replace(work, threads=max(work.threads // QUICK, work.at_once)) for work in chosen]
    given = {
        "threads": arguments.threads,
        "at_once": arguments.at_once,
        "words": arguments.words,
        "pause": arguments.pause / 1000 if arguments.pause is not None else None,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return [replace(work, **changes) for work in chosen]


def main() -> None:
    arguments = read_arguments()
    contenders = CONTENDERS[:1] if arguments.bridge_only or arguments.profile else CONTENDERS
    rounds = 1 if arguments.quick or arguments.profile else arguments.rounds
    load = os.getloadavg()[0]
    results = asyncio.run(ended_gently(run(workloads(arguments), rounds, contenders, arguments.profile)))
    report = {
        "at": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": load,
        "results": results,
    }
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(table.drawn(report))


if __name__ == "__main__":
    main()
