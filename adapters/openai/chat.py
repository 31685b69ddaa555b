"""Chat Completions: `POST /chat/completions`, streamed. The server keeps nothing, so a broken answer is lost."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import Any

import httpx
from openai.types.chat import ChatCompletionContentPartParam, ChatCompletionMessageParam

from adapters.base import (
    AgentError,
    Attachment,
    Checkpoint,
    Done,
    Event,
    Message,
    NotFound,
    Person,
    ProtocolError,
    Rejected,
    Text,
    TimedOut,
    Unavailable,
    Uncertain,
    Usage,
)
from adapters.http import service as http
from adapters.http.failures import NOT_TAKEN
from adapters.http.outgoing import too_large_inline
from adapters.openai.client import (
    OpenAISettings,
    as_data_url,
    as_text,
    check,
    create,
    is_image,
    is_text,
    open_stream,
    refuses_person,
)
from adapters.openai.reader import failure, note, parse
from adapters.person import as_headers, pseudonym
from adapters.sentences import LOST, MISCONFIGURED
from adapters.text import ThinkFilter, safe_name, scrub, without_thoughts

_ASK = "POST /chat/completions"
_COUNTS = ("prompt_tokens", "completion_tokens")
_USAGE = ("stream_options", "include_usage")  # what a refusal of them names


class ChatCompletions:
    """`remembers` earlier exchanges go along with each question."""

    def __init__(self, settings: OpenAISettings, client: httpx.AsyncClient) -> None:
        self.remembers = settings.remembers
        self._settings = settings
        self._api, self._library = create(settings, client)
        self._counts = True  # until the server refuses `stream_options`
        self._names = settings.person_fields  # until it refuses `user`

    async def ask(
        self,
        conversation: str | None,  # noqa: ARG002 - there is none
        message: Message,
        *,
        resume: Checkpoint | None = None,
    ) -> AsyncIterator[Event]:
        if resume is not None and resume.data.get("step") == "asked":
            raise Uncertain(f"openai {_ASK}: an answer can't be taken up again", sentence=LOST)
        yield Checkpoint(None, {"step": "begun"})
        messages, person = self._messages(message), message.person
        yield Checkpoint(None, {"step": "asked"})
        async with AsyncExitStack() as stack:
            try:
                stream = await self._opened(stack, messages, person)
            except NOT_TAKEN:
                yield Checkpoint(None, {"step": "begun"})
                raise
            except NotFound as error:  # there is no conversation that could be gone
                raise NotFound(str(error), sentence=MISCONFIGURED) from error
            try:
                if stream.is_json:
                    for event in _in_one_piece(await stream.json()):
                        yield event
                else:
                    async with aclosing(_streamed(stream)) as events:
                        async for event in events:
                            yield event
                    await stream.finish()
            except (Unavailable, TimedOut) as error:
                raise Uncertain(str(error), sentence=LOST) from error

    def accepts(self, name: str, media_type: str, size: int) -> str:  # noqa: ARG002 - which kinds, the model decides
        """A file travels inside the question."""
        return too_large_inline(size)

    async def check(self) -> str:
        return await check(self._api, self._library, self._settings.model)

    def _messages(self, message: Message) -> list[ChatCompletionMessageParam]:
        messages: list[ChatCompletionMessageParam] = []
        if self._settings.instructions:
            messages.append({"role": "system", "content": self._settings.instructions})
        for exchange in message.history[-self.remembers :] if self.remembers else ():
            messages.append({"role": "user", "content": scrub(exchange.question)})
            messages.append({"role": "assistant", "content": scrub(exchange.answer)})
        text = scrub(message.text)
        if message.attachments:
            parts = [_part(attachment) for attachment in message.attachments]
            messages.append({"role": "user", "content": [{"type": "text", "text": text}, *parts]})
        else:
            messages.append({"role": "user", "content": text})
        return messages

    async def _opened(
        self, stack: AsyncExitStack, messages: list[ChatCompletionMessageParam], person: Person | None
    ) -> http.Stream:
        """The answer's stream. Usage is asked for, and who asks told by a field, unless the server refuses that."""
        while True:
            usage, names = self._counts, self._names  # another question may learn of a refusal meanwhile
            try:
                send = partial(self._send, messages, person, usage=usage, names=names)
                return await open_stream(stack, self._library, _ASK, send, once=True)
            except Rejected as error:
                if usage and any(word in str(error) for word in _USAGE):
                    self._counts = False
                elif names and person and refuses_person(error):
                    self._names = False
                else:
                    raise

    def _send(
        self, messages: list[ChatCompletionMessageParam], person: Person | None, *, usage: bool, names: bool
    ) -> Any:
        settings = self._settings
        wanted: dict[str, Any] = {
            "temperature": settings.temperature,
            "reasoning_effort": settings.effort,
            "max_completion_tokens": settings.max_tokens,
            "stream_options": {"include_usage": True} if usage else None,
            # not `metadata` as well: OpenAI takes that only for answers which it is told to store
            "user": pseudonym(person) if person and names else None,
            "extra_headers": as_headers(person) or None,
        }
        return self._api.chat.completions.with_streaming_response.create(
            model=settings.model,
            messages=messages,
            stream=True,
            timeout=http.STREAM_TIMEOUT,
            **{name: value for name, value in wanted.items() if value is not None},
        )


