"""A front end running against the simulated Discord, and an inbox that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest

from adapters.testing.serving import serve
from bridge.frontends.discord import calls
from bridge.frontends.discord.app import DiscordFrontEnd
from bridge.frontends.discord.settings import DiscordSettings
from bridge.inbound import Address, Inbound, Person, Platform, RemoteFile, Seen
from bridge.listening import ListeningAt, as_ever
from bridge.playground.discord import DiscordWorld, create_app
from bridge.turns.inbox import Decision, Edit, Listed, Listing, Order, Overloaded, Press
from bridge.turns.progress import Progress
from bridge.turns.surface import Action, Upload
from tests.e2e.waiting import PATIENCE, eventually

__all__ = [
    "PATIENCE",
    "MemoryInbox",
    "connected",
    "eventually",
    "ready",
    "serving",
    "settings_for",
    "waits_for_windows",
]

UNLIMITED = 10_000  # requests a second


@dataclass
class MemoryInbox:
    """Keeps what it is told. So many calls as `refusals` says fail first, those of `overloaded` texts each time; a
    turn with the text `held`, and every press, waits for `gate`."""

    turns: list[Inbound] = field(default_factory=list)
    known: set[Address] = field(default_factory=set)
    edits: list[tuple[Address, str, str]] = field(default_factory=list)
    edit: Edit = field(default_factory=Edit)  # what becomes of each
    deletions: list[tuple[Address, str]] = field(default_factory=list)
    presses: list[tuple[Action, str, Address]] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    recently: dict[Address, str] = field(default_factory=dict)
    listed: list[Listed] = field(default_factory=list)
    latest: str = "1.0"  # thread of an order that names none
    file: Upload | str = "There is no such file."
    max_bytes: int = 0  # that the last download was given
    half_way: asyncio.Event | None = None  # downloads stand at 3 of 6 MB until it is set
    said: str = "Done as told."
    refused: str = ""  # why no form is opened
    answer: str = ""
    settled: str = ""
    refusals: int = 0
    overloaded: set[str] = field(default_factory=set)
    held: str | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def take(self, inbound: Inbound) -> bool:
        if inbound.text == self.held:
            await self.gate.wait()
        self._refuse()
        if inbound.text in self.overloaded:
            raise Overloaded
        if any(turn.event_id == inbound.event_id for turn in self.turns):
            return False
        self.turns.append(inbound)
        self.known.add(inbound.address)
        return True

    async def admit(self, address: Address, person: Person) -> None: ...

    async def may_order(self, order: Order) -> None: ...

    async def knows(self, address: Address) -> bool:
        return address in self.known

    async def edited(self, address: Address, message_id: str, text: str) -> Edit:
        self.edits.append((address, message_id, text))
        return self.edit

    async def deleted(self, address: Address, message_id: str) -> None:
        self.deletions.append((address, message_id))

    async def pressed(self, press: Press) -> Decision:
        await self.gate.wait()
        self._refuse()
        self.presses.append((press.action, press.turn, press.address))
        self.values.append(press.value)
        return Decision(self.answer, self.settled)

    async def refuses(self, press: Press) -> str:
        return self.refused

    async def recent(self, platform: Platform, workspace: str, person: Person) -> Mapping[Address, str]:
        return self.recently

    async def refusal(self, address: Address, files: Sequence[RemoteFile]) -> str:
        return "Too large." if any(file.size > 1_000 for file in files) else ""

    async def files(self, order: Order) -> Listing:
        await self.gate.wait()
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
        await self.gate.wait()
        self._refuse()
        self.orders.append(order)
        return self.said

    async def seen(self, platform: Platform) -> Sequence[Seen]:
        self._refuse()
        newest = {turn.address: Seen(turn.address, turn.message_id, turn.direct) for turn in self.turns}
        return sorted(newest.values(), key=lambda one: -int(one.newest))

    async def stop(self, address: Address) -> None:
        raise NotImplementedError

    def _refuse(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError("the database is away")


@asynccontextmanager
async def serving(
    world: DiscordWorld,
    inbox: MemoryInbox,
    *,
    token: str | None = None,
    listening_at: ListeningAt = as_ever,
) -> AsyncIterator[DiscordFrontEnd]:
    """A front end that is connecting to the world; `serve` ran until the block ends."""
    async with serve(create_app(world)) as url:
        front = DiscordFrontEnd(
            settings_for(url, token or world.token, limited=world.limits.rate is not None),
            inbox,
            listening_at=listening_at,
        )
        task = asyncio.create_task(front.serve())
        try:
            yield front
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def settings_for(url: str, token: str, *, limited: bool = False) -> DiscordSettings:
    """`limited`: with as many requests a second as Discord takes, for a world that counts them."""
    gateway = url.replace("http://", "ws://") + "/gateway"
    values = {"token": token, "api_url": f"{url}/api/v10", "gateway_url": gateway}
    return DiscordSettings.model_validate(values if limited else values | {"requests_a_second": UNLIMITED})


@asynccontextmanager
async def connected(
    world: DiscordWorld, inbox: MemoryInbox, *, listening_at: ListeningAt = as_ever
) -> AsyncIterator[DiscordFrontEnd]:
    async with serving(world, inbox, listening_at=listening_at) as front:
        await ready(front)
        yield front


def waits_for_windows(patch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that each call had to wait for the end of one of Discord's windows, as they come."""
    seconds: list[float] = []
    wait = calls.Bucket._wait

    async def noted(self: calls.Bucket, queue: list[asyncio.Future[None]]) -> None:
        if self._window() > 0:
            seconds.append(self._window())
        await wait(self, queue)

    patch.setattr(calls.Bucket, "_wait", noted)
    return seconds


async def ready(front: DiscordFrontEnd) -> None:
    await eventually(
        lambda: front.trouble() is None and front.client.guilds and not front.client.guilds[0].unavailable
    )
