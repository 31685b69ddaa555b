"""The files of a conversation, for commands: listed by name, and fetched to disk in pieces.

They are what the agent's service keeps of the conversation, its people's files too where it lists those, and what our
own record has of what the agent made: its tables, as CSV, and files that the service doesn't list.
"""

from __future__ import annotations

import asyncio
import mimetypes
import time
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog
from cachetools import TTLCache

from adapters.base import Accepts, Agent, AgentError, File, Files
from adapters.text import safe_name
from bridge.inbound import Address, Person, Platform, RemoteFile
from bridge.render.selection import WrongSelection, select
from bridge.render.tables import to_csv
from bridge.store.desk import Desk, Overview
from bridge.store.values import ArtifactRecord
from bridge.turns.inbox import RECENT, Listed, Listing, Order
from bridge.turns.links import Linked, Links
from bridge.turns.orders import NOWHERE, UNKNOWN
from bridge.turns.prepare import MAX_ATTACHMENTS
from bridge.turns.progress import Progress
from bridge.turns.surface import Upload

log = structlog.get_logger()

LISTED = 200  # files of one conversation, the newest
LIST_WITHIN = 8.0  # seconds that the agent's service gets to list its files; then our own record serves
REMEMBERED_FOR = 10.0  # seconds: a person who types a name asks with each letter
REMEMBERED = 500  # lists, some 10 KB each
FETCH_WITHIN = 600.0  # seconds for one file: Discord takes an answer for 15 minutes, and it has to go out, too
AT_ONCE = 8  # files on their way

NO_FILES = "There are no files in this conversation yet."
NO_SUCH = "There is no file of that name in this conversation. `files` lists those there are."
TOO_LARGE = "That file is larger than this platform takes from me ({limit} MB), so it can't be brought here."
TABLE_TOO_LARGE = f"{TOO_LARGE} Choose some of its columns."
LINKED = "That file is larger than this platform takes from me ({limit} MB). {link}."
NO_TABLE = "Columns can be chosen, and rows sorted, of a table: `{name}` is another kind of file."
NOT_HAD = "The agent couldn't give me that file. Please try again later."