async def _streamed(stream: http.Stream) -> AsyncGenerator[Event]:
    """Read as plain JSON: the library's types cost more than all the rest, and servers leave half of them out."""
    thoughts = ThinkFilter()
    ended: object = None
    usage: Usage | None = None
    async for event in stream:
        if event.data.strip() == "[DONE]":
            ended = ended or "stop"
            break
        value = parse(event.data)
        if error := value.get("error"):
            raise _failure(error)
        usage = _usage(value) or usage
        for choice in _records(value.get("choices")):
            ended = choice.get("finish_reason") or ended
            if shown := thoughts.feed(_said(choice.get("delta"))):
                yield Text(shown)
    if not ended:
        raise Uncertain(f"openai {_ASK}: the stream ended without a finish_reason", sentence=LOST)
    if rest := thoughts.end():
        yield Text(rest)
    yield Done(usage=usage, note=note(ended))


def _in_one_piece(value: Any) -> tuple[Event, ...]:
    """A server that can't stream answers with the whole."""
    body = value if isinstance(value, dict) else {}
    if error := body.get("error"):
        raise _failure(error)
    choices = _records(body.get("choices"))
    if not choices:
        raise ProtocolError(f"openai {_ASK}: an answer without a choice")
    said = choices[0].get("message") or choices[0].get("delta")
    below = note(choices[0].get("finish_reason"))
    return Text(without_thoughts(_said(said))), Done(usage=_usage(body), note=below)


def _records(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _said(message: object) -> str:
    """The words of a message or a part of one: a text, or texts in parts."""
    if not isinstance(message, dict):
        return ""
    said = message.get("content") or message.get("refusal")
    if isinstance(said, str):
        return said
    return "".join(part["text"] for part in _records(said) if isinstance(part.get("text"), str))


def _failure(error: object) -> AgentError:
    told = error if isinstance(error, dict) else {"message": error}
    return failure(told.get("code") or told.get("type"), told.get("message"))


def _usage(value: dict[str, Any]) -> Usage | None:
    counts = value.get("usage")
    if not isinstance(counts, dict):
        return None
    tokens = [count if isinstance(count := counts.get(name), int) else None for name in _COUNTS]
    model = value.get("model")
    return Usage(tokens[0], tokens[1], model if isinstance(model, str) else None)


def _part(attachment: Attachment) -> ChatCompletionContentPartParam:
    if is_image(attachment):
        return {"type": "image_url", "image_url": {"url": as_data_url(attachment)}}
    if is_text(attachment):
        return {"type": "text", "text": as_text(attachment)}
    return {"type": "file", "file": {"filename": safe_name(attachment.name), "file_data": as_data_url(attachment)}}
