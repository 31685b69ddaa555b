"""The rows of an Agentok chat that show how a run works: calls of tools, what its agents tell each other. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.agentok.run import ChatRow
from adapters.base import Step, StepState
from adapters.steps import Steps, humanized

_PERSON = {"", "user", "user_proxy", "userproxy", "user proxy"}  # the node that speaks for the person


class Work:
    """The steps of one run, from its rows."""

    def __init__(self) -> None:
        self._steps = Steps()

    def look(self, rows: Sequence[ChatRow]) -> Iterator[Step]:
        """Take in the rows of the run as they stand."""
        for row in rows:
            if row.kind == "tool":
                step_id = f"tool-{row.call or row.id}"
                if row.tool:
                    yield from self._steps.tell(Step(step_id, humanized(row.tool), detail=_node(row.sender)))
                else:
                    yield from self._steps.move(step_id, StepState.DONE)
            elif row.kind == "agent" and row.text and _among_agents(row):
                first = next(filter(str.strip, row.text.splitlines()), "")
                yield from self._steps.tell(Step(f"row-{row.id}", humanized(row.sender), StepState.DONE, first))

    def end(self, state: StepState) -> tuple[Step, ...]:
        return self._steps.end(state)


def _among_agents(row: ChatRow) -> bool:
    return row.sender.lower() not in _PERSON and row.receiver.lower() not in _PERSON


def _node(name: str) -> str:
    return humanized(name) if name else ""
