"""The Responses API: the server keeps the conversation and, by a background response, the answer too.

A conversation is one of `POST /conversations`. A server that has none is asked by `previous_response_id`: there
the id of a conversation is that of its latest response, so it changes from turn to turn.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, suppress
from functools import partial
from typing import Any

import httpx
from openai.types.responses import Response, ResponseInputContentParam, ResponseInputItemParam

from adapters.base import (
    Attachment,
    Checkpoint,
    Event,
    File,
    Message,
    NotFound,
    Person,
    ProtocolError,
    Rejected,
    Row,
    TimedOut,
    Unavailable,
    Uncertain,
)
from adapters.http import service as http
from adapters.http.failures import NOT_TAKEN
from adapters.http.outgoing import opened
from adapters.http.polling import poll
from adapters.openai.approvals import decisions
from adapters.openai.client import (
    McpServer,
    OpenAISettings,
    as_data_url,
    as_text,
    check,
    create,
    is_image,
    is_text,
    open_stream,
    refuses_person,
    refuses_summary,
)
from adapters.openai.reader import Reader, is_chain, items_files, parse, text_of
from adapters.person import as_headers, as_pairs, pseudonym
from adapters.sentences import FILE_TOO_LARGE, MISCONFIGURED, NOT_KEPT
from adapters.text import safe_name, scrub

MAX_REJOINS = 5  # in a row that bring no event, then the answer is polled
ABANDONED = 120.0  # seconds that an answer which isn't a background one gets after its stream broke
MAX_ITEMS = 1_000  # of a conversation that are read
MAX_CHAIN = 200  # responses of a chain that are read
PAGE = 100  # items, the API's limit

_ASK = "POST /responses"
_REJOIN = "GET /responses/…?stream"
_TOOLS: dict[str, dict[str, Any]] = {
    "web_search": {"type": "web_search"},
    "code_interpreter": {"type": "code_interpreter", "container": {"type": "auto"}},
    "image_generation": {"type": "image_generation"},
}

_PERSON_FIELDS = {"safety_identifier", "metadata"}

Send = Callable[[], AbstractAsyncContextManager[Any]]


class Responses:
    """In a checkpoint `response` is the id of the answer, from the moment it is known. Where the answer asks for
    leave, `step` is "waiting", `asked` the id of the message that led to it and `requests` the ids of what it asks."""

    def __init__(self, settings: OpenAISettings, client: httpx.AsyncClient) -> None:
        self._settings = settings
        self._api, self._library = create(settings, client)
        self._chains = False  # the server has no conversations
        self._inlines = False  # the server takes no files
        self._names = settings.person_fields  # until the server refuses fields that say who asks
        self._summarizes = settings.effort is not None  # until the server refuses to

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        if resume is not None:
            conversation = resume.conversation or conversation
        data = resume.data if resume else {}
        step, requests = data.get("step"), str(data.get("requests") or "").split()
        if resume is None or step == "begun" or (step == "waiting" and data.get("asked") != message.id):
            reader = Reader(conversation or await self._begin(), asked=message.id)
            begun = Checkpoint(
                reader.conversation, {"step": "begun"} | ({"requests": " ".join(requests)} if requests else {})
            )
            yield begun
            said = decisions(requests, message) if requests else await self._said(message)
            question = self._question(reader.conversation, said, message.person)
            yield Checkpoint(reader.conversation, {"step": "asked"})
            try:
                async with aclosing(self._asked(reader, question)) as events:
                    async for event in events:
                        yield event
            except NOT_TAKEN:
                yield begun
                raise
            except NotFound as error:
                if conversation is None:  # so it isn't the conversation that is gone
                    raise NotFound(str(error), sentence=MISCONFIGURED) from error
                raise
        elif known := data.get("response"):
            reader = Reader(conversation, str(known), asked=message.id)
            async for look in poll():
                with look:
                    for event in await self._look(reader):
                        yield event
                    break
        else:
            raise Uncertain(f"openai {_ASK}: nothing had come back")
        async with aclosing(self._followed(reader)) as events:
            async for event in events:
                yield event
        for event in reader.rest():
            yield event

    async def check(self) -> str:
        return await check(self._api, self._library, self._settings.model)

    async def files(self, conversation: str) -> Sequence[File]:
        if is_chain(conversation):
            chain = await self._chain(conversation)
            return [file for response in chain for file in items_files(response.output, conversation, response.id)]
        return list(items_files(await self._items(conversation), conversation, ""))

    async def download(self, conversation: str, ref: str) -> AsyncIterator[bytes]:
        match ref.split("/"):
            case ["container", container, file]:
                async with aclosing(self._container_file(container, file)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            case ["item", item]:
                yield await self._image(
                    lambda: self._api.conversations.items.retrieve(item, conversation_id=conversation)
                )
            case ["response", response, item]:
                whole = await self._library.call(
                    "GET /responses/…", lambda: self._api.responses.retrieve(response)
                )
                yield _bytes_of(next((found for found in whole.output if found.id == item), None))
            case _:
                raise NotFound(f"openai: no file {ref!r}")

    async def history(self, conversation: str) -> Sequence[Row]:
        if is_chain(conversation):
            rows: list[Row] = []
            for response in await self._chain(conversation):
                rows += await self._question_of(response.id)
                if answer := text_of(response.output):
                    rows.append(Row("agent", answer))
            return rows
        roles = {"user": "person", "assistant": "agent"}
        return [
            Row(roles[item.role], text)
            for item in await self._items(conversation)
            if (text := text_of([item])) and item.role in roles
        ]

    async def delete(self, conversation: str) -> None:
        if not is_chain(conversation):
            await self._library.call(
                "DELETE /conversations/…", lambda: self._api.conversations.delete(conversation)
            )
            return
        for response in await self._chain(conversation):
            await self._library.call("DELETE /responses/…", partial(self._api.responses.delete, response.id))

    # --- the question

    async def _begin(self) -> str | None:
        """A new conversation; None where the server has none."""
        if self._chains:
            return None
        try:
            begun = await self._library.call("POST /conversations", self._api.conversations.create)
        except NotFound:
            self._chains = True
            return None
        return begun.id

    async def _said(self, message: Message) -> list[ResponseInputItemParam]:
        return [{"role": "user", "content": await self._content(message)}]

    async def _content(self, message: Message) -> list[ResponseInputContentParam]:
        content: list[ResponseInputContentParam] = [{"type": "input_text", "text": scrub(message.text)}]
        for attachment in message.attachments:
            content.append(await self._uploaded(attachment) or _inlined(attachment))
        return content

    async def _uploaded(self, attachment: Attachment) -> ResponseInputContentParam | None:
        """The file as the server keeps it; None where it keeps none."""
        if self._inlines:
            return None
        image = is_image(attachment)

        async def send() -> str:
            with opened(attachment) as content:
                file = safe_name(attachment.name), content, attachment.media_type
                uploaded = await self._api.files.create(file=file, purpose="vision" if image else "user_data")
                return uploaded.id

        try:
            file_id = await self._library.call("POST /files", send)
        except NotFound:
            self._inlines = True
            return None
        if image:
            return {"type": "input_image", "file_id": file_id, "detail": "auto"}
        return {"type": "input_file", "file_id": file_id}

    def _question(
        self, conversation: str | None, said: list[ResponseInputItemParam], person: Person | None
    ) -> dict[str, Any]:
        question: dict[str, Any] = {
            "model": self._settings.model,
            "input": said,
            "store": True,
            "truncation": "auto",
        }
        settings = self._settings
        wanted = {
            "background": settings.background,
            "instructions": settings.instructions,
            "tools": [*(_TOOLS[tool] for tool in settings.tools), *map(_as_tool, settings.mcp)],
            "reasoning": _reasoning(settings.effort, summarizes=self._summarizes),
            "max_output_tokens": settings.max_tokens,
            "safety_identifier": pseudonym(person) if person and self._names else None,
            "metadata": as_pairs(person) if self._names else None,
            "extra_headers": as_headers(person),
        }
        question |= {name: value for name, value in wanted.items() if value}
        if settings.temperature is not None:
            question["temperature"] = settings.temperature
        if conversation and is_chain(conversation):
            question["previous_response_id"] = conversation
        elif conversation:
            question["conversation"] = conversation
        return question

    def _send(self, question: dict[str, Any]) -> AbstractAsyncContextManager[Any]:
        return self._api.responses.with_streaming_response.create(
            **question, stream=True, timeout=http.STREAM_TIMEOUT
        )

    # --- the answer

    async def _asked(self, reader: Reader, question: dict[str, Any]) -> AsyncGenerator[Event]:
        """Ask, and read the answer as far as its first stream goes."""
        try:
            async with aclosing(self._streamed(reader, _ASK, lambda: self._send(question), once=True)) as events:
                async for event in events:
                    yield event
        except ProtocolError:
            if reader.response_id is None:
                raise
        except Rejected as error:
            if (fewer := self._without(question, error)) is None:
                raise
            async with aclosing(self._asked(reader, fewer)) as events:
                async for event in events:
                    yield event
            return
        if reader.response_id is None:
            raise Uncertain(f"openai {_ASK}: broke off before the response had an id")

    def _without(self, question: dict[str, Any], error: Rejected) -> dict[str, Any] | None:
        """The question without what the server refused, and refuses from now on; None where it is something else."""
        if "summary" in question.get("reasoning", {}) and refuses_summary(error):
            self._summarizes = False
            return question | {"reasoning": _reasoning(self._settings.effort, summarizes=False)}
        if question.keys() & _PERSON_FIELDS and refuses_person(error):
            self._names = False
            return {name: value for name, value in question.items() if name not in _PERSON_FIELDS}
        return None

    async def _streamed(self, reader: Reader, what: str, send: Send, *, once: bool) -> AsyncGenerator[Event]:
        """The events of one stream. Ends where the stream does, however that was."""
        async with AsyncExitStack() as stack:
            stream = await open_stream(stack, self._library, what, send, once=once)
            with suppress(Unavailable, TimedOut):
                if stream.is_json:  # a server that can't stream
                    for event in reader.look(await stream.json()):
                        yield event
                    return
                async for sent in stream:
                    if sent.data.strip() == "[DONE]":
                        break
                    for event in reader.feed(parse(sent.data)):
                        yield event
                    if reader.final:
                        break
                await stream.finish()

    async def _followed(self, reader: Reader) -> AsyncGenerator[Event]:
        """What is still to come of an answer, until it is over: from new streams, else by polling."""
        response_id = str(reader.response_id)
        streams, idle = self._settings.background, 0
        pauses = poll(deadline=None if streams else ABANDONED)
        while reader.final is None:
            try:
                await anext(pauses)
            except TimedOut:
                raise Uncertain("openai: an answer whose stream broke doesn't get on", sentence=NOT_KEPT) from None
            with pauses:
                if not streams:
                    for event in await self._look(reader):
                        yield event
                    continue
                before = reader.sequence
                try:
                    rejoin = partial(self._rejoin, response_id, before)
                    async with aclosing(self._streamed(reader, _REJOIN, rejoin, once=False)) as events:
                        async for event in events:
                            yield event
                except (Rejected, NotFound, ProtocolError):  # can't be streamed (any more)
                    streams = False
                idle = idle + 1 if reader.sequence == before else 0
                streams = streams and idle < MAX_REJOINS

    def _rejoin(self, response_id: str, after: int | None) -> AbstractAsyncContextManager[Any]:
        since: dict[str, Any] = {} if after is None else {"starting_after": after}
        return self._api.responses.with_streaming_response.retrieve(
            response_id, stream=True, timeout=http.STREAM_TIMEOUT, **since
        )

    async def _look(self, reader: Reader) -> list[Event]:
        response_id = str(reader.response_id)
        try:
            response = await self._library.call(
                "GET /responses/…", lambda: self._api.responses.retrieve(response_id)
            )
        except NotFound as error:
            raise Uncertain(str(error), sentence=NOT_KEPT) from error
        return list(reader.look(response))

    # --- what the server keeps

    async def _items(self, conversation: str) -> list[Any]:
        """The items of a conversation, oldest first."""

        async def read() -> list[Any]:
            items: list[Any] = []
            async for item in self._api.conversations.items.list(conversation, order="asc", limit=PAGE):
                items.append(item)
                if len(items) == MAX_ITEMS:
                    break
            return items

        return await self._library.call("GET /conversations/…/items", read)

    async def _chain(self, last: str) -> list[Response]:
        """The responses that lead to this one, oldest first."""
        chain: list[Response] = []
        response_id: str | None = last
        while response_id and len(chain) < MAX_CHAIN:
            response = await self._library.call(
                "GET /responses/…", partial(self._api.responses.retrieve, response_id)
            )
            chain.append(response)
            response_id = response.previous_response_id
        return chain[::-1]

    async def _question_of(self, response_id: str) -> list[Row]:
        """The question of one response: the last thing that a person said before it."""

        async def read() -> list[Row]:
            async for item in self._api.responses.input_items.list(response_id, order="desc", limit=PAGE):
                if item.type == "mcp_approval_response":
                    break
                if item.type == "message" and item.role == "user":
                    return [Row("person", text_of([item]))]
            return []

        return await self._library.call("GET /responses/…/input_items", read)

    async def _container_file(self, container: str, file: str) -> AsyncGenerator[bytes]:
        async with AsyncExitStack() as stack:
            content = self._api.containers.files.content.with_streaming_response
            response = await self._library.call(
                "GET /containers/…/content",
                lambda: stack.enter_async_context(content.retrieve(file, container_id=container)),
            )
            read = 0
            try:
                async for chunk in response.http_response.aiter_bytes(http.CHUNK):
                    read += len(chunk)
                    if read > http.MAX_DOWNLOAD:
                        raise Rejected("openai: a file that is too large", sentence=FILE_TOO_LARGE)
                    yield chunk
            except httpx.HTTPError as error:
                raise Unavailable(f"openai GET /containers/…/content: {type(error).__name__}") from error

    async def _image(self, retrieve: Callable[[], Any]) -> bytes:
        return _bytes_of(await self._library.call("GET /conversations/…/items/…", retrieve))


class BackgroundResponses(Responses):
    """Its answers go on while nobody listens, and can be stopped. Any other stops when its stream is closed."""

    async def cancel(self, conversation: str, checkpoint: Checkpoint) -> None:  # noqa: ARG002
        if response := checkpoint.data.get("response"):
            with suppress(Rejected, NotFound):  # it is over
                await self._library.call(
                    "POST /responses/…/cancel", lambda: self._api.responses.cancel(str(response))
                )


def _as_tool(server: McpServer) -> dict[str, Any]:
    tool = {
        "type": "mcp",
        "server_label": server.label,
        "server_url": server.url,
        "require_approval": "always" if server.approval else "never",
    }
    return tool | ({"authorization": server.token.get_secret_value()} if server.token else {})


def _reasoning(effort: str | None, *, summarizes: bool) -> dict[str, Any] | None:
    return {"effort": effort} | ({"summary": "auto"} if summarizes else {}) if effort else None


def _inlined(attachment: Attachment) -> ResponseInputContentParam:
    if is_image(attachment):
        return {"type": "input_image", "image_url": as_data_url(attachment), "detail": "auto"}
    if is_text(attachment):
        return {"type": "input_text", "text": as_text(attachment)}
    return {"type": "input_file", "filename": safe_name(attachment.name), "file_data": as_data_url(attachment)}


def _bytes_of(image: Any) -> bytes:
    if image is None or image.type != "image_generation_call" or not image.result:
        raise NotFound("openai: no such image")
    try:
        return base64.b64decode(image.result)
    except binascii.Error as error:
        raise ProtocolError("openai: an image that isn't base64") from error
