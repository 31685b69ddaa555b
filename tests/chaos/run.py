"""`make chaos`: the plan of a seed, or one of the modes that measure one thing, as a table and as JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import sys

from tests.bench.contenders import ended_gently
from tests.chaos import catch_up, report, takeover
from tests.chaos.options import Options, read_options
from tests.chaos.playing import chaos


def play(options: Options) -> int:
    """Print what it came to and write the JSON; the exit code."""
    logging.disable(logging.CRITICAL)  # of the libraries that the simulated backends are made of
    if options.takeover:
        found = asyncio.run(ended_gently(takeover.takeovers(options)))
        shown, kept = takeover.drawn(found), True
    elif options.catch_up:
        found = asyncio.run(ended_gently(catch_up.catch_up(options)))
        shown, kept = catch_up.drawn(found), report.kept(found) and not found["too_old_answered"]
    else:
        found = asyncio.run(ended_gently(chaos(options)))
        shown, kept = report.drawn(found), report.kept(found)
    print(f"\n{shown}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(play(read_options()))
