"""An agent's plan and its tasks: what Slack refuses of them, and what a stream makes of updates. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bridge.playground.slack.errors import SlackError
from bridge.playground.slack.values import Json

MAX_FIELD = 256  # characters of a chunk's title, details or output
MAX_TASKS = 50  # of one plan
STATES = ("pending", "in_progress", "complete", "error")
UPDATE_FIELDS = frozenset({"type", "id", "title", "status", "details", "output", "sources"})
CARD_FIELDS = frozenset({"type", "task_id", "title", "status", "details", "output", "sources", "block_id"})
PLAN = ""  # where a stream's tasks hold its `plan_update`


def check_update(chunk: Json) -> None:
    """Raise `invalid_chunks` for what can't be a `plan_update` or a `task_update`."""
    fields = ("title",) if chunk["type"] == "plan_update" else ("id", "title", "status")
    known = {"type", "title"} if chunk["type"] == "plan_update" else UPDATE_FIELDS
    if not all(isinstance(chunk.get(name), str) and chunk[name] for name in fields):
        raise SlackError("invalid_chunks", f"missing required field: one of {', '.join(fields)}")
    if strange := set(chunk) - known:
        raise SlackError("invalid_chunks", f"unsupported: {', '.join(sorted(strange))}")
    for name in ("title", "details", "output"):
        value = chunk.get(name, "")
        if not isinstance(value, str) or len(value) > MAX_FIELD:
            raise SlackError("invalid_chunks", f"{name} must be a string of at most {MAX_FIELD} characters")
    if chunk["type"] == "task_update":
        if chunk["status"] not in STATES:
            raise SlackError("invalid_chunks", f"status must be one of {', '.join(STATES)}")
        if problem := _sources_problem(chunk.get("sources", [])):
            raise SlackError("invalid_chunks", problem)


def updated(tasks: Mapping[str, Json], chunk: Json) -> dict[str, Json]:
    """A stream's tasks after a chunk: title and status are replaced, details and output grow, sources are added."""
    if chunk["type"] == "plan_update":
        return {**tasks, PLAN: chunk}
    before = tasks.get(chunk["id"], {})
    task = {**before, **chunk}
    for name in ("details", "output"):
        if grown := before.get(name, "") + chunk.get(name, ""):
            task[name] = grown
    if sources := [*before.get("sources", []), *chunk.get("sources", [])]:
        task["sources"] = sources
    changed = {**tasks, chunk["id"]: task}
    if len(changed) - (PLAN in changed) > MAX_TASKS:
        raise SlackError("invalid_chunks", f"no more than {MAX_TASKS} tasks allowed")
    return changed


def plan_block(tasks: Mapping[str, Json]) -> Json | None:
    """A stream's tasks as the block that they are in its message."""
    cards = [task for name, task in tasks.items() if name != PLAN]
    if not cards:
        return None
    over = all(task["status"] in ("complete", "error") for task in cards)
    title = tasks[PLAN]["title"] if PLAN in tasks else "Thinking completed" if over else "Thinking"
    return {"type": "plan", "block_id": "plan", "title": title, "tasks": [_card(task) for task in cards]}


def _card(task: Json) -> Json:
    card = {"type": "task_card", "task_id": task["id"], "title": task["title"], "status": task["status"]}
    for name in ("details", "output"):
        if task.get(name):
            section = {"type": "rich_text_section", "elements": [{"type": "text", "text": task[name]}]}
            card[name] = {"type": "rich_text", "elements": [section]}
    return card | ({"sources": task["sources"]} if task.get("sources") else {})


def plan_problems(block: Json, at: str) -> list[tuple[str, str]]:
    """What is wrong with a plan block: where, and what."""
    problems: list[tuple[str, str]] = []
    if not isinstance(block.get("title"), str) or not block["title"]:
        problems.append((f"{at}/title", "must be more than 0 characters"))
    cards = block.get("tasks", [])
    if not isinstance(cards, list) or len(cards) > MAX_TASKS:
        return [*problems, (f"{at}/tasks", f"no more than {MAX_TASKS} items allowed")]
    for index, card in enumerate(cards):
        problems += card_problems(card, f"{at}/tasks/{index}")
    names = [card.get("task_id") for card in cards if isinstance(card, dict)]
    if len(set(names)) != len(names):
        problems.append((f"{at}/tasks", "`task_id` must be unique"))
    return problems


def card_problems(card: Any, at: str) -> list[tuple[str, str]]:
    """What is wrong with a task card."""
    if not isinstance(card, dict):
        return [(at, "must be an object")]
    problems = [(f"{at}/{name}", "unsupported field") for name in sorted(set(card) - CARD_FIELDS)]
    if card.get("type", "task_card") != "task_card":
        problems.append((f"{at}/type", f"unsupported type: {card['type']}"))
    for name in ("task_id", "title"):
        if not isinstance(card.get(name), str) or not card[name]:
            problems.append((f"{at}/{name}", "must be more than 0 characters"))
    if card.get("status", "pending") not in STATES:
        problems.append((f"{at}/status", f"must be one of {', '.join(STATES)}"))
    for name in ("details", "output"):
        if name in card and not _is_rich_text(card[name]):
            problems.append((f"{at}/{name}", "must be a rich_text with one element"))
    if problem := _sources_problem(card.get("sources", [])):
        problems.append((f"{at}/sources", problem))
    return problems


def _is_rich_text(value: Any) -> bool:
    inside = value.get("elements") if isinstance(value, dict) and value.get("type") == "rich_text" else None
    return isinstance(inside, list) and len(inside) == 1


def _sources_problem(sources: Any) -> str:
    if not isinstance(sources, list):
        return "sources must be an array"
    for source in sources:
        if not isinstance(source, dict) or source.get("type") != "url" or set(source) - {"type", "url", "text"}:
            return "a source must be of type url"
        if not isinstance(source.get("text"), str) or not source["text"]:
            return "a source must have a text"
        if urlsplit(str(source.get("url", ""))).scheme not in ("http", "https"):
            return "a source must have a web address"
    return ""
