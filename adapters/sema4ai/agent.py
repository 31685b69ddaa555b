"""Sema4.ai Agent API v2: streamed or synchronous answers, files in and out, data frames.

Neither a stream nor a file that the agent made is announced as finished: the conversation's messages have the
last word, and files and frames are what is there after a turn and wasn't before. What was there before goes into
the checkpoint, so that a turn that is taken up after a crash still tells new from old.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from httpx_sse import ServerSentEvent
from pydantic import Field

from adapters.base import (
    AgentError,
    Checkpoint,
    Done,
    Event,
    File,
    KeyedSettings,
    Message,
    NotFound,
    ProtocolError,
    Row,
    RunFailed,
    Step,
    StepState,
    Text,
    TimedOut,
    Uncertain,
)
from adapters.http.failures import NOT_TAKEN, ServerFailed
from adapters.http.outgoing import words
from adapters.http.polling import poll, settling
from adapters.http.service import ANSWER_TIMEOUT, Service
from adapters.sema4ai.charts import charts_in
from adapters.sema4ai.client import Before, Client, Made, Thread, both
from adapters.sema4ai.steps import Work
from adapters.sema4ai.text import Deltas
from adapters.sema4ai.wire import Item, answer_in, turn_in
from adapters.sentences import NO_FILE
from adapters.text import ThinkFilter, one_line

MAX_TITLE = 60  # characters of a conversation's name
MAX_KNOWN = 1_000  # conversations of which this process knows what they hold
LOOKUP = 60.0  # seconds to look for what was made, rows of tables and outages included
STEADY = 5  # looks, some 2.5 s, that a message must stay the same to count as finished; no status tells
STEADY_TOOLS = 12  # the same, some 16 s, where its last part is a tool's or a thought: more may follow

_log = structlog.get_logger()


class Sema4aiSettings(KeyedSettings):
    """`base_url` is `https://{host}/tenants/{tenant}/api/v2`."""

    base_url: str = Field(description="As in `https://HOST/tenants/TENANT/api/v2`.")
    agent_id: str = Field(description="The agent's id, or its name.")
    stream: bool = Field(default=True, description="Whether an answer grows word by word, or comes in one piece.")


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
        self._client = Client(self._service, settings.agent_id.strip())
        self._stream = settings.stream
        self._known: OrderedDict[str, Before] = OrderedDict()  # after the latest turn of each conversation

    async def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        """Work on one turn."""
        conversation = (resume and resume.conversation) or conversation
        thread = await self._client.thread(conversation) if conversation else None
        before = Before.remembered(resume) if resume else None
        shown = _Shown()
        if thread is None or before is None:
            yield Checkpoint(conversation)
            new = thread is None and not message.attachments
            if thread is None:
                thread = await self._client.create(one_line(message.text, MAX_TITLE) or "Files")
                yield Checkpoint(thread.id)
            if message.attachments:
                await self._service.upload(f"{thread.path}/files", message.attachments, field="files")
                self._known.pop(thread.id, None)
            before = Before() if new else await self._before(thread)
            yield Checkpoint(thread.id, before.data())
            async with aclosing(self._ask(thread, message, before, shown)) as events:
                async for event in events:
                    yield event
        elif not before.asked and not await self._arrived(thread, before):
            raise Uncertain("sema4ai: no sign of the question")
        looking = asyncio.create_task(self._made(thread, before)) if shown.ended else None
        try:
            if looking is None:
                async with aclosing(self._watch(thread, before, shown)) as news:
                    async for event in news:
                        yield event
                looking = asyncio.create_task(self._made(thread, before))
            text = await self._final(thread, before, shown)
            for step in (*shown.work.look(shown.items), *shown.work.end()):
                yield step
            if not shown.said and text:
                yield Text(text)
            made, new_ones = await looking
        except RunFailed:
            for step in shown.work.end(StepState.FAILED):
                yield step
            raise
        finally:
            if looking is not None:
                looking.cancel()
                await asyncio.wait({looking})
                if not looking.cancelled():
                    looking.exception()  # seen, so that nobody warns of it
        for chart in charts_in(shown.items):
            yield chart
        for one in new_ones:
            yield one
        self._remember(thread, made, shown)
        yield Done(text=text if shown.said and shown.text != text else None)

    async def check(self) -> str:
        return await self._client.check()

    async def files(self, conversation: str) -> Sequence[File]:
        """All files of the conversation, the person's too."""
        return [item.as_file() for item in await self._client.files(await self._client.thread(conversation))]

    async def download(self, conversation: str, ref: str) -> AsyncIterator[bytes]:
        thread = await self._client.thread(conversation)
        try:
            async for chunk in self._service.download(f"{thread.path}/files/download/", params={"file_ref": ref}):
                yield chunk
        except NotFound as error:
            raise NotFound(str(error), sentence=NO_FILE) from error

    async def history(self, conversation: str) -> Sequence[Row]:
        """What was said; of the agent's messages in a turn the last, which is its answer."""
        told: list[Row] = []
        for item in await self._client.messages(await self._client.thread(conversation)):
            if item.is_nobodys:
                continue
            row = Row("agent" if item.is_agents else "person", item.text)
            if row.role == "agent" and told and told[-1].role == "agent":
                told[-1] = row
            else:
                told.append(row)
        return told

    async def conversations(self) -> Sequence[str]:
        """In the service's own order."""
        return await self._client.conversations()

    async def delete(self, conversation: str) -> None:
        thread = await self._client.thread(conversation)
        await self._service.request("DELETE", thread.path, accept={404})
        self._known.pop(conversation, None)

    # --- the question

    async def _ask(
        self, thread: Thread, message: Message, before: Before, shown: _Shown
    ) -> AsyncGenerator[Event, None]:
        """Send the question and show what is streamed. Ends also where the stream broke off: the messages have the
        rest. Raises only what means that the question was not taken, or that nobody can tell."""
        asked = Checkpoint(thread.id, replace(before, asked=True).data())
        question = {"content": words(message)}
        try:
            if self._stream:
                path = f"{thread.path}/stream"
                async with self._service.stream(path, question, person=message.person) as stream:
                    yield asked
                    if stream.is_json:
                        shown.take(await stream.json())
                    else:
                        shown.opened = True
                        async for event in stream:
                            for step in shown.work.feed(event.data):
                                yield step
                            if text := shown.read(event):
                                yield Text(text)
                        if text := shown.rest():
                            yield Text(text)
            else:
                path = f"{thread.path}/messages"
                whole = await self._service.post_json(
                    path, question, timeout=ANSWER_TIMEOUT, person=message.person
                )
                shown.take(whole)
                yield asked
            shown.ended = True
        except ServerFailed as error:
            if await self._found(thread, before):
                raise RunFailed(str(error)) from error
            raise
        except (Uncertain, ProtocolError) as error:
            if not shown.opened and not await self._found(thread, before):
                raise
            _log.warning("answer taken from the messages", error=type(error).__name__, status=error.status)
        except (*NOT_TAKEN, TimedOut) as error:
            if not shown.opened:
                yield Checkpoint(thread.id)
                raise
            _log.warning("answer taken from the messages", error=type(error).__name__, status=error.status)

    async def _found(self, thread: Thread, before: Before) -> bool:
        """`_arrived`, where it is no matter why that can't be told."""
        try:
            return await self._arrived(thread, before)
        except AgentError:
            return False

    async def _arrived(self, thread: Thread, before: Before) -> bool:
        """Whether the conversation has a question that it didn't have before."""
        try:
            async for look in settling():
                with look:
                    if _asked(await self._turn(thread, before)):
                        return True
        except TimedOut:
            pass
        return False

    # --- the answer

    async def _watch(self, thread: Thread, before: Before, shown: _Shown) -> AsyncGenerator[Text | Step, None]:
        """Show what the messages hold while it grows. Ends with the whole `shown.answer`: the last of them, once
        nothing has changed for a while."""
        looks, seen, same = poll(), list[Item](), 0
        while same < (STEADY_TOOLS if seen and seen[-1].goes_on else STEADY):
            look = await anext(looks)
            grown = ""
            with look:
                items = await self._turn(thread, before)
                if items != seen:
                    seen, same, looks = items, 0, poll()
                    await anext(looks)  # that one comes at once
                elif shown.failed or _answer(items):
                    same += 1
                grown = shown.grown(items)
            for step in shown.work.look(seen):
                yield step
            if grown:
                shown.said.append(grown)
                yield Text(grown)
        shown.answer, shown.items = _answer(seen), seen
        if not shown.answer:
            raise RunFailed("sema4ai: the stream reported an error")

    async def _final(self, thread: Thread, before: Before, shown: _Shown) -> str:
        """The agent's last message of this turn. A stream that ended well needs only a look."""
        if shown.answer is not None:
            return shown.answer
        try:
            async for look in settling():
                with look:
                    items = await self._turn(thread, before, shown)
                    shown.items = items
                    if answer := _answer(items):
                        return answer
                    if shown.failed:
                        raise RunFailed("sema4ai: the stream reported an error")
        except TimedOut:
            pass
        if not shown.said:
            raise ProtocolError("sema4ai: the stream ended and there is no answer")
        return shown.text

    async def _turn(self, thread: Thread, before: Before, shown: _Shown | None = None) -> list[Item]:
        """The messages of this turn."""
        items = await self._client.messages(thread)
        if shown:
            shown.messages = len(items)
        return items[before.messages :]

    # --- files and data frames

    async def _made(self, thread: Thread, before: Before) -> tuple[Made | None, list[Event]]:
        """What is there, and the events of what wasn't before: nothing where there was too much to remember."""
        if before.marks is None:
            return None, []
        try:
            async with asyncio.timeout(LOOKUP):
                async for look in poll():
                    with look:
                        made = await self._client.made(thread)
                        frames = [frame for frame in made.frames if frame.mark not in before.marks]
                        files = [file.as_file() for file in made.files if file.mark not in before.marks]
                        return made, [*[await self._client.table(thread, frame) for frame in frames], *files]
        except TimeoutError as error:
            raise TimedOut(f"sema4ai: what was made couldn't be looked up in {LOOKUP:.0f} s") from error
        raise AssertionError("unreachable")

    # --- what a conversation holds before a question

    async def _before(self, thread: Thread) -> Before:
        """Looked up. What was made is known where no message has come since this process last looked; another one
        may have served a turn."""
        known = self._known.pop(thread.id, None)
        if known is None:
            messages, made = await both(self._client.messages(thread), self._client.made(thread))
            return Before(len(messages), made.marks)
        messages = await self._client.messages(thread)
        if len(messages) == known.messages:
            return known
        return Before(len(messages), (await self._client.made(thread)).marks)

    def _remember(self, thread: Thread, made: Made | None, shown: _Shown) -> None:
        if made and shown.messages is not None:
            self._known[thread.id] = Before(shown.messages, made.marks)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)


