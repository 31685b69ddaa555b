"""What goes over the wire between the simulated server of the OpenAI API and its clients: what it refuses, what it
makes of questions, and the events of work. No I/O.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from starlette.exceptions import HTTPException

from adapters.testing.backends.base import Run
from adapters.testing.backends.brain import INTERNAL, Blob, Plan

_TOOLS = {  # what may stand in each kind of tool
    "web_search": {"type"},
    "code_interpreter": {"type", "container"},
    "image_generation": {"type"},
    "mcp": {"type", "server_label", "server_url", "require_approval", "authorization"},
}


def is_decision(said: object) -> bool:
    return isinstance(said, list) and len(said) == 1 and said[0].get("type") == "mcp_approval_response"


def check_tools(asked: dict[str, Any]) -> None:
    for tool in asked.get("tools") or ():
        kind = tool.get("type")
        if kind not in _TOOLS or tool.keys() - _TOOLS[kind]:
            raise HTTPException(400, f"Invalid tool: {tool!r}")
        if kind == "mcp" and tool.get("require_approval") not in {"always", "never"}:
            raise HTTPException(400, "Invalid value: 'require_approval'.")


def worked(item: dict[str, Any], index: int) -> Iterator[dict[str, Any]]:
    """The events of an item that isn't the answer."""
    kind, at = item["type"], {"item_id": item["id"], "output_index": index}
    unfilled: dict[str, dict[str, Any]] = {"reasoning": {"summary": []}, "image_generation_call": {"result": None}}
    empty = unfilled.get(kind, {})
    begun = {**item, **empty, **({"status": "in_progress"} if "status" in item else {}), "output": None}
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    for number, part in enumerate(item.get("summary") or ()):
        here = {**at, "summary_index": number}
        head = "response.reasoning_summary"
        yield {"type": f"{head}_part.added", **here, "part": {"type": "summary_text", "text": ""}}
        for piece in re.findall(r".{1,9}", part["text"], re.DOTALL):
            yield {"type": f"{head}_text.delta", **here, "delta": piece}
        yield {"type": f"{head}_text.done", **here, "text": part["text"]}
        yield {"type": f"{head}_part.done", **here, "part": part}
    if kind in {"web_search_call", "mcp_call"}:
        yield {"type": f"response.{kind}.in_progress", **at}
        if kind == "web_search_call":
            yield {"type": "response.web_search_call.searching", **at}
        yield {"type": f"response.{kind}.completed", **at}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def citations_of(plan: Plan) -> list[dict[str, Any]]:
    notes: list[dict[str, Any]] = []
    for citation in plan.citations:
        start = plan.text.index(citation.after)
        place = {"start_index": start, "end_index": start + len(citation.after)}
        notes.append({"type": "url_citation", "url": citation.url, "title": citation.title, **place})
    return notes


def said_in(item: dict[str, Any]) -> str:
    return str(item["content"][0].get("text", ""))


def inlined_blob(text: str) -> Blob:
    """A text file that stands in the question, as a model would read it."""
    name, content = re.match(r"File `(.*)`:\n`{3,}\n(.*)\n`{3,}$", text, re.DOTALL).groups()  # type: ignore[union-attr]
    return Blob(name, "text/plain", content.encode())


def from_data_url(name: str, url: str) -> Blob:
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise HTTPException(400, "not a data URL")
    return Blob(name, head[5:-7], base64.b64decode(data))


def chat_content(content: object) -> tuple[str, list[Blob]]:
    if isinstance(content, str):
        return content, []
    texts: list[str] = []
    uploads: list[Blob] = []
    for part in content if isinstance(content, list) else ():
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                uploads.append(from_data_url("image", url))
            case {"type": "file", "file": {"filename": str(name), "file_data": str(data)}}:
                uploads.append(from_data_url(name, data))
            case _:
                raise HTTPException(400, f"Invalid value: {part.get('type')!r}.")
    question, *inlined = texts or [""]
    return question, [*uploads, *map(inlined_blob, inlined)]


def chat_extras(plan: Plan) -> dict[str, Any]:
    """What servers send besides the text that run tools by themselves, think aloud and quote pages."""
    calls = [
        {
            "index": number,
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": work.tool, "arguments": json.dumps({"key": INTERNAL})},
        }
        for number, work in enumerate(plan.steps)
    ]
    notes = [
        {"type": "url_citation", "url_citation": {name: value for name, value in note.items() if name != "type"}}
        for note in citations_of(plan)
    ]
    extras = {"tool_calls": calls, "reasoning_content": f"The password is {INTERNAL}." if calls else ""}
    return {name: value for name, value in {**extras, "annotations": notes}.items() if value}


async def chat_chunks(head: dict[str, Any], run: Run, usage: dict[str, int] | None) -> AsyncIterator[bytes]:
    def event(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"

    yield event({"role": "assistant", "content": ""})
    extras = chat_extras(run.plan)
    for piece in re.findall(r".{1,9}", extras.get("reasoning_content", "")):
        yield event({"reasoning_content": piece})
    for call in extras.get("tool_calls", ()):
        arguments = call["function"]["arguments"]
        yield event({"tool_calls": [{**call, "function": {**call["function"], "arguments": ""}}]})
        yield event({"tool_calls": [{"index": call["index"], "function": {"arguments": arguments}}]})
    async for piece in run.deltas():
        yield event({"content": piece})
    if "annotations" in extras:
        yield event({"annotations": extras["annotations"]})
    yield event({}, "stop")
    if usage:
        yield b"data: " + json.dumps({**head, "choices": [], "usage": usage}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def check_person(asked: dict[str, Any]) -> None:
    """The limits of the reference."""
    metadata, who = asked.get("metadata", {}), asked.get("safety_identifier", "")
    texts = [text for pair in metadata.items() for text in pair]
    if len(metadata) > 16 or not all(isinstance(text, str) for text in texts):
        raise HTTPException(400, "metadata: at most 16 pairs of texts")
    if any(len(name) > 64 or len(value) > 512 for name, value in metadata.items()):
        raise HTTPException(400, "metadata: names of 64 and values of 512 characters at most")
    if not isinstance(who, str) or len(who) > 128:
        raise HTTPException(400, "safety_identifier: at most 128 characters")
