"""What the server does by itself for an answer, as steps. No I/O.

Items and events are taken as plain JSON, as in `reader`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from adapters.base import Source, Status, Step, StepState
from adapters.steps import Steps, humanized

THINKING = "Thinking"
MAX_SUMMARY = 4_000  # characters of a summary that are looked at

_TITLES = {
    "apply_patch_call": "Editing files",
    "code_interpreter_call": "Running code",
    "computer_call": "Using a computer",
    "file_search_call": "Searching files",
    "image_generation_call": "Making an image",
    "local_shell_call": "Running a command",
    "program": "Running a program",
    "shell_call": "Running a command",
    "tool_search_call": "Looking for tools",
    "web_search_call": "Searching the web",
}
_NAMED = {"custom_tool_call", "function_call", "mcp_call"}  # after a tool of their own
_NONE = {"additional_tools", "compaction", "item_reference", "mcp_list_tools", "message", "reasoning"}
_NO_WORK = ("_approval_request", "_approval_response", "_output")  # how the types of other items end

_STATES = {
    "completed": StepState.DONE,
    "failed": StepState.FAILED,
    "incomplete": StepState.FAILED,
    "queued": StepState.PENDING,
}
_PROGRESS = re.compile(
    r"response\.(\w+_call)\.(in_progress|searching|interpreting|generating|calling|completed|failed|incomplete)"
)
_BOLD = re.compile(r"\s*\*\*(.+?)\*\*\s*")


class Work:
    """The steps of one answer, from the events of its streams and from the answer as it stands."""

    def __init__(self) -> None:
        self._steps = Steps()
        self._summaries: dict[str, str] = {}  # as far as they were streamed, by the step's id

    def feed(self, event: dict[str, Any]) -> Iterator[Status | Step]:
        """What one event means."""
        kind, index = str(event.get("type")), event.get("output_index")
        if kind in {"response.output_item.added", "response.output_item.done"}:
            item = _dict(event.get("item"))
            if item.get("type") == "reasoning" and kind.endswith("added"):
                yield Status(THINKING)
            yield from self._item(item, index, over=kind.endswith("done"))
        elif kind.startswith("response.reasoning_summary_"):
            yield from self._summary(kind, event)
        elif told := _PROGRESS.fullmatch(kind):
            step_id = _id({"id": event.get("item_id")}, index)
            state = _STATES.get(told[2], StepState.RUNNING)
            if step_id in self._steps:
                yield from self._steps.move(step_id, state)
            else:  # a server that doesn't announce its items
                yield from self._item({"type": told[1], "id": event.get("item_id"), "status": told[2]}, index)

    def look(self, items: Iterable[Any] | None, *, over: bool) -> Iterator[Step]:
        """Take in the items of an answer as it stands; `over`: nothing is added to them."""
        for index, item in enumerate(items or ()):
            yield from self._item(as_dict(item), index, over=over)

    def end(self, state: StepState) -> tuple[Step, ...]:
        return self._steps.end(state)

    def _item(self, item: dict[str, Any], index: object, *, over: bool = False) -> Iterator[Step]:
        if item.get("type") == "reasoning":
            for number, part in enumerate(item.get("summary") or ()):
                text = _dict(part).get("text")
                if isinstance(text, str) and text.strip():
                    done = over or _STATES.get(str(item.get("status"))) is StepState.DONE
                    state = StepState.DONE if done else StepState.RUNNING
                    yield from self._steps.tell(_thought(f"{_id(item, index)}/{number}", text, state))
        elif step := step_of(item, index, over=over):
            yield from self._steps.tell(step)

    def _summary(self, kind: str, event: dict[str, Any]) -> Iterator[Step]:
        step_id = f"{_id({'id': event.get('item_id')}, event.get('output_index'))}/{event.get('summary_index', 0)}"
        text = self._summaries.get(step_id, "")
        state = StepState.RUNNING
        match kind.removeprefix("response.reasoning_summary_"):
            case "text.delta":
                text = (text + str(event.get("delta") or ""))[:MAX_SUMMARY]
            case "text.done":
                text, state = str(event.get("text") or text)[:MAX_SUMMARY], StepState.DONE
            case "part.done":
                state = StepState.DONE
        self._summaries[step_id] = text
        thought = _thought(step_id, text, state)
        if state is StepState.RUNNING:  # a line that still grows isn't shown
            thought = Step(thought.id, thought.title, thought.state)
        yield from self._steps.tell(thought)


def step_of(item: dict[str, Any], index: object, *, over: bool = False) -> Step | None:
    """The step that an item stands for; None for what is no work. `over`: an item without a status is done."""
    kind = str(item.get("type") or "message")
    if kind in _NONE or kind.endswith(_NO_WORK):
        return None
    state = _STATES.get(str(item.get("status")), StepState.DONE if over else StepState.RUNNING)
    if item.get("error"):
        state = StepState.FAILED
    title = _TITLES.get(kind) or humanized(kind.removesuffix("_call"))
    if kind in _NAMED and isinstance(item.get("name"), str):
        title = humanized(item["name"])
    detail, sources = _about(kind, item)
    if _dict(item.get("action")).get("type") == "open_page":
        title = "Reading a page"
    return Step(_id(item, index), title, state, detail, sources)


def as_dict(item: Any) -> dict[str, Any]:
    """An item of the library's as plain JSON; it takes any object for one, whatever its shape."""
    if isinstance(item, dict):
        return item
    plain = item.to_dict(warnings=False) if hasattr(item, "to_dict") else {}
    return _dict(plain)


def _about(kind: str, item: dict[str, Any]) -> tuple[str, tuple[Source, ...]]:
    """What it works on. Arguments, code and results aren't shown."""
    action = _dict(item.get("action"))
    if kind == "web_search_call":
        pages = [_dict(source).get("url") for source in _list(action.get("sources"))] + [action.get("url")]
        words = action.get("query") or action.get("pattern") or " · ".join(map(str, _list(action.get("queries"))))
        return str(words or ""), tuple(Source(page) for page in pages if isinstance(page, str))
    if kind == "file_search_call":
        return " · ".join(map(str, _list(item.get("queries")))), ()
    if kind == "mcp_call":
        return str(item.get("server_label") or ""), ()
    return "", ()


def _thought(step_id: str, text: str, state: StepState) -> Step:
    """A summary: its first line is the title where that is bold."""
    text = text.strip()
    headline = _BOLD.match(text)
    rest = text[headline.end() :] if headline else text
    first = next(filter(str.strip, rest.splitlines()), "")
    return Step(step_id, headline[1] if headline else THINKING, state, first.replace("**", ""))


def _id(item: dict[str, Any], index: object) -> str:
    return str(item.get("id") or f"item-{index}")


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
