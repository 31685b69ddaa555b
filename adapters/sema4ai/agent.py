"""Sema4.ai Agent API v2: streamed or synchronous answers, files in and out, data frames.

Neither a stream nor a file that the agent made is announced as finished: the conversation's messages have the
last word, and files and frames are what is there after a turn and wasn't before. What was there before goes into
the checkpoint, so that a turn that is taken up after a crash still tells new from old.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import structlog

from adapters.base import (
    MAX_TABLE_ROWS,
    AgentError,
    AuthenticationFailed,
    Checkpoint,
    Done,
    Event,
    File,
    KeyedSettings,
    Message,
    NotFound,
    ProtocolError,
    Rejected,
    Row,
    Scalar,
    Table,
    Text,
    TimedOut,
    Uncertain,
)
from adapters.http.failures import NOT_TAKEN, ServerFailed
from adapters.http.outgoing import words
from adapters.http.polling import poll, settling
from adapters.http.service import ANSWER_TIMEOUT, Service, Stream, segment
from adapters.http.wire import parsed
from adapters.sema4ai.text import Deltas
from adapters.sema4ai.wire import (
    AgentEntry,
    ConversationEntry,
    FileEntry,
    FrameEntry,
    Item,
    Page,
    answer_in,
    next_page,
    rows_in,
)
from adapters.sentences import FAILED, NO_FILE
from adapters.text import ThinkFilter, one_line, safe_name

MAX_PAGES = 200  # of one list
MAX_TITLE = 60  # characters of a conversation's name
MAX_REMEMBERED = 400  # files and frames that a checkpoint can hold: 7 characters each, under 4 KB together
TABLE_PAGE = 1_000  # rows of a data frame in one call
STEADY = 5.0  # seconds for which the last message must stay as it is to count as finished; no status tells

_log = structlog.get_logger()
T = TypeVar("T")
U = TypeVar("U")


class Sema4aiSettings(KeyedSettings):
    """`base_url` is `https://{host}/tenants/{tenant}/api/v2`."""

    agent_id: str  # the agent's id or its name
    stream: bool = True  # False: each answer comes in one piece


class Sema4ai:
    """An agent of Sema4.ai. Can list, fetch and make files and tables, tell the history, list and delete."""

    Settings = Sema4aiSettings

    def __init__(self, settings: Sema4aiSettings, client: httpx.AsyncClient) -> None:
        key = settings.api_key.get_secret_value().strip()
        self._service = Service(
            client,
            settings.base_url,
            name="sema4ai",
            headers={"Authorization": _authorization(settings.base_url, key)},
            secret=settings.api_key,
        )
        self._agent = settings.agent_id.strip()
        self._agent_known = _is_uuid(self._agent)
        self._stream = settings.stream

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        """Work on one turn."""
        conversation = (resume and resume.conversation) or conversation
        thread = await self._thread(conversation) if conversation else None
        before = _Before.remembered(resume) if resume else None
        shown = _Shown()
        if thread is None or before is None:
            yield Checkpoint(conversation)
            new = thread is None and not message.attachments
            if thread is None:
                thread = await self._create(message)
                yield Checkpoint(thread.id)
            if message.attachments:
                await self._service.upload(f"{thread.path}/files", message.attachments, field="files")
            before = _Before() if new else await self._before(thread)
            yield Checkpoint(thread.id, before.data())
            async for event in self._ask(thread, words(message), before, shown):
                yield event
        elif not before.asked and not await self._arrived(thread, before):
            raise Uncertain("sema4ai: no sign of the question")
        text = await self._final(thread, before, shown)
        if not shown.text and text:
            yield Text(text)
        async for made in self._made(thread, before):
            yield made
        yield Done(text=text if shown.text and shown.text != text else None)

    async def files(self, conversation: str) -> Sequence[File]:
        """All files of the conversation, the person's too."""
        return [item.as_file() for item in await self._files(await self._thread(conversation))]

    async def download(self, conversation: str, ref: str) -> AsyncIterator[bytes]:
        thread = await self._thread(conversation)
        try:
            async for chunk in self._service.download(f"{thread.path}/files/download/", params={"file_ref": ref}):
                yield chunk
        except NotFound as error:
            raise NotFound(str(error), sentence=NO_FILE) from error

    async def history(self, conversation: str) -> Sequence[Row]:
        """What was said; of the agent's messages in a turn the last, which is its answer."""
        told: list[Row] = []
        for item in await self._messages(await self._thread(conversation)):
            row = Row("agent" if item.role == "agent" else "person", item.text)
            if row.role == "agent" and told and told[-1].role == "agent":
                told[-1] = row
            else:
                told.append(row)
        return told

    async def conversations(self) -> Sequence[str]:
        """In the service's own order."""
        items = await self._list(await self._base())
        return [parsed(ConversationEntry, item, "sema4ai conversations").id for item in items]

    async def delete(self, conversation: str) -> None:
        thread = await self._thread(conversation)
        await self._service.request("DELETE", thread.path, accept={404})

    # --- the question

    async def _ask(self, thread: _Thread, text: str, before: _Before, shown: _Shown) -> AsyncIterator[Event]:
        """Send the question and show what is streamed. Ends also where the stream broke off: the messages have the
        rest. Raises only what means that the question was not taken, or that nobody can tell."""
        asked = Checkpoint(thread.id, replace(before, asked=True).data())
        try:
            if self._stream:
                async with self._service.stream(f"{thread.path}/stream", {"content": text}) as stream:
                    yield asked
                    if stream.is_json:
                        shown.answer = answer_in(await stream.json())
                    else:
                        async for event in self._streamed(stream, shown):
                            yield event
            else:
                path = f"{thread.path}/messages"
                whole = await self._service.post_json(path, {"content": text}, timeout=ANSWER_TIMEOUT)
                shown.answer = answer_in(whole)
                yield asked
            shown.ended = True
        except ServerFailed as error:
            if await self._found(thread, before):
                raise Rejected(str(error), sentence=FAILED) from error
            raise
        except (Uncertain, ProtocolError) as error:
            if not shown.opened and not await self._found(thread, before):
                raise
            _log.warning("answer taken from the messages", reason=str(error))
        except (*NOT_TAKEN, TimedOut) as error:
            if not shown.opened:
                yield Checkpoint(thread.id)
                raise
            _log.warning("answer taken from the messages", reason=str(error))

    async def _streamed(self, stream: Stream, shown: _Shown) -> AsyncIterator[Event]:
        shown.opened = True
        deltas, thoughts = Deltas(), ThinkFilter()
        async for event in stream:
            if event.event == "error":
                shown.failed = True
                continue
            text = thoughts.feed(deltas.feed(event.data))
            if text:
                shown.text += text
                yield Text(text)
        rest = thoughts.end()
        if rest:
            shown.text += rest
            yield Text(rest)

    async def _found(self, thread: _Thread, before: _Before) -> bool:
        """`_arrived`, where it is no matter why that can't be told."""
        try:
            return await self._arrived(thread, before)
        except AgentError:
            return False

    async def _arrived(self, thread: _Thread, before: _Before) -> bool:
        """Whether the conversation has a question that it didn't have before."""
        try:
            async for look in settling():
                with look:
                    items = await self._messages(thread)
                    if any(item.role != "agent" for item in items[before.messages :]):
                        return True
        except TimedOut:
            pass
        return False

    # --- the answer

    async def _final(self, thread: _Thread, before: _Before, shown: _Shown) -> str:
        """The agent's last message of this turn. A stream that ended well needs only a look, else the message must
        stay as it is for a while, as nothing else tells that it is finished."""
        if shown.answer is not None:
            return shown.answer
        if shown.ended:
            return await self._after_stream(thread, before, shown)
        seen, since = "", time.monotonic()
        async for look in poll():
            with look:
                answer = await self._answer(thread, before)
                if answer != seen:
                    seen, since = answer, time.monotonic()
                elif seen and time.monotonic() - since >= STEADY:
                    break
        return seen

    async def _after_stream(self, thread: _Thread, before: _Before, shown: _Shown) -> str:
        try:
            async for look in settling():
                with look:
                    answer = await self._answer(thread, before)
                    if answer:
                        return answer
                    if shown.failed:
                        raise Rejected("sema4ai: the stream reported an error", sentence=FAILED)
        except TimedOut:
            pass
        if not shown.text:
            raise ProtocolError("sema4ai: the stream ended and there is no answer")
        return shown.text

    async def _answer(self, thread: _Thread, before: _Before) -> str:
        items = (await self._messages(thread))[before.messages :]
        asked = [n for n, item in enumerate(items) if item.role != "agent"]
        return items[-1].text if asked and items[-1].role == "agent" else ""

    # --- files and data frames

    async def _made(self, thread: _Thread, before: _Before) -> AsyncIterator[Event]:
        """What is there and wasn't before. Nothing where there was too much before to remember."""
        if before.marks is None:
            return
        files, frames = await _both(self._files(thread), self._frames(thread))
        for frame in frames:
            if frame.mark not in before.marks:
                yield await self._table(thread, frame)
        for item in files:
            if item.mark not in before.marks:
                yield item.as_file()

    async def _table(self, thread: _Thread, frame: FrameEntry) -> Table:
        columns: tuple[str, ...] = frame.columns
        rows: list[tuple[Scalar, ...]] = []
        while len(rows) < MAX_TABLE_ROWS:
            asked = {"offset": len(rows), "limit": TABLE_PAGE, "output_format": "json"}
            path = f"{thread.path}/data-frames/{segment(frame.name)}"
            columns, page = rows_in(await self._service.get_json(path, params=asked), columns)
            rows += page
            if len(page) < TABLE_PAGE:
                break
        rows = rows[:MAX_TABLE_ROWS]
        return Table(safe_name(frame.name, "table"), columns, tuple(rows), truncated=len(rows) == MAX_TABLE_ROWS)

    async def _before(self, thread: _Thread) -> _Before:
        messages, (files, frames) = await _both(
            self._messages(thread), _both(self._files(thread), self._frames(thread))
        )
        marks = frozenset([file.mark for file in files] + [frame.mark for frame in frames])
        return _Before(len(messages), marks if len(marks) <= MAX_REMEMBERED else None)

    async def _files(self, thread: _Thread) -> list[FileEntry]:
        return [parsed(FileEntry, item, "sema4ai files") for item in await self._list(f"{thread.path}/files")]

    async def _frames(self, thread: _Thread) -> list[FrameEntry]:
        try:
            items = await self._list(f"{thread.path}/data-frames", num_samples=0)
        except (NotFound, Rejected):  # not every tenant has them
            return []
        return [parsed(FrameEntry, item, "sema4ai data-frames") for item in items]

    # --- conversations, messages, lists

    async def _create(self, message: Message) -> _Thread:
        base = await self._base()
        name = one_line(message.text, MAX_TITLE) or "Files"
        made = parsed(
            ConversationEntry, await self._service.post_json(base, {"name": name}, once=False), "sema4ai"
        )
        return _Thread(made.id, f"{base}/{segment(made.id)}")

    async def _thread(self, conversation: str) -> _Thread:
        return _Thread(conversation, f"{await self._base()}/{segment(conversation)}")

    async def _base(self) -> str:
        if not self._agent_known:
            self._agent = await self._agent_named(self._agent)
            self._agent_known = True
        return f"/agents/{segment(self._agent)}/conversations"

    async def _agent_named(self, wanted: str) -> str:
        """The id of the agent that is called so; what isn't listed is taken for an id."""
        try:
            listed = [parsed(AgentEntry, item, "sema4ai agents") for item in await self._list("/agents")]
        except (AuthenticationFailed, NotFound, Rejected):  # not every key may list
            return wanted
        named = [agent.id for agent in listed if agent.name.casefold() == wanted.casefold()]
        return named[0] if named and wanted not in {agent.id for agent in listed} else wanted

    async def _messages(self, thread: _Thread) -> list[Item]:
        return [parsed(Item, item, "sema4ai messages") for item in await self._list(f"{thread.path}/messages")]

    async def _list(self, path: str, **params: str | int) -> list[Any]:
        """A whole list, page by page."""
        items: list[Any] = []
        asked: dict[str, Any] = dict(params)
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            value = await self._service.get_json(path, params=asked)
            if isinstance(value, list):
                return items + value
            page = parsed(Page, value, f"sema4ai {path.rpartition('/')[2]}")
            items += page.data
            if not page.next or page.next in seen or page.has_more is False:
                return items
            seen.add(page.next)
            asked = {**params, **next_page(page.next)}
        raise ProtocolError(f"sema4ai: a list of more than {MAX_PAGES} pages")


