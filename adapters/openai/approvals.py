"""Calls of MCP servers that want leave first. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from openai.types.responses import ResponseInputItemParam
from openai.types.responses.response_input_item_param import McpApprovalResponse

from adapters.base import Approval, Decision, Message, RunFailed
from adapters.openai.steps import as_dict
from adapters.steps import MAX_STEP_TITLE, humanized
from adapters.text import one_line, scrub

MAX_REQUESTS = 20  # calls that one answer may want leave for; their ids go into a checkpoint
MAX_ID = 120  # characters
MAX_ARGUMENTS = 1_000  # characters that people are shown of a call's arguments
MAX_REASON = 500  # characters

_TOO_MANY = "The agent asked to do too many things at once."


def requests_in(items: Iterable[Any] | None) -> list[dict[str, Any]]:
    """The calls in an answer that want leave. Raises `RunFailed` for more than people can decide on."""
    found = [item for item in map(as_dict, items or ()) if item.get("type") == "mcp_approval_request"]
    ids = [str(item.get("id") or "") for item in found]
    if len(found) > MAX_REQUESTS or any(not known or len(known) > MAX_ID or " " in known for known in ids):
        raise RunFailed(f"openai: {len(found)} approval requests, or one without an id", sentence=_TOO_MANY)
    return found


def approval_of(requests: Sequence[dict[str, Any]]) -> Approval:
    """One question for them all: the answer goes on when each of them is decided."""
    names = [f"{humanized(str(request.get('name')))} ({request.get('server_label')})" for request in requests]
    title = names[0] if len(names) == 1 else f"{len(names)} calls: {', '.join(names)}"
    shown = [
        f"**{name}**\n{_fenced(str(request.get('arguments') or '{}'))}"
        for name, request in zip(names, requests, strict=True)
    ]
    return Approval(one_line(title, MAX_STEP_TITLE), "\n\n".join(shown))


def decisions(requests: Iterable[str], message: Message) -> list[ResponseInputItemParam]:
    """What tells the server of the decision. Words without one are no leave, but the reason."""
    made = message.decision or Decision(approved=False, reason=message.text)
    given: list[ResponseInputItemParam] = []
    for known in requests:
        told: McpApprovalResponse = {
            "type": "mcp_approval_response",
            "approval_request_id": known,
            "approve": made.approved,
        }
        if made.reason:
            told["reason"] = scrub(made.reason)[:MAX_REASON]
        given.append(told)
    return given


def _fenced(text: str) -> str:
    text = text if len(text) <= MAX_ARGUMENTS else text[: MAX_ARGUMENTS - 1] + "…"
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}json\n{text}\n{fence}"
