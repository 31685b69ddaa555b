"""Reads the events of a response. No I/O.

Events are taken as plain JSON, since servers other than OpenAI's leave half of the fields out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from openai.types.responses import Response

from adapters.base import (
    AgentError,
    Checkpoint,
    Done,
    Event,
    File,
    ProtocolError,
    RateLimited,
    RunFailed,
    StepState,
    Text,
    Usage,
)
from adapters.openai.approvals import approval_of, requests_in
from adapters.openai.citations import cited
from adapters.openai.steps import Work
from adapters.sentences import CUT_OFF, FILTERED, TOO_LONG, USED_UP
from adapters.speech import Speech, spoken
from adapters.text import one_line

_OVER = {"completed", "failed", "cancelled", "incomplete"}
_NOTES = {
    "length": TOO_LONG,
    "max_tokens": TOO_LONG,
    "max_output_tokens": TOO_LONG,
    "content_filter": FILTERED,
    "safety": FILTERED,
}
_SAID = {"response.output_text.delta", "response.refusal.delta"}


def is_chain(conversation: str | None) -> bool:
    """Whether this is the id of a response instead of a conversation's."""
    return conversation is None or not conversation.startswith("conv")


def parse(data: str) -> dict[str, Any]:
    """An event's JSON. Raises `ProtocolError`."""
    try:
        event = json.loads(data)
    except ValueError:
        raise ProtocolError(f"openai: an event that isn't JSON: {one_line(data, 80)}") from None
    if not isinstance(event, dict):
        raise ProtocolError("openai: an event that isn't an object")
    return event


class Reader:
    """One answer, from as many streams as it takes. `asked` is the id of the message that it answers."""

    def __init__(self, conversation: str | None, response_id: str | None = None, *, asked: str = "") -> None:
        self.conversation = conversation
        self.response_id = response_id
        self.sequence: int | None = None  # of the last event seen
        self.final: Response | None = None
        self._asked = asked
        self._work = Work()
        self._speech = Speech()
        self._part: tuple[object, object] | None = None

    def feed(self, event: dict[str, Any]) -> Iterator[Event]:
        """What one event of a stream means. Raises what an `error` event tells."""
        kind = event.get("type")
        if isinstance(event.get("sequence_number"), int):
            self.sequence = event["sequence_number"]
        if kind in _SAID:
            yield from self._say(event)
        elif kind == "error" or event.get("error"):
            error = _dict(event.get("error")) or event
            raise failure(error.get("code"), error.get("message"))
        elif isinstance(event.get("response"), dict):
            yield from self.look(event["response"])
        else:
            yield from self._work.feed(event)

    def look(self, value: object) -> Iterator[Event]:
        """Take in a whole response object, finished or not. Raises `ProtocolError`."""
        response = value if isinstance(value, Response) else Response.construct(**_dict(value))
        if not response.id:
            raise ProtocolError("openai: a response without an id")
        if self.response_id is None:
            self.response_id = response.id
            yield self._checkpoint()
        over = response.status in _OVER
        yield from self._work.look(response.output, over=over)
        if over:
            self.final = response

    def rest(self) -> Iterator[Event]:
        """All that follows once `final` is there. Raises what made the response fail."""
        final = self.final
        if final is None:
            raise ProtocolError("openai: no final response")
        yield from self._work.end(StepState.DONE if final.status == "completed" else StepState.FAILED)
        if final.status == "failed":
            raise failure(final.error and final.error.code, final.error and final.error.message)
        if self.conversation and is_chain(self.conversation) and self.conversation != final.id:
            self.conversation = final.id
            yield self._checkpoint()
        said, whole = self._speech.said, text_of(final.output)
        if whole.startswith(said) and whole != said:
            yield Text(whole[len(said) :])
        yield from items_files(final.output, self.conversation, final.id)
        if final.status == "completed" and (requests := requests_in(final.output)):
            ids = " ".join(str(request["id"]) for request in requests)
            data = {"step": "waiting", "response": final.id, "asked": self._asked, "requests": ids}
            yield Checkpoint(self.conversation or final.id, data)
            yield approval_of(requests)
            return
        usage = Usage(final.usage.input_tokens, final.usage.output_tokens, final.model) if final.usage else None
        below = ""
        if final.status == "incomplete":
            below = note(getattr(final.incomplete_details, "reason", None)) or CUT_OFF
        text, sources = cited(final.output)
        shown = whole if whole.startswith(said) else said
        yield Done(text=text if text and text != shown else None, usage=usage, note=below, sources=sources)

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(self.conversation or self.response_id, {"response": self.response_id})

    def _say(self, event: dict[str, Any]) -> Iterator[Event]:
        part = (event.get("output_index"), event.get("content_index"))
        shown = "" if part == self._part else self._speech.begin()
        self._part = part
        delta = event.get("delta")
        shown += self._speech.add(delta) if isinstance(delta, str) else ""
        if shown:
            yield Text(shown)


def failure(code: object, message: object) -> AgentError:
    """The error that a response or a stream ended with."""
    detail = f"openai: the run failed: {code} {one_line(str(message))}"
    sentences = {"rate_limit_exceeded": RateLimited.sentence, "insufficient_quota": USED_UP}
    return RunFailed(detail, sentence=sentences.get(str(code)))


def note(reason: object) -> str:
    """What people are told of an answer that ended for this reason."""
    return _NOTES.get(str(reason).lower(), "")


def text_of(items: Iterable[Any] | None) -> str:
    """What is said in these items, by a person or the agent."""
    return spoken((block for item in items or () for block in _blocks(item)), complete=True).said


def _blocks(item: Any) -> Iterator[str]:
    if item.type == "message":
        for part in item.content or ():
            yield getattr(part, "text", None) or getattr(part, "refusal", None) or ""


def items_files(items: Iterable[Any] | None, conversation: str | None, response_id: str) -> Iterator[File]:
    """The files that the agent made in these items; `response_id` is where an image is found without a
    conversation."""
    seen: set[str] = set()
    for item in items or ():
        for file in _files_of(item, "item" if not is_chain(conversation) else f"response/{response_id}"):
            if file.ref not in seen:
                seen.add(file.ref)
                yield file


def _files_of(item: Any, home: str) -> Iterator[File]:
    if item.type == "image_generation_call" and item.result:
        form = getattr(item, "output_format", None) or "png"
        size = len(item.result) * 3 // 4 - item.result[-2:].count("=")
        yield File(f"image.{form}", ref=f"{home}/{item.id}", media_type=f"image/{form}", size=size)
    elif item.type == "message":
        for part in item.content or ():
            for note in getattr(part, "annotations", None) or ():
                if note.type == "container_file_citation":
                    yield File(note.filename or note.file_id, ref=f"container/{note.container_id}/{note.file_id}")


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
