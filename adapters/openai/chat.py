"""Chat Completions: `POST /chat/completions`, streamed. The server keeps nothing, so a broken answer is lost."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import httpx
from openai.types import CompletionUsage
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionContentPartParam,
    ChatCompletionMessageParam,
)
from openai.types.chat.chat_completion_chunk import ChoiceDelta

from adapters.base import (
    Attachment,
    Checkpoint,
    Done,
    Event,
    Message,
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
from adapters.openai.client import (
    OpenAISettings,
    as_data_url,
    as_text,
    create,
    is_image,
    is_text,
    open_stream,
)
from adapters.openai.reader import parse
from adapters.sentences import LOST
from adapters.text import ThinkFilter, one_line, safe_name, scrub, without_thoughts

_ASK = "POST /chat/completions"


class ChatCompletions:
    """`remembers` earlier exchanges go along with each question."""

    def __init__(self, settings: OpenAISettings, client: httpx.AsyncClient) -> None:
        self.remembers = settings.remembers
        self._settings = settings
        self._api, self._library = create(settings, client)

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
        messages = self._messages(message)
        yield Checkpoint(None, {"step": "asked"})
        async with AsyncExitStack() as stack:
            try:
                stream = await open_stream(stack, self._library, _ASK, lambda: self._send(messages), once=True)
            except NOT_TAKEN:
                yield Checkpoint(None, {"step": "begun"})
                raise
            try:
                if stream.is_json:
                    for event in _in_one_piece(await stream.json()):
                        yield event
                else:
                    async with aclosing(_streamed(stream)) as events:
                        async for event in events:
                            yield event
            except (Unavailable, TimedOut) as error:
                raise Uncertain(str(error), sentence=LOST) from error

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

    def _send(self, messages: list[ChatCompletionMessageParam]) -> Any:
        return self._api.chat.completions.with_streaming_response.create(
            model=self._settings.model,
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
            timeout=http.STREAM_TIMEOUT,
        )


async def _streamed(stream: http.Stream) -> AsyncGenerator[Event]:
    thoughts = ThinkFilter()
    finished = False
    usage: Usage | None = None
    async for event in stream:
        if event.data.strip() == "[DONE]":
            break
        value = parse(event.data)
        if error := value.get("error"):
            raise Rejected(f"openai {_ASK}: {one_line(str(error))}")
        chunk = ChatCompletionChunk.construct(**value)
        usage = _usage(chunk.usage, chunk.model) or usage
        for choice in chunk.choices or ():
            finished = finished or choice.finish_reason is not None
            delta: ChoiceDelta | None = choice.delta  # some servers end without one
            said = (delta.content or delta.refusal or "") if delta is not None else ""
            if shown := thoughts.feed(said):
                yield Text(shown)
    if not finished:
        raise Uncertain(f"openai {_ASK}: the stream ended without a finish_reason", sentence=LOST)
    if rest := thoughts.end():
        yield Text(rest)
    yield Done(usage=usage)


def _in_one_piece(value: Any) -> tuple[Event, ...]:
    """A server that can't stream answers with the whole."""
    completion = ChatCompletion.construct(**value) if isinstance(value, dict) else None
    if completion is None or not completion.choices:
        raise ProtocolError(f"openai {_ASK}: an answer without a choice")
    said = completion.choices[0].message
    text = without_thoughts(said.content or said.refusal or "")
    return Text(text), Done(usage=_usage(completion.usage, completion.model))


def _usage(usage: CompletionUsage | None, model: str) -> Usage | None:
    return Usage(usage.prompt_tokens, usage.completion_tokens, model) if usage else None


def _part(attachment: Attachment) -> ChatCompletionContentPartParam:
    if is_image(attachment):
        return {"type": "image_url", "image_url": {"url": as_data_url(attachment)}}
    if is_text(attachment):
        return {"type": "text", "text": as_text(attachment)}
    return {"type": "file", "file": {"filename": safe_name(attachment.name), "file_data": as_data_url(attachment)}}
