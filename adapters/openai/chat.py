"""Chat Completions: `POST /chat/completions`, streamed. The server keeps nothing, so a broken answer is lost."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
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
    Step,
    Text,
    TimedOut,
    Unavailable,
    Uncertain,
    Usage,
)
from adapters.http import service as http
from adapters.http.failures import NOT_TAKEN
from adapters.http.outgoing import too_large_inline
from adapters.openai.citations import marked, quotes_in
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
from adapters.openai.steps import THINKING
from adapters.person import as_headers, pseudonym
from adapters.sentences import LOST, MISCONFIGURED
from adapters.steps import Sources, Steps, humanized
from adapters.text import ThinkFilter, safe_name, scrub, without_thoughts

_ASK = "POST /chat/completions"
_COUNTS = ("prompt_tokens", "completion_tokens")
_THOUGHTS = ("reasoning_content", "reasoning")  # of a delta, as servers call them
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
    thoughts, work = ThinkFilter(), _Work()
    said: list[str] = []
    notes: list[dict[str, Any]] = []
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
            for step in work.feed(choice.get("delta")):
                yield step
            notes += _annotations(choice.get("delta"))
            if shown := thoughts.feed(_said(choice.get("delta"))):
                said.append(shown)
                yield Text(shown)
    if not ended:
        raise Uncertain(f"openai {_ASK}: the stream ended without a finish_reason", sentence=LOST)
    if rest := thoughts.end():
        said.append(rest)
        yield Text(rest)
    for step in work.end():
        yield step
    yield _done("".join(said), notes, usage, note(ended))


def _in_one_piece(value: Any) -> Iterator[Event]:
    """A server that can't stream answers with the whole."""
    body = value if isinstance(value, dict) else {}
    if error := body.get("error"):
        raise _failure(error)
    choices = _records(body.get("choices"))
    if not choices:
        raise ProtocolError(f"openai {_ASK}: an answer without a choice")
    said = choices[0].get("message") or choices[0].get("delta")
    work = _Work()
    yield from work.feed(said)
    yield from work.end()
    text = without_thoughts(_said(said))
    yield Text(text)
    yield _done(text, _annotations(said), _usage(body), note(choices[0].get("finish_reason")))


class _Work:
    """What a server shows of its work besides the answer: thoughts and calls of tools. Words of the answer say that
    they are over."""

    def __init__(self) -> None:
        self._steps = Steps()
        self._thoughts = 0  # how often it began to think
        self._thinks = False

    def feed(self, delta: object) -> Iterator[Step]:
        if not isinstance(delta, dict):
            return
        if not self._thinks and any(isinstance(delta.get(name), str) and delta[name] for name in _THOUGHTS):
            yield from self.end()
            self._thoughts, self._thinks = self._thoughts + 1, True
            yield from self._steps.tell(Step(f"thought-{self._thoughts}", THINKING))
        for place, call in enumerate(_records(delta.get("tool_calls"))):
            yield from self._call(call, call.get("index", place))
        if _said(delta):
            yield from self.end()

    def _call(self, call: dict[str, Any], index: object) -> Iterator[Step]:
        function = call.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str) and name:  # only the first delta of a call has it
            if self._thinks:
                yield from self.end()
            yield from self._steps.tell(Step(str(call.get("id") or f"call-{index}"), humanized(name)))

    def end(self) -> tuple[Step, ...]:
        self._thinks = False
        return self._steps.end()


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


def _annotations(message: object) -> list[dict[str, Any]]:
    return _records(message.get("annotations")) if isinstance(message, dict) else []


def _done(text: str, notes: list[dict[str, Any]], usage: Usage | None, below: str) -> Done:
    sources = Sources()
    final = marked(text, quotes_in(notes, len(text)), sources)
    return Done(text=final if final != text else None, usage=usage, note=below, sources=sources.all())


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
