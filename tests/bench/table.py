"""The table of a comparison, and the documents' copy of it: `python -m tests.bench.table` writes it anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
LATEST = HERE / "results" / "latest.json"
PAGE = HERE.parents[1] / ".github" / "docs" / "measured.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
ABOUT = """\
The bridge beside the least program that streams an answer into a thread with the platform's own library, keeps
nothing and repeats nothing. Both in turns, in one run of `make bench`; the ratio counts, the times are those of
one machine.
"""
BUSY = 0.9  # of a core: above it the load itself may have been the limit
ROWS = (
    ("first_p50", "first words visible, p50", "ms"),
    ("first_p95", "first words visible, p95", "ms"),
    ("last_p50", "last words visible, p50", "ms"),
    ("cpu_per_reply", "CPU a reply", "ms"),
    ("per_second", "replies a second", ""),
    ("seconds", "all done", "s"),
    ("calls", "platform calls a reply", ""),
    ("lost", "replies lost or not whole", ""),
    ("asked_twice", "questions asked twice", ""),
)


def drawn(report: Mapping[str, Any]) -> str:
    """The medians of a report as a Markdown table."""
    contenders = list(report["results"][0]["runs"])
    ratio = "ratio" if len(contenders) > 1 else ""
    lines = [f"| | {' | '.join([*contenders, ratio]).rstrip(' |')} |", f"|---{'|---:' * len(contenders)}|"]
    if ratio:
        lines[1] += "---:|"
    for result in report["results"]:
        lines.append(f"| **{_title(result['workload'])}**{' |' * (len(contenders) + bool(ratio))} |")
        lines += _rows(result["runs"], with_ratio=bool(ratio))
    busiest = max(
        run["driver_busy"] for result in report["results"] for runs in result["runs"].values() for run in runs
    )
    note = (
        f"\nPython {report['python']}, {report['cores']} cores, load {report['load']:.1f} before the run,"
        f" {report['at']}; simulated platforms without limits of rate."
    )
    if busiest > BUSY:
        note += f" The load's own process was busy for {busiest:.0%} of one run: there it may be the limit."
    return "\n".join(lines) + "\n" + note


def _rows(runs: Mapping[str, Sequence[Mapping[str, float]]], *, with_ratio: bool) -> list[str]:
    lines = []
    for key, title, unit in ROWS:
        values = [median(run[key] for run in ran) for ran in runs.values()]
        cells = [
            f"{value:,.{0 if value >= 100 or value == int(value) else 1}f} {unit}".strip() for value in values
        ]
        if with_ratio:
            cells.append(f"{values[0] / values[-1]:.2f}" if values[-1] else "")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def _title(work: Mapping[str, Any]) -> str:
    pace = (
        f"{work['words']} words x {work['pause'] * 1000:g} ms"
        if work["pause"]
        else f"{work['words']} words at once"
    )
    platform = {"slack": "Slack over HTTP", "discord": "Discord"}[work["platform"]]
    return f"{platform}, {work['kind']}: {work['threads']} threads, {work['at_once']} at once, {pace}"


def rewritten(page: str, table: str) -> str:
    """The page with the table between its two marks. Raises `ValueError` if they aren't there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{BEGIN} and {END} mark the place of the table; they are missing")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main() -> None:
    report = json.loads(LATEST.read_text(encoding="utf-8"))
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), f"{ABOUT}\n{drawn(report)}"), encoding="utf-8")


if __name__ == "__main__":
    main()