@dataclass(slots=True)
class _Shown:
    """How far an answer has come."""

    said: list[str] = field(default_factory=list)  # the texts that were yielded
    answer: str | None = None  # the whole answer, where it came in one piece
    items: Sequence[Item] = ()  # the messages of the turn, as far as they were looked at
    messages: int | None = None  # of the conversation, when they were last looked at
    opened: bool = False  # the stream began, so the question arrived
    ended: bool = False  # the stream ended as it should
    failed: bool = False  # the stream told of an error
    work: Work = field(default_factory=Work)
    _deltas: Deltas = field(default_factory=Deltas)
    _thoughts: ThinkFilter = field(default_factory=ThinkFilter)

    def take(self, whole: Any) -> None:
        """The answer came in one piece."""
        self.answer, self.items = answer_in(whole), turn_in(whole)

    def read(self, event: ServerSentEvent) -> str:
        """What an event of the stream adds."""
        if event.event == "error":
            self.failed = True
            return ""
        text = self._thoughts.feed(self._deltas.feed(event.data))
        if text:
            self.said.append(text)
        return text

    def rest(self) -> str:
        """What the end of the stream adds."""
        text = self._thoughts.end()
        if text:
            self.said.append(text)
        return text

    @property
    def text(self) -> str:
        return "".join(self.said)

    def grown(self, items: Sequence[Item]) -> str:
        """What the messages hold beyond what was shown; nothing where they say something else."""
        texts = [item.text for item in items if item.is_agents and item.text]
        shown = self.text
        for whole in ("\n\n".join(texts), *texts[-1:]):
            if whole.startswith(shown):
                return whole[len(shown) :]
        return ""


def _asked(items: Sequence[Item]) -> bool:
    return any(not item.is_agents and not item.is_nobodys for item in items)


def _answer(items: Sequence[Item]) -> str:
    """What the agent said last, if it was the last to say something."""
    return items[-1].text if _asked(items) and items[-1].is_agents else ""


def _authorization(base_url: str, key: str) -> str:
    host = (urlsplit(base_url).hostname or "").lower()
    snowflake = "snowflakecomputing" in host.split(".")
    return f'Snowflake Token="{key}"' if snowflake else f"Bearer {key}"
