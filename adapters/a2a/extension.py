"""What the protocol has no words for: an extension of ours, which an agent may use. No I/O.

It stands under `EXTENSION` in the metadata of a message or an artifact, as an object of the keys in
`adapters/README.md`. What is odd in it is left out; an odd `approval` is one all the same, so that nothing is done
without leave.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from a2a.types import Artifact, Message
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

from adapters.base import MAX_TABLE_ROWS, Approval, Chart, ChartKind, Decision, Series, Source, Step, StepState
from adapters.steps import MAX_SOURCES, MAX_STEP_DETAIL, MAX_STEP_ID, MAX_STEP_TITLE
from adapters.text import one_line, scrub

EXTENSION = "urn:threadbridge:a2a:v1"
HEADER = "A2A-Extensions"  # that a client understands it
MAX_CHOICES = 25
MAX_CHOICE = 80  # characters
MAX_DETAIL = 3_000  # characters of an approval's
MAX_APPROVERS = 50
MAX_SERIES = 20  # of a chart


def extra(told: Message | Artifact) -> dict[str, Any]:
    """What stands in the metadata for us."""
    if EXTENSION not in told.metadata.fields:
        return {}
    found = MessageToDict(told.metadata).get(EXTENSION)
    return found if isinstance(found, dict) else {}


def step_in(told: Message | Artifact) -> Step | None:
    value = extra(told).get("step")
    if not isinstance(value, dict) or not isinstance(value.get("id"), str) or not value["id"]:
        return None
    state = value.get("state")
    return Step(
        f"own-{value['id']}"[:MAX_STEP_ID],
        one_line(_text(value.get("title")), MAX_STEP_TITLE) or "Working",
        StepState(state) if state in set(StepState) else StepState.RUNNING,
        one_line(_text(value.get("detail")), MAX_STEP_DETAIL),
        _sources(value.get("sources")),
    )


def sources_in(told: Message | Artifact) -> tuple[Source, ...]:
    return _sources(extra(told).get("sources"))


def choices_in(told: Message) -> tuple[str, ...]:
    """Not one that would be cut: what a person chooses is what the agent is told."""
    value = extra(told).get("choices")
    given = value if isinstance(value, list) else []
    found = [choice.strip() for choice in given if isinstance(choice, str)]
    fit = [choice for choice in dict.fromkeys(found) if choice and len(choice) <= MAX_CHOICE]
    return tuple(fit[:MAX_CHOICES])


def approval_in(told: Message, words: str) -> Approval | None:
    """The leave that the agent asks for; `words` are those of the message. None where it asks for none."""
    known = extra(told)
    if "approval" not in known:
        return None
    value = known["approval"] if isinstance(known["approval"], dict) else {}
    title = one_line(_text(value.get("title")) or words, MAX_STEP_TITLE) or "The agent asks for leave to go on."
    approvers = value.get("approvers")
    named = [one for one in approvers if isinstance(one, str)] if isinstance(approvers, list) else []
    seconds = value.get("seconds")
    limit = float(seconds) if isinstance(seconds, int | float) and math.isfinite(seconds) and seconds > 0 else None
    return Approval(title, (_text(value.get("detail")) or words)[:MAX_DETAIL], tuple(named[:MAX_APPROVERS]), limit)


def decided(decision: Decision) -> dict[str, Any]:
    """The metadata of the message that tells the agent."""
    return {EXTENSION: {"decision": {"approved": decision.approved, "reason": scrub(decision.reason)}}}


def chart_of(name: str, data: object) -> Chart | None:
    """Data that is a chart: `labels`, and `series` of a `name` and as many `values`."""
    match data:
        case {"labels": [*labels], "series": [*lines], **more} if labels and lines:
            kind = more.get("kind")
            series = [found for line in lines[:MAX_SERIES] if (found := _series(line, len(labels)))]
            if not series:
                return None
            shown = ChartKind(str(kind)) if kind in set(ChartKind) else ChartKind.LINE
            return Chart(name, shown, tuple(map(_text, labels[:MAX_TABLE_ROWS])), tuple(series))
        case _:
            return None


def _series(value: object, length: int) -> Series | None:
    match value:
        case {"values": [*values], **more} if len(values) == length:
            numbers = tuple(map(_number, values[:MAX_TABLE_ROWS]))
            return Series(_text(more.get("name")) or "value", numbers)
        case _:
            return None


def _number(value: object) -> float | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if fits else None  # type: ignore[arg-type]


def _sources(values: object) -> tuple[Source, ...]:
    given: Sequence[Any] = values if isinstance(values, list) else ()
    found = [
        value for value in given[:MAX_SOURCES] if isinstance(value, dict) and isinstance(value.get("url"), str)
    ]
    return tuple(Source(value["url"], _text(value.get("title"))) for value in found)


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value)
