"""What a chaos run is told."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.plan import Database, Fault

LATEST = Path(__file__).parent / "results" / "latest.json"
DESCRIPTION = """\
Chaos: real processes of the bridge between simulated platforms and backends, and everything that can go wrong.

    make chaos ARGS="--seed 7 --turns 1000 --replicas 2 --database postgres"
    make chaos ARGS="--takeover 20"
    make chaos ARGS="--catch-up --down 600"

Black box: what is judged is what backends were asked and what threads show. A seed replays the plan."""


@dataclass(frozen=True, slots=True)
class Options:
    seed: int = 1
    turns: int = 1_000
    replicas: int = 2  # with PostgreSQL; SQLite serves one
    database: Database = "postgres"
    rate: float = 6.0  # times the platforms' own limits
    speed: float = 3.0  # messages a second
    freeze: float = 25.0  # seconds, longer than the lease
    quiet: float = 60.0  # seconds without anything new after which what is missing counts as lost
    waits: float = 40.0  # seconds that a person waits for a reply, or a thread, before writing on
    patience: float = 900.0  # seconds to come to rest at most
    only: tuple[Fault, ...] = ()  # these faults; all if empty
    takeover: int = 0  # tries of the mode that measures it
    catch_up: bool = False
    messages: int = 200  # of the mode that catches up
    down: float = 30.0  # seconds for which the bridge is away in that mode
    older: float = 172_800.0  # seconds: older than anything that may be caught up
    keep: Path | None = None
    json: Path = LATEST


def read_options(given: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Options()

    def add(name: str, kind: type[int] | type[float], text: str) -> None:
        parser.add_argument(f"--{name}", type=kind, default=getattr(default, name), help=text)

    add("seed", int, "of the plan")
    add("turns", int, "messages of people")
    add("replicas", int, "with PostgreSQL; SQLite serves one")
    parser.add_argument("--database", choices=("postgres", "sqlite"), default=default.database)
    add("rate", float, "times the platforms' own limits of rate")
    add("speed", float, "messages a second")
    add("freeze", float, "seconds of a freeze or black hole, longer than the lease")
    add("quiet", float, "seconds without anything new until what is missing counts as lost")
    add("waits", float, "seconds that a person waits for a reply before writing on")
    add("patience", float, "seconds to come to rest, at most")
    parser.add_argument("--only", action="append", metavar="FAULT", choices=[fault.name for fault in Fault])
    parser.add_argument("--takeover", type=int, default=0, metavar="TRIES", help="measure takeovers instead")
    parser.add_argument("--catch-up", action="store_true", help="write while the bridge is away instead")
    add("messages", int, "written meanwhile")
    add("down", float, "seconds for which it is away")
    add("older", float, "seconds: the age of a message that is too old to be caught up")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep settings and logs there")
    parser.add_argument("--json", type=Path, metavar="FILE", default=LATEST)
    arguments = vars(parser.parse_args(given))
    arguments["only"] = tuple(Fault[name] for name in arguments["only"] or ())
    if arguments["database"] == "sqlite":
        arguments["replicas"] = 1
    return Options(**arguments)
