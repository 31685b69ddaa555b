"""The requests to Sema4.ai, as values: conversations, messages, files, data frames."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from adapters.base import (
    MAX_TABLE_ROWS,
    AuthenticationFailed,
    Checkpoint,
    NotFound,
    ProtocolError,
    Rejected,
    Scalar,
    Table,
)
from adapters.http.entries import entries, readable
from adapters.http.service import Service, segment
from adapters.http.wire import parsed
from adapters.sema4ai.wire import (
    AgentEntry,
    ConversationEntry,
    FileEntry,
    FrameEntry,
    Item,
    Page,
    next_page,
    rows_in,
)
from adapters.sentences import MISCONFIGURED
from adapters.text import one_line, safe_name

MAX_PAGES = 200  # of one list
MAX_REMEMBERED = 400  # files and frames that a checkpoint can hold: 7 characters each, under 4 KB together
TABLE_PAGE = 1_000  # rows of a data frame in one call
NO_FRAMES_FOR = 3_600.0  # seconds for which a tenant that has no data frames isn't asked for them again

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation and where it is."""

    id: str
    path: str


@dataclass(frozen=True, slots=True)
class Before:
    """What the conversation held when the question was about to be asked. `marks` None: too much to remember."""

    messages: int = 0
    marks: frozenset[str] | None = frozenset()
    asked: bool = False  # it has arrived since

    def data(self) -> dict[str, Scalar]:
        marks = None if self.marks is None else " ".join(sorted(self.marks))
        return {"messages": self.messages, "marks": marks, "asked": self.asked}

    @classmethod
    def remembered(cls, checkpoint: Checkpoint) -> Before | None:
        messages, marks = checkpoint.data.get("messages"), checkpoint.data.get("marks")
        if not isinstance(messages, int):
            return None
        known = frozenset(marks.split()) if isinstance(marks, str) else None
        return cls(messages, known, bool(checkpoint.data.get("asked")))


@dataclass(frozen=True, slots=True)
class Made:
    """The files and frames of a conversation."""

    files: tuple[FileEntry, ...]
    frames: tuple[FrameEntry, ...]

    @property
    def marks(self) -> frozenset[str] | None:
        """What tells them from later ones; None for more than a checkpoint holds."""
        marks = frozenset([file.mark for file in self.files] + [frame.mark for frame in self.frames])
        return marks if len(marks) <= MAX_REMEMBERED else None


class Client:
    """`agent` is an id or a name; a name is looked up once."""

    def __init__(self, service: Service, agent: str) -> None:
        self._service = service
        self._agent = agent
        self._agent_known = _is_uuid(agent)
        self._no_frames_until = 0.0

    # --- agents and conversations

    async def base(self) -> str:
        if not self._agent_known:
            self._agent = await self._agent_named(self._agent)
            self._agent_known = True
        return f"/agents/{segment(self._agent)}/conversations"

    async def check(self) -> str:
        """One line on the key and the agent."""
        wanted = self._agent
        try:
            agents = await self.agents()
        except (AuthenticationFailed, NotFound, Rejected):  # not every key may list, and the agent tells as well
            agents = []
        listed = (
            ", ".join(one_line(agent.name or agent.id, 60) for agent in agents[:10]) or "none that it may list"
        )
        try:
            await self._service.get_json(await self.base())
        except NotFound as error:
            raise NotFound(f"sema4ai: there is no agent {wanted!r}, the key sees: {listed}") from error
        called = next((agent.name for agent in agents if agent.id == self._agent and agent.name), wanted)
        return f"key accepted; agent {one_line(called, 60)!r}"

    async def agents(self) -> list[AgentEntry]:
        return readable(AgentEntry, await self._list("/agents"), "sema4ai agents")

    async def create(self, name: str) -> Thread:
        base = await self.base()
        try:
            made = await self._service.post_json(base, {"name": name}, once=False)
        except NotFound as error:  # the agent, as there is no conversation yet
            raise NotFound(f"{error}: no such agent", sentence=MISCONFIGURED) from error
        entry = parsed(ConversationEntry, made, "sema4ai create")
        return Thread(entry.id, f"{base}/{segment(entry.id)}")

    async def thread(self, conversation: str) -> Thread:
        return Thread(conversation, f"{await self.base()}/{segment(conversation)}")

    async def conversations(self) -> list[str]:
        try:
            listed = await self._list(await self.base())
        except NotFound as error:
            raise NotFound(f"{error}: no such agent", sentence=MISCONFIGURED) from error
        return [entry.id for entry in readable(ConversationEntry, listed, "sema4ai conversations")]

    async def _agent_named(self, wanted: str) -> str:
        """The id of the agent that is called so; what isn't listed is taken for an id."""
        try:
            agents = await self.agents()
        except (AuthenticationFailed, NotFound, Rejected):  # not every key may list
            return wanted
        named = [agent.id for agent in agents if agent.name.casefold() == wanted.casefold()]
        return named[0] if named and wanted not in {agent.id for agent in agents} else wanted

    # --- what a conversation holds

    async def messages(self, thread: Thread) -> list[Item]:
        """All of them at their places; one that isn't understood is nobody's."""
        listed = entries(Item, await self._list(f"{thread.path}/messages"), "sema4ai messages")
        return [item or Item(role="") for item in listed]

    async def made(self, thread: Thread) -> Made:
        files, frames = await both(self.files(thread), self._frames(thread))
        return Made(tuple(files), tuple(frames))

    async def files(self, thread: Thread) -> list[FileEntry]:
        return readable(FileEntry, await self._list(f"{thread.path}/files"), "sema4ai files")

    async def _frames(self, thread: Thread) -> list[FrameEntry]:
        if time.monotonic() < self._no_frames_until:
            return []
        try:
            listed = await self._list(f"{thread.path}/data-frames", num_samples=0)
        except (NotFound, Rejected):  # not every tenant has them
            self._no_frames_until = time.monotonic() + NO_FRAMES_FOR
            return []
        return readable(FrameEntry, listed, "sema4ai data-frames")

    async def table(self, thread: Thread, frame: FrameEntry) -> Table:
        columns: tuple[str, ...] = tuple(frame.columns or ())
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


async def both(one: Coroutine[Any, Any, T], two: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Two requests at once; the first error is that of both."""
    try:
        async with asyncio.TaskGroup() as group:
            first, second = group.create_task(one), group.create_task(two)
    except ExceptionGroup as errors:
        raise errors.exceptions[0]  # noqa: B904 - it has a cause of its own
    return first.result(), second.result()


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
