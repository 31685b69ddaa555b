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

import structlog
from cachetools import TTLCache

from adapters.base import Agent, AgentError, File, Files
from adapters.text import safe_name
from bridge.inbound import Address, Person, Platform, RemoteFile
from bridge.render.tables import to_csv
from bridge.store.desk import Desk, Overview
from bridge.store.values import ArtifactRecord
from bridge.turns.inbox import RECENT, Listed, Listing, Order
from bridge.turns.orders import NOWHERE, UNKNOWN
from bridge.turns.prepare import MAX_ATTACHMENTS
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desk = desk
        self._agents = agents
        self._folder = folder
        self._most = attachment_bytes
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

    def refusal(self, files: Sequence[RemoteFile]) -> str:
        if len(files) > MAX_ATTACHMENTS:
            return f"The agent takes at most {MAX_ATTACHMENTS} files at once."
        large = [safe_name(file.name) for file in files if file.size > self._most]
        return f"Larger than the {self._most // 2**20} MB that I take: {', '.join(large)}." if large else ""

    @asynccontextmanager
    async def fetched(self, order: Order, max_bytes: int) -> AsyncIterator[Upload | str]:
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
                yield await self._fetch(there, entry, Path(folder) / "file", max_bytes)

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

    async def _fetch(self, there: Overview, entry: _Entry, path: Path, max_bytes: int) -> Upload | str:
        too_large = TOO_LARGE.format(limit=max_bytes // 2**20)
        if (entry.size or 0) > max_bytes:
            return too_large
        source = entry.source
        table = source.table if isinstance(source, ArtifactRecord) else None
        if table is not None:
            content = to_csv(table["columns"], table["rows"])
            if len(content) > max_bytes:
                return too_large
            await asyncio.to_thread(path.write_bytes, content)
            return Upload(entry.name, path, "text/csv", len(content))
        agent: object = self._agents.get(there.agent)
        if there.conversation is None or not isinstance(agent, Files):
            return NOT_HAD
        size = 0
        try:
            async with asyncio.timeout(FETCH_WITHIN):
                with path.open("wb") as out:
                    async for chunk in agent.download(there.conversation, source.ref):
                        size += len(chunk)
                        if size > max_bytes:
                            return too_large
                        out.write(chunk)
        except (AgentError, TimeoutError) as error:
            log.warning("file not fetched", agent=there.agent, error=type(error).__name__, detail=str(error))
            return NOT_HAD
        except Exception:  # an adapter's bug
            log.exception("file not fetched", agent=there.agent)
            return NOT_HAD
        media_type = source.media_type or mimetypes.guess_type(entry.name)[0] or "application/octet-stream"
        return Upload(entry.name, path, media_type, size)


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
