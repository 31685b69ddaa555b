"""What a chaos run came to, as JSON and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.chaos.judge import Finding, Kind, Observed, Standing
from tests.chaos.recovery import Row
from tests.chaos.words import words_in

NUMBERS = (
    ("presses", "decided by people: again, or leave it"),
    ("unwritten", "not written, as the thread never came to be"),
    ("held_back", "delivered after later ones"),
    ("ended", "a replica ended by itself"),
)
TEXT = 200  # characters shown of a notice
SHOWN = 12  # findings of each kind in the table's foot


def as_json(
    facts: Mapping[str, Any], observed: Observed, findings: Sequence[Finding], rows: Sequence[Row]
) -> dict[str, Any]:
    broken = {finding.thread for finding in findings if finding.kind.breaks}
    counted = Counter(finding.kind for finding in findings)
    return {
        **facts,
        "found": {kind.value: counted[kind] for kind in Kind},
        "faults": [asdict(row) for row in rows],
        "findings": [asdict(finding) for finding in findings],
        "broken": {thread: [_shortly(one) for one in observed.threads.get(thread, ())] for thread in broken},
    }


def _shortly(standing: Standing) -> str:
    """An agent's words by their numbers, anything else as it stands."""
    words, end = words_in(standing.text), " (growing)" if standing.growing else ""
    if not words:
        return f"{standing.text[:TEXT]}{end}"
    first, last = words[0], words[-1]
    return f"{len(words)} words, {first.token}x{first.index} to {last.token}x{last.index}{end}"


def kept(report: Mapping[str, Any]) -> bool:
    """Whether the promise was kept."""
    return not any(report["found"][kind.value] for kind in Kind if kind.breaks)


def drawn(report: Mapping[str, Any]) -> str:
    lines = [
        f"seed {report['seed']}, {report['database']}, replicas: {report['replicas']}; {report['turns']} messages"
        f" in {report['threads']} threads, {report['seconds']:.0f} s; limits of rate x {report['rate']:g}",
        "",
        "| fault | times | recovery p50 | p95 | others' longest stall |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in report["faults"]:
        cells = (row["count"], *(_seconds(row[key]) for key in ("recovery_p50", "recovery_p95", "stall")))
        lines.append(f"| {row['name']} | {' | '.join(map(str, cells))} |")
    if report.get("left_out"):
        lines += ["", f"not tried in this run: {'; '.join(report['left_out'])}"]
    lines += ["", "| found | |", "|---|---:|"]
    lines += [f"| {kind.value} | {report['found'][kind.value]} |" for kind in Kind]
    lines += [f"| {title} | {report[name]} |" for name, title in NUMBERS]
    lines.append(
        f"`threadbridge turns`: {', '.join(f'{count} {name}' for name, count in report['states'].items())}"
    )
    for kind in Kind:
        ones = [one for one in report["findings"] if one["kind"] == kind and kind.breaks]
        lines += [f"  {kind.value}: {one['token']} in {one['thread']}: {one['detail']}" for one in ones[:SHOWN]]
        if len(ones) > SHOWN:
            lines.append(f"  {kind.value}: {len(ones) - SHOWN} more")
    if not report["rested"]:
        lines.append("it never came to rest")
    lines.append("the promise was kept" if kept(report) else "THE PROMISE WAS BROKEN")
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"
