"""The actions of a Sema4.ai agent, as its messages and streams tell of them. No I/O.

The public guide names kinds of parts alone; the fields are those of the platform's published message types.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from adapters.base import Step, StepState
from adapters.sema4ai.wire import Item
from adapters.steps import Steps, humanized

_TOOL = "tool"  # how the kinds of such parts begin
_STATES = {"finished": StepState.DONE, "failed": StepState.FAILED, "pending": StepState.PENDING}


class Work:
    """The steps of one turn."""

    def __init__(self) -> None:
        self._steps = Steps()
        self._places: dict[str, str] = {}  # where in the message that is streamed a step stands

    def feed(self, data: str) -> Iterator[Step]:
        """What one event of a stream tells: only changes of a message name their place."""
        if '"op"' not in data or not (self._places or _TOOL in data):
            return
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return
        change = value.get("delta", value) if isinstance(value, dict) else None
        if not isinstance(change, dict):
            return
        path, told = str(change.get("path") or "").rstrip("/"), change.get("value")
        if isinstance(told, dict) and _is_tool(told):
            if known := told.get("tool_call_id"):  # one without is told by the messages
                self._places[path] = f"tool-{known}"
                yield from self._steps.tell(_step(told, ""))
        elif path.endswith("/status") and (step_id := self._places.get(path.removesuffix("/status"))):
            yield from self._steps.move(step_id, _STATES.get(str(told), StepState.RUNNING))

    def look(self, items: Sequence[Item]) -> Iterator[Step]:
        """Take in the messages of the turn as they stand."""
        contents = [item.content for item in items if item.is_agents and isinstance(item.content, list)]
        tools = [part for content in contents for part in content if isinstance(part, dict) and _is_tool(part)]
        # One without an id is known by its place among them: a message that still grows may stand in several pieces.
        for place, part in enumerate(tools):
            yield from self._steps.tell(_step(part, str(place)))

    def end(self, state: StepState = StepState.DONE) -> tuple[Step, ...]:
        return self._steps.end(state)


def _is_tool(part: dict[str, Any]) -> bool:
    return str(part.get("kind") or "").startswith(_TOOL) and isinstance(part.get("name"), str)


def _step(part: dict[str, Any], place: str) -> Step:
    """Neither arguments nor results are shown: they hold whatever the agent works with."""
    state = StepState.FAILED if part.get("error") else _STATES.get(str(part.get("status")), StepState.RUNNING)
    return Step(f"tool-{part.get('tool_call_id') or place}", humanized(part["name"]), state)