Given = tuple[Address, Overview]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file by its name in the list, and where it is to be had."""

    name: str
    size: int | None
    source: File | ArtifactRecord


class Shelf:
    """Needs a folder for what is on its way; people's files may have `attachment_bytes` each.
    Everything raises `StoreUnavailable`."""

    def __init__(
        self,
        desk: Desk,
        agents: Mapping[str, Agent],
        folder: Path,
        *,
        attachment_bytes: int,
        links: Links | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desk = desk
        self._agents = agents
        self._folder = folder
        self._most = attachment_bytes
        self._links = links
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._listings: MutableMapping[tuple[Address, str | None], Listing] = TTLCache(
            REMEMBERED, REMEMBERED_FOR, clock
        )

    async def listing(self, order: Order) -> Listing:
        """May be as old as `REMEMBERED_FOR`."""
        thread = await self._thread(order)
        if isinstance(thread, str):
            return Listing(order.address, (), thread)
        address, there = thread
        key = (address, there.conversation)
        if (known := self._listings.get(key)) is not None:
            return known
        files = tuple(Listed(one.name, one.size) for one in await self._entries(there))
        listing = Listing(address, files, "" if files else NO_FILES)
        self._listings[key] = listing
        return listing

    async def recent(self, platform: Platform, workspace: str, person: Person) -> Mapping[Address, str]:
        return await self._desk.recent(platform, workspace, person, RECENT)

    async def refusal(self, address: Address, files: Sequence[RemoteFile], usual: str) -> str:
        """`usual` is the agent that answers there where nobody was called into that thread yet."""
        if len(files) > MAX_ATTACHMENTS:
            return f"The agent takes at most {MAX_ATTACHMENTS} files at once."
        large = [safe_name(file.name) for file in files if file.size > self._most]
        if large:
            return f"Larger than the {self._most // 2**20} MB that I take: {', '.join(large)}."
        there = await self._desk.overview(address) if address.thread else None
        agent: object = self._agents.get(usual if there is None else there.agent)
        if not isinstance(agent, Accepts):
            return ""
        said = (agent.accepts(safe_name(file.name), file.media_type, file.size) for file in files)
        return next((sentence for sentence in said if sentence), "")

    @asynccontextmanager
    async def fetched(self, order: Order, max_bytes: int, progress: Progress) -> AsyncIterator[Upload | str]:
        """The file that the order's argument names, on disk as long as the block lasts; a sentence where it can't be
        had."""
        thread = await self._thread(order)
        if isinstance(thread, str):
            yield thread
            return
        _, there = thread
        entry = next((one for one in await self._entries(there) if one.name == order.argument), None)
        if entry is None:
            yield NO_SUCH
            return
        async with self._slots:
            with TemporaryDirectory(dir=self._folder, prefix="download-") as folder:
                fetch = _Fetch(order, there, entry, Path(folder) / "file", max_bytes, progress)
                yield await self._fetch(fetch)

    async def _thread(self, order: Order) -> Given | str:
        if not order.address.thread:
            return NOWHERE
        there = await self._desk.overview(order.address)
        return UNKNOWN if there is None else (order.address, there)

    async def _entries(self, there: Overview) -> Sequence[_Entry]:
        """With the newest last, each under a name of its own."""
        listed = list(await self._of_the_agent(there))[-LISTED:]
        refs = {file.ref for file in listed}
        made = await self._desk.artifacts(there.id, LISTED)
        entries = [_Entry(safe_name(file.name), file.size, file) for file in listed]
        for one in made:
            if one.table is not None:
                entries.append(_Entry(f"{Path(safe_name(one.name)).stem or 'table'}.csv", None, one))
            elif one.ref not in refs:
                entries.append(_Entry(safe_name(one.name), one.size, one))
        return _told_apart(entries[-LISTED:])

    async def _of_the_agent(self, there: Overview) -> Sequence[File]:
        agent: object = self._agents.get(there.agent)
        if there.conversation is None or not isinstance(agent, Files):
            return ()
        try:
            async with asyncio.timeout(LIST_WITHIN):
                return await agent.files(there.conversation)
        except (AgentError, TimeoutError) as error:
            log.info("files not listed", agent=there.agent, error=type(error).__name__)
        except Exception:  # an adapter's bug; our own record serves
            log.exception("files not listed", agent=there.agent)
        return ()

    async def _fetch(self, fetch: _Fetch) -> Upload | str:
        entry, progress = fetch.entry, fetch.progress
        progress.name, progress.total = entry.name, entry.size
        source = entry.source
        if isinstance(source, ArtifactRecord) and source.table is not None:
            return await _written(fetch, source.table)
        if fetch.order.selection:
            return NO_TABLE.format(name=entry.name.replace("`", "'"))
        if (entry.size or 0) > fetch.max_bytes:
            return self._too_large(fetch, source.ref)
        there = fetch.there
        agent: object = self._agents.get(there.agent)
        if there.conversation is None or not isinstance(agent, Files):
            return NOT_HAD
        try:
            async with asyncio.timeout(FETCH_WITHIN):
                with fetch.path.open("wb") as out:
                    async for chunk in agent.download(there.conversation, source.ref):
                        progress.moved += len(chunk)
                        if progress.moved > fetch.max_bytes:
                            return self._too_large(fetch, source.ref)
                        out.write(chunk)
        except (AgentError, TimeoutError) as error:
            log.warning("file not fetched", agent=there.agent, error=type(error).__name__)
            return NOT_HAD
        except Exception:  # an adapter's bug
            log.exception("file not fetched", agent=there.agent)
            return NOT_HAD
        media_type = source.media_type or mimetypes.guess_type(entry.name)[0] or "application/octet-stream"
        return Upload(entry.name, fetch.path, media_type, progress.moved)

    def _too_large(self, fetch: _Fetch, ref: str) -> str:
        """With a link, where there are links: the answer is for the one person alone."""
        limit, link = fetch.max_bytes // 2**20, None
        if self._links is not None and fetch.there.conversation is not None:
            person = f"{fetch.order.address.platform}:{fetch.order.person.id}"
            file = Linked(fetch.there.agent, fetch.there.conversation, ref, fetch.entry.name, person)
            link = self._links.shown(file)
        return TOO_LARGE.format(limit=limit) if link is None else LINKED.format(limit=limit, link=link)


@dataclass(frozen=True, slots=True)
class _Fetch:
    """A file on its way to disk."""

    order: Order
    there: Overview
    entry: _Entry
    path: Path
    max_bytes: int
    progress: Progress


async def _written(fetch: _Fetch, table: Mapping[str, Any]) -> Upload | str:
    """A table as CSV, with the columns and in the order that are wanted."""
    try:
        columns, rows = select(table["columns"], table["rows"], fetch.order.selection)
    except WrongSelection as error:
        return str(error)
    content = to_csv(columns, rows)
    if len(content) > fetch.max_bytes:
        return TABLE_TOO_LARGE.format(limit=fetch.max_bytes // 2**20)
    await asyncio.to_thread(fetch.path.write_bytes, content)
    return Upload(fetch.entry.name, fetch.path, "text/csv", len(content))


def _told_apart(entries: Sequence[_Entry]) -> Sequence[_Entry]:
    """A name that comes again is numbered."""
    taken: set[str] = set()
    apart = []
    for entry in entries:
        name, number = entry.name, 1
        while name in taken:
            number += 1
            path = Path(entry.name)
            name = f"{path.stem} ({number}){path.suffix}"
        taken.add(name)
        apart.append(replace(entry, name=name))
    return apart
