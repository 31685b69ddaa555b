"""Agent2Agent: any agent that publishes an agent card, by JSON-RPC or HTTP+JSON, protocol 1.0 or 0.3.

A conversation is a context, a turn a task. The id of the turn is that of the message, so that an agent which looks
at it takes a repeated message once; ours asks it for its tasks instead, to find out whether a message arrived.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import TypeVar, cast
from urllib.parse import unquote

import httpx
from a2a.client import A2ACardResolver, ClientCallContext
from a2a.client.base_client import BaseClient
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Part,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
)
from a2a.types import Message as A2AMessage
from pydantic import Field, SecretStr

from adapters.a2a.client import connect, interface_of, is_old, reason
from adapters.a2a.extension import EXTENSION, HEADER, decided
from adapters.a2a.reader import MAX_LABEL, Reader, files_in, said_in, text_of
from adapters.base import (
    AgentError,
    AgentSettings,
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
from adapters.http.addresses import origin
from adapters.http.failures import NOT_TAKEN
from adapters.http.library import Library
from adapters.http.outgoing import inline, too_large_inline
from adapters.http.polling import poll
from adapters.http.secret import Headers
from adapters.person import as_headers, as_object
from adapters.sentences import MISCONFIGURED
from adapters.text import one_line, safe_name, scrub

MAX_REJOINS = 5  # in a row that bring no update, then the task is polled
PAGE, MAX_PAGES = 50, 20  # tasks that are read of one context

STANDING = 20.0  # seconds that a task may still ask what was answered, where no stream tells that it is done

METADATA = "threadbridge_person"  # of a message: who asks

_NO_TASK = "threadbridge-check"
_OLD_CARD = "/.well-known/agent.json"
_VERSION = "1.0"


T = TypeVar("T")


class A2ASettings(AgentSettings):
    base_url: str = Field(description="Where the agent's card is, or the whole address of a card.")
    api_key: SecretStr | None = Field(default=None, description="The key that it takes, where it wants one.")
    header: str = Field(
        default="Authorization",
        description="The header that carries the key: `Authorization` gets `Bearer KEY`, any other the key alone.",
    )
    endpoint: str | None = Field(default=None, description="Instead of the address in the card.")
    file_origins: tuple[str, ...] = Field(
        default=(),
        description='Where files may lie besides the agent\'s own origin, as in `["https://files.example.com"]`.',
    )


class A2A:
    """In a checkpoint `step` is "begun", "asked" while nobody can tell whether the message arrived (`message` is
    its id), "task" or "waiting"; `task` is the task's id and `seen` the number of its artifacts that earlier turns
    have shown."""

    Settings = A2ASettings

    def __init__(self, settings: A2ASettings, client: httpx.AsyncClient) -> None:
        self._settings = settings
        self._http = client
        self._home = (settings.base_url, *filter(None, (settings.endpoint,)))
        self._library = Library("a2a", settings.api_key, reason, home=self._home)
        self._connecting = asyncio.Lock()
        self._connected: tuple[BaseClient, AgentCard] | None = None
        self._headers = Headers()  # of every request to the agent

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        data = resume.data if resume else {}
        conversation = (resume.conversation if resume else None) or conversation
        task_id = cast("str | None", data.get("task"))
        step, seen = data.get("step"), data.get("seen")
        answered = str(data.get("answered") or "")
        if step == "waiting" and data.get("asked") == message.id:
            step, seen = "task", data.get("before")
        elif step == "waiting":
            answered = str(data.get("question") or "")
        reader = Reader(
            conversation,
            task_id,
            asked=message.id,
            seen=int(seen or 0),
            answered=answered,
            trusts=self._trusts,
        )
        match step:
            case "asked":
                for event in reader.look(await self._found(reader, str(data.get("message")))):
                    yield event
            case "task":
                for event in reader.look(await _patiently(lambda: self._task(str(task_id)))):
                    yield event
            case _:
                async with aclosing(self._asked(reader, message)) as events:
                    async for event in events:
                        yield event
        async with aclosing(self._followed(reader)) as events:
            async for event in events:
                yield event
        for event in reader.rest():
            yield event

    def accepts(self, name: str, media_type: str, size: int) -> str:  # noqa: ARG002 - the card tells no more
        """A file travels inside a message."""
        return too_large_inline(size)

    async def check(self) -> str:
        _, card = await self._client()
        interface = interface_of(card)
        with suppress(NotFound, Rejected):  # no such task, as it should be; a wrong key is refused otherwise
            await self._task(_NO_TASK)
        way = "streamed" if card.capabilities.streaming else "polled"
        spoken = f"A2A {interface.protocol_version} by {interface.protocol_binding}"
        return f"card of {one_line(card.name, MAX_LABEL)!r}: {spoken}, {way}"

    async def cancel(self, conversation: str, checkpoint: Checkpoint) -> None:  # noqa: ARG002
        if task_id := checkpoint.data.get("task"):
            client, _ = await self._client()
            request = CancelTaskRequest(id=str(task_id))
            with suppress(Rejected, NotFound):  # it is over
                await self._library.call(
                    "CancelTask", lambda: client.cancel_task(request, context=self._context())
                )

    async def files(self, conversation: str) -> Sequence[File]:
        tasks = await self._tasks(conversation)
        made = [found for task in tasks for artifact in task.artifacts for found in files_in(task.id, artifact)]
        return [file for file, url in made if not url or self._trusts(url)]

    async def download(self, conversation: str, ref: str) -> AsyncIterator[bytes]:  # noqa: ARG002
        part = await self._part(ref)
        if part.WhichOneof("content") == "raw":
            yield part.raw
            return
        if not self._trusts(part.url):
            raise Rejected(f"a2a: a file at {origin(part.url)}", sentence="The agent's file lies somewhere else.")
        url = httpx.URL(part.url)
        service = http.Service(
            self._http,
            origin(url),
            name="a2a file",
            headers=self._credentials() if origin(url) == origin(self._settings.base_url) else {},
            secret=self._settings.api_key,
            file_origins=self._settings.file_origins,
            home=self._home,
        )
        async with aclosing(cast("AsyncGenerator[bytes]", service.download(url.raw_path.decode()))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def history(self, conversation: str) -> Sequence[Row]:
        rows: list[Row] = []
        for task in await self._tasks(conversation):
            rows += [Row("person", text_of(said.parts)) for said in task.history if said.role == Role.ROLE_USER]
            if answer := said_in(task):
                rows.append(Row("agent", answer))
        return rows

    async def conversations(self) -> Sequence[str]:
        newest_first = reversed(await self._tasks(None))
        return list(dict.fromkeys(task.context_id for task in newest_first))

    # --- the message

    async def _asked(self, reader: Reader, message: Message) -> AsyncGenerator[Event]:
        """Send the message, and read the answer as far as the first stream goes."""
        data = {"task": reader.task_id, "seen": reader.seen, "answered": reader.answered}
        begun = Checkpoint(reader.conversation, {"step": "begun", **data})
        yield begun
        client, card = await self._client()
        request = _request(reader, message)
        yield Checkpoint(reader.conversation, {"step": "asked", "message": request.message.message_id, **data})
        timeout = None if card.capabilities.streaming else http.ANSWER_TIMEOUT
        context = self._context(timeout, message.person)
        try:
            async with aclosing(
                self._streamed(
                    reader, "SendMessage", lambda: client.send_message(request, context=context), once=True
                )
            ) as events:
                async for event in events:
                    yield event
        except NOT_TAKEN:
            yield begun
            raise
        except NotFound as error:
            if reader.conversation is None:
                raise NotFound(str(error), sentence=MISCONFIGURED) from error
            raise
        if reader.task_id is None and not reader.is_over():
            raise Uncertain("a2a SendMessage: broke off before the task had an id")

    async def _found(self, reader: Reader, message_id: str) -> Task:
        """The task that the message began or went on with, if it arrived. Raises `Uncertain`."""

        async def kept() -> list[Task]:
            known = reader.task_id
            return [await self._task(known)] if known else await self._tasks(reader.conversation)

        try:
            tasks = await _patiently(kept)
        except (Rejected, NotFound, ProtocolError) as error:
            raise Uncertain(f"a2a: the agent doesn't list its tasks: {error}") from error
        for task in tasks:
            told = [*task.history, task.status.message]
            if any(said.message_id == message_id for said in told):
                return task
        raise Uncertain("a2a: no task of the agent knows of the message")

    # --- the answer

    async def _streamed(
        self,
        reader: Reader,
        what: str,
        send: Callable[[], AsyncIterator[StreamResponse]],
        *,
        once: bool,
    ) -> AsyncGenerator[Event]:
        """The updates of one stream. Ends where the stream does, however that was."""

        async def begin() -> tuple[AsyncGenerator[StreamResponse], StreamResponse | None]:
            updates = cast("AsyncGenerator[StreamResponse]", send())
            return updates, await anext(updates, None)

        _, card = await self._client()
        updates, first = await self._begun(what, begin, once=once)
        async with aclosing(updates):
            if first is not None:
                for event in reader.feed(first):
                    yield event
            while not reader.is_over():
                try:
                    update = await anext(updates)
                except StopAsyncIteration:
                    reader.ended = card.capabilities.streaming  # else it was a single answer
                    return
                except Exception as error:
                    broken = self._library.error(what, error, once=once)
                    if isinstance(broken, Uncertain | Unavailable | TimedOut | ProtocolError) and reader.task_id:
                        return
                    raise broken from error
                for event in reader.feed(update):
                    yield event
            with suppress(Exception):  # what little may follow, so that the connection can be used again
                async with asyncio.timeout(http.LINGER):
                    await anext(updates)

    async def _begun(self, what: str, begin: Callable[[], Awaitable[T]], *, once: bool) -> T:
        if once:
            return await self._library.call(what, begin, once=True)
        try:
            return await self._library.once(begin)  # a single try: the task itself tells more than a second would
        except Exception as error:
            raise self._library.error(what, error, once=False) from error

    async def _followed(self, reader: Reader) -> AsyncGenerator[Event]:
        """What is still to come of a task, until it is over: from new streams, else by polling."""
        if reader.is_over():
            return
        client, card = await self._client()
        task_id = str(reader.task_id)
        request = SubscribeToTaskRequest(id=task_id)
        streams, idle = card.capabilities.streaming, 0
        standing_until = time.monotonic() + STANDING

        def rejoin() -> AsyncIterator[StreamResponse]:
            return client.subscribe(request, context=self._context())

        async for look in poll():
            with look:
                if streams:
                    before = reader.updates
                    try:
                        async with aclosing(
                            self._streamed(reader, "SubscribeToTask", rejoin, once=False)
                        ) as events:
                            async for event in events:
                                yield event
                    except (Rejected, NotFound, ProtocolError):  # over by now, or the agent can't
                        streams = False
                    except AgentError:  # some servers break it off when the task is over: the task tells
                        pass
                    idle = idle + 1 if reader.updates == before else 0
                    streams = streams and idle < MAX_REJOINS
                # what came in two streams may have a seam: the task as it stands has the last word
                for event in reader.look(await self._task(task_id)):
                    yield event
                if reader.stands and (reader.ended or time.monotonic() > standing_until):
                    reader.ask_again()
                if reader.is_over():
                    return

    # --- what the agent keeps

    async def _task(self, task_id: str) -> Task:
        client, _ = await self._client()
        request = GetTaskRequest(id=task_id)
        task = await self._library.call("GetTask", lambda: client.get_task(request, context=self._context()))
        if not task.id:
            raise ProtocolError("a2a GetTask: an answer without a task")
        return task

    async def _tasks(self, conversation: str | None) -> list[Task]:
        """The tasks of a context, or all, oldest first."""
        client, _ = await self._client()
        tasks: list[Task] = []
        request = ListTasksRequest(context_id=conversation or "", page_size=PAGE, include_artifacts=True)
        for _page in range(MAX_PAGES):
            page = await self._library.call(
                "ListTasks", lambda: client.list_tasks(request, context=self._context())
            )
            tasks += page.tasks
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        return sorted(tasks, key=lambda task: task.status.timestamp.ToNanoseconds())

    async def _part(self, ref: str) -> Part:
        match [unquote(piece) for piece in ref.split("/")]:
            case [task_id, artifact_id, index] if index.isdecimal():
                task = await self._task(task_id)
                for artifact in task.artifacts:
                    if artifact.artifact_id == artifact_id and int(index) < len(artifact.parts):
                        part: Part = artifact.parts[int(index)]
                        return part
        raise NotFound(f"a2a: no file {ref!r}")

    # --- the connection

    async def _client(self) -> tuple[BaseClient, AgentCard]:
        async with self._connecting:
            if self._connected is None:
                card = await self._card()
                interface = interface_of(card)
                if self._settings.endpoint:
                    interface.url = self._settings.endpoint
                elif self._settings.api_key and origin(interface.url) != origin(self._settings.base_url):
                    raise ProtocolError("a2a: the agent card leads to another origin; `endpoint` would allow it")
                version = {} if is_old(interface) else {"A2A-Version": _VERSION}  # older clients add their own
                self._headers = Headers({**self._credentials(), **version})
                self._connected = connect(card, interface, self._http), card
            return self._connected

    async def _card(self) -> AgentCard:
        base_url = self._settings.base_url
        whole = base_url.endswith(".json")
        resolver = A2ACardResolver(self._http, base_url, "") if whole else A2ACardResolver(self._http, base_url)
        own = {"headers": self._credentials()}
        places = (None,) if whole else (None, _OLD_CARD)
        for place in places:
            get = partial(resolver.get_agent_card, place, http_kwargs=own)
            with suppress(NotFound):
                return await self._library.call("GET card", get)
        raise NotFound("a2a GET card: there is none at `base_url`", sentence=MISCONFIGURED)

    def _context(self, timeout: float | None = None, person: Person | None = None) -> ClientCallContext:
        headers = {**as_headers(person), HEADER: EXTENSION, **self._headers}
        return ClientCallContext(service_parameters=headers, timeout=timeout)

    def _credentials(self) -> dict[str, str]:
        if self._settings.api_key is None:
            return {}
        key = self._settings.api_key.get_secret_value().strip()
        header = self._settings.header
        return {header: f"Bearer {key}" if header.lower() == "authorization" else key}

    def _trusts(self, url: str) -> bool:
        """Whether a file may be fetched from there: an agent that was talked into it could name any address that
        this machine reaches."""
        settings = self._settings
        own = {*self._home, *settings.file_origins}
        return origin(url) in map(origin, own)


async def _patiently(read: Callable[[], Awaitable[T]]) -> T:
    """What is read, over an outage and odd answers."""
    async for look in poll():
        with look:
            return await read()
    raise AssertionError("unreachable")


def _request(reader: Reader, message: Message) -> SendMessageRequest:
    said = A2AMessage(
        message_id=scrub(message.id),
        context_id=reader.conversation or "",
        task_id=reader.task_id or "",
        role=Role.ROLE_USER,
        parts=[Part(text=scrub(message.text)), *map(_as_part, message.attachments)],
    )
    if who := as_object(message.person):
        said.metadata.update({METADATA: who})
    if message.decision:
        said.metadata.update(decided(message.decision))
        said.extensions.append(EXTENSION)
    return SendMessageRequest(message=said)


def _as_part(attachment: Attachment) -> Part:
    return Part(raw=inline(attachment), filename=safe_name(attachment.name), media_type=attachment.media_type)