@dataclass(frozen=True, slots=True)
class _Thread:
    id: str
    path: str


@dataclass(frozen=True, slots=True)
class _Before:
    """What the conversation held when the question was about to be asked. `marks` None: too much to remember."""

    messages: int = 0
    marks: frozenset[str] | None = frozenset()
    asked: bool = False  # it has arrived since

    def data(self) -> dict[str, Scalar]:
        marks = None if self.marks is None else " ".join(sorted(self.marks))
        return {"messages": self.messages, "marks": marks, "asked": self.asked}

    @classmethod
    def remembered(cls, checkpoint: Checkpoint) -> _Before | None:
        messages, marks = checkpoint.data.get("messages"), checkpoint.data.get("marks")
        if not isinstance(messages, int):
            return None
        known = frozenset(marks.split()) if isinstance(marks, str) else None
        return cls(messages, known, bool(checkpoint.data.get("asked")))


@dataclass(slots=True)
class _Shown:
    """How far an answer has come."""

    text: str = ""
    answer: str | None = None  # the whole answer, where it came in one piece
    opened: bool = False  # the stream began, so the question arrived
    ended: bool = False  # the stream ended as it should
    failed: bool = False  # the stream told of an error


def _authorization(base_url: str, key: str) -> str:
    host = (urlsplit(base_url).hostname or "").lower()
    snowflake = "snowflakecomputing" in host.split(".")
    return f'Snowflake Token="{key}"' if snowflake else f"Bearer {key}"


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


async def _both(one: Coroutine[Any, Any, T], two: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Two requests at once; the first error is that of both."""
    try:
        async with asyncio.TaskGroup() as group:
            first, second = group.create_task(one), group.create_task(two)
    except ExceptionGroup as errors:
        raise errors.exceptions[0]  # noqa: B904 - it has a cause of its own
    return first.result(), second.result()
