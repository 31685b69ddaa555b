"""An inbox in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from bridge.inbound import Address, Inbound, Person, Platform, RemoteFile, Seen
from bridge.turns.inbox import Decision, Edit, Listed, Listing, Order, Press
from bridge.turns.progress import Progress
from bridge.turns.surface import Upload


@dataclass
class MemoryInbox:
    """Keeps what it is told. Raises for the next `failures` messages, as a store that is down."""

    taken: list[Inbound] = field(default_factory=list)
    edits: list[tuple[Address, str, str]] = field(default_factory=list)
    edit: Edit = field(default_factory=Edit)  # what becomes of each
    deletions: list[tuple[Address, str]] = field(default_factory=list)
    presses: list[Press] = field(default_factory=list)
    stops: list[Address] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    recently: dict[Address, str] = field(default_factory=dict)
    listed: list[Listed] = field(default_factory=list)
    latest: str = "1.0"  # thread of an order that names none
    file: Upload | str = "There is no such file."
    max_bytes: int = 0  # that the last download was given
    half_way: asyncio.Event | None = None  # downloads stand at 3 of 6 MB until it is set
    said: str = "Done as told."
    refused: str = ""  # why no form is opened
    offered: int = 0
    failures: int = 0
    decision: Decision = field(default_factory=lambda: Decision("Stopping."))
    threads: list[Seen] = field(default_factory=list)
    gate: asyncio.Event | None = None  # the database is away until it is set

    async def take(self, inbound: Inbound) -> bool:
        self.offered += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise OSError("the store is down")
        if any(
            known.event_id == inbound.event_id
            or (known.address.channel, known.message_id) == (inbound.address.channel, inbound.message_id)
            for known in self.taken
        ):
            return False
        self.taken.append(inbound)
        return True

    async def admit(self, address: Address, person: Person) -> None: ...

    async def may_order(self, order: Order) -> None: ...

    async def knows(self, address: Address) -> bool:
        return any(inbound.address == address for inbound in self.taken)

    async def edited(self, address: Address, message_id: str, text: str) -> Edit:
        self.edits.append((address, message_id, text))
        return self.edit

    async def deleted(self, address: Address, message_id: str) -> None:
        self.deletions.append((address, message_id))

    async def pressed(self, press: Press) -> Decision:
        self.presses.append(press)
        return self.decision

    async def refuses(self, press: Press) -> str:
        return self.refused

    async def recent(self, platform: Platform, workspace: str, person: Person) -> Mapping[Address, str]:
        return self.recently

    async def refusal(self, address: Address, files: Sequence[RemoteFile]) -> str:
        return "Too large." if any(file.size > 1_000 for file in files) else ""

    async def files(self, order: Order) -> Listing:
        self.orders.append(order)
        address = replace(order.address, thread=order.address.thread or self.latest)
        return Listing(address, tuple(self.listed), "" if self.listed else "No files yet.")

    @asynccontextmanager
    async def download(self, order: Order, max_bytes: int, progress: Progress) -> AsyncIterator[Upload | str]:
        self.orders.append(order)
        self.max_bytes = max_bytes
        if self.half_way is not None:
            progress.total, progress.moved = 6 * 2**20, 3 * 2**20
            await self.half_way.wait()
            progress.moved = progress.total
        yield self.file

    async def ordered(self, order: Order) -> str:
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise OSError("the store is down")
        self.orders.append(order)
        return self.said

    async def seen(self, platform: Platform) -> Sequence[Seen]:
        return self.threads

    async def stop(self, address: Address) -> None:
        self.stops.append(address)
