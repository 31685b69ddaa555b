"""fifthelement.ai: one endpoint that answers in one piece or as a stream.

The service keeps the conversation and shows it to nobody: there is no history to look a lost answer up in. So a
turn that broke off after its question was sent is `Uncertain`, and an answer that was received is kept in the
checkpoint where it fits.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import httpx
from httpx_sse import ServerSentEvent
from pydantic import Field, SecretStr

from adapters.base import (
    AgentError,
    AuthenticationFailed,
    Checkpoint,
    Done,
    Event,
    KeyedSettings,
    Message,
    NotFound,
    ProtocolError,
    RateLimited,
    Rejected,
    Scalar,
    Status,
    Text,
    TimedOut,
    Unavailable,
    Uncertain,
    Usage,
)
from adapters.http.failures import NOT_TAKEN, ServerFailed
from adapters.http.secret import without
from adapters.http.service import ANSWER_TIMEOUT, Service, segment
from adapters.http.wire import retry_after
from adapters.sentences import LOST, MISCONFIGURED, NO_FILES, SILENT
from adapters.text import ThinkFilter, one_line

PATIENCE = 20.0  # seconds to wait for the hour's budget of requests to be renewed; more is said to the caller
MAX_KEPT = 3_000  # bytes of an answer that fit into a checkpoint (4 KB)

_ENVELOPED = frozenset({500})  # the service's own word that it failed, not a gateway's guess
_TOO_LONG = "The agent answered, but the answer was lost on its way to you."


# --- what the service says, without I/O ---------------------------------------------------------------------


class Budget:
    """The requests that are left, by the `X-RateLimit-*` headers of the answers. One for all turns of an agent."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._renewed = 0.0

    def note(self, headers: Mapping[str, str]) -> None:
        if headers.get("x-ratelimit-remaining", "").strip() == "0":
            self.spent(retry_after(headers))

    def spent(self, seconds: float | None) -> None:
        """Nothing is left for so long."""
        if seconds is not None:
            self._renewed = self._clock() + seconds

    @property
    def wait(self) -> float:
        """Seconds until the next request may go out."""
        return max(0.0, self._renewed - self._clock())


def failure(error: Any, secret: SecretStr | None = None) -> AgentError:
    """The error of an envelope `{"data": null, "error": {"name", "message", "details"}}`; `secret` is the key,
    which a message may quote and the log may not."""
    told = error if isinstance(error, dict) else {"message": error}
    name = str(told.get("name") or "")
    detail = one_line(without(f"fifthelement: {name} {told.get('message') or ''}", secret))
    plain = name.lower().replace("_", "").replace(" ", "")
    return next((kind(detail) for word, kind in _KINDS.items() if word in plain), ServerFailed(detail))


# What the words in a name mean. Of any other failure nobody can tell what became of the question.
_KINDS: dict[str, type[AgentError]] = {
    "auth": AuthenticationFailed,
    "forbidden": AuthenticationFailed,
    "notfound": NotFound,
    "ratelimit": RateLimited,
    "toomany": RateLimited,
    "unavailable": Unavailable,
    "badrequest": Rejected,
    "invalid": Rejected,
    "validation": Rejected,
}


def _id_in(value: Mapping[str, Any]) -> str | None:
    found = value.get("conversationId")
    return None if found in (None, "") else str(found)


def _usage_in(metadata: Any) -> Usage | None:
    if not isinstance(metadata, dict):
        return None
    tokens = metadata.get("tokens")
    counts = tokens if isinstance(tokens, dict) else {}  # a bare number doesn't say of what

    def count(*names: str) -> int | None:
        return next((counts[name] for name in names if isinstance(counts.get(name), int)), None)

    model = metadata.get("model")
    return Usage(
        count("input", "prompt", "inputTokens", "promptTokens"),
        count("output", "completion", "outputTokens", "completionTokens"),
        model if isinstance(model, str) else None,
    )


class AnswerReader:
    """One answer, whole or in events: what comes in, the text to show out. `ended` with the last text."""

    def __init__(self, conversation: str | None = None, *, secret: SecretStr | None = None) -> None:
        self.conversation = conversation
        self._secret = secret
        self.usage: Usage | None = None
        self.text = ""
        self.done = False  # [DONE] was seen
        self.ended = False
        self._thoughts = ThinkFilter()

    def whole(self, body: Any) -> str:
        """The text of an envelope. Raises the error that it carries."""
        if not isinstance(body, dict):
            raise ProtocolError("fifthelement: an answer that isn't an object")
        text = self._take(body)
        data = body.get("data")
        if not isinstance(data, dict) or not isinstance(data.get("response"), str):
            raise ProtocolError("fifthelement: an answer without a response")
        self.ended = True
        return text + self._show(self._thoughts.end())

    def feed(self, event: ServerSentEvent) -> str:
        """The text that an event of the stream adds. Raises the error that it carries."""
        return "".join(map(self._take, _values(event.data)))

    def end(self) -> str:
        """The last text of a stream. Raises `ProtocolError` for one that ended before it said anything."""
        rest = self._show(self._thoughts.end())
        if not (self.done or self.text):
            raise ProtocolError("fifthelement: a stream that ended without chunks and without [DONE]")
        self.ended = True
        return rest

    def _take(self, value: Any) -> str:
        if value == _END:
            self.done = True
        if not isinstance(value, dict):
            return ""
        if value.get("error") is not None:
            raise failure(value["error"], self._secret)
        data = value["data"] if isinstance(value.get("data"), dict) else {}
        self.conversation = _id_in(value) or _id_in(data) or self.conversation
        self.usage = _usage_in(value.get("metadata") or data.get("metadata")) or self.usage
        chunk = value.get("chunk")
        if chunk is None and not self.text:
            chunk = data.get("response")
        return self._show(self._thoughts.feed(chunk)) if isinstance(chunk, str) else ""

    def _show(self, text: str) -> str:
        self.text += text
        return text


_END = "[DONE]"


def _values(data: str) -> list[Any]:
    """What an event holds: one value, or several lines that no blank line kept apart."""
    if (value := _value(data)) is not None:
        return [value]
    return [value for line in data.split("\n") if (value := _value(line)) is not None]


def _value(data: str) -> Any:
    if data.strip() == _END:
        return _END
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


# --- the agent ----------------------------------------------------------------------------------------------


class FifthElementSettings(KeyedSettings):
    """`base_url` is `https://{platform}/v1/api`; `slug` names the agent."""

    base_url: str = Field(description="As in `https://PLATFORM/v1/api`.")
    slug: str = Field(description="Names the agent, as on the platform's own page.")


class FifthElement:
    """The first turn of a conversation comes in one piece, because a stream need not say the conversation's id;
    later ones are streamed."""

    Settings = FifthElementSettings

    def __init__(self, settings: FifthElementSettings, client: httpx.AsyncClient) -> None:
        self._path = f"/chat/{segment(settings.slug)}"
        self._budget = Budget()
        self._key = settings.api_key
        self._service = Service(
            client,
            settings.base_url,
            name="fifthelement",
            headers={"Authorization": f"Bearer {self._key.get_secret_value()}"},
            secret=self._key,
        )

    def accepts(self, name: str, media_type: str, size: int) -> str:  # noqa: ARG002 - it takes none
        """The service has no way to send a file."""
        return NO_FILES

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        if resume is not None and resume.data.get("step") != "begin":
            kept = _kept(resume)
            yield resume
            yield Text(kept)
            yield Done()
            return
        if message.attachments:
            raise Rejected("fifthelement: takes no files", sentence=NO_FILES)
        while wait := self._budget.wait:
            if wait > PATIENCE:
                raise RateLimited("fifthelement: no requests are left", retry_after=wait)
            yield Status("Waiting for the agent's rate limit")
            await asyncio.sleep(wait)
        yield Checkpoint(conversation, {"step": "ask"})
        answer = AnswerReader(conversation, secret=self._key)
        try:
            async with aclosing(self._answer(message, answer)) as texts:
                async for text in texts:
                    if answer.ended:
                        yield _answered(answer)
                    if text:
                        yield Text(text)
        except NOT_TAKEN as error:
            if isinstance(error, RateLimited):
                self._budget.spent(error.retry_after)
            if not answer.text:
                yield Checkpoint(conversation, {"step": "begin"})
            raise
        except NotFound as error:
            if conversation is None:  # so it is the agent that there is not
                raise NotFound(str(error), sentence=MISCONFIGURED) from error
            raise
        if not answer.text.strip():
            raise ProtocolError("fifthelement: an empty answer", sentence=SILENT)
        yield Done(usage=answer.usage)

    async def _answer(self, message: Message, answer: AnswerReader) -> AsyncGenerator[str, None]:
        """Ask, and yield the text as it comes."""
        if answer.conversation is None:
            body = {"message": message.text, "stream": False}
            reply = await self._service.request(
                "POST",
                self._path,
                json=body,
                accept=_ENVELOPED,
                timeout=ANSWER_TIMEOUT,
                person=message.person,
            )
            self._budget.note(reply.headers)
            yield answer.whole(reply.json())
            return
        body = {"message": message.text, "stream": True, "conversationId": answer.conversation}
        async with self._service.stream(
            self._path, body, accept=_ENVELOPED, unseparated=True, person=message.person
        ) as stream:
            self._budget.note(stream.headers)
            if stream.is_json:
                yield answer.whole(await stream.json())
                return
            try:
                async for event in stream:
                    yield answer.feed(event)
                    if answer.done:
                        break
            except (Unavailable, TimedOut) as error:
                raise Uncertain(str(error), sentence=LOST) from error
            yield answer.end()


def _answered(answer: AnswerReader) -> Checkpoint:
    data: dict[str, Scalar] = {"step": "answered"}
    if len(json.dumps(answer.text)) <= MAX_KEPT:
        data["answer"] = answer.text
    return Checkpoint(answer.conversation, data)


def _kept(resume: Checkpoint) -> str:
    """The answer in a checkpoint. Raises `Uncertain` where there is none."""
    if resume.data.get("step") != "answered":
        raise Uncertain("fifthelement: nobody can tell whether the question arrived")
    if answer := resume.data.get("answer"):
        return str(answer)
    raise Uncertain("fifthelement: the answer was too long for the checkpoint", sentence=_TOO_LONG)
