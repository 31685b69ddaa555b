"""The inbox, for a front end: who somebody is, is looked up where it matters, and only there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from bridge.inbound import Address, Inbound, Person
from bridge.turns.inbox import Decision, Inbox, Listing, NotAllowed, Order, Press, Unidentified
from bridge.turns.progress import Progress
from bridge.turns.surface import Upload

Identify = Callable[[Person, Address], Awaitable[Person]]
T = TypeVar("T")


class Asking:
    """The methods of an `Inbox` for which it matters who somebody is. `identify` gives a person a standing, or raises a
    `SurfaceError` where the platform can't be asked."""

    def __init__(self, inbox: Inbox, identify: Identify) -> None:
        self._inbox = inbox
        self._identify = identify

    async def take(self, inbound: Inbound) -> bool:
        """:raises NotAllowed:"""
        return await self._identified(
            inbound.person, inbound.address, lambda person: self._inbox.take(replace(inbound, person=person))
        )

    async def not_allowed(self, address: Address, person: Person) -> str:
        """Why a person may not ask there now, for that person alone; "" if that is allowed."""
        try:
            await self._identified(person, address, lambda known: self._inbox.admit(address, known))
        except NotAllowed as refused:
            return refused.sentence
        return ""

    async def may_order(self, order: Order) -> None:
        """:raises NotAllowed:"""
        await self._identified(
            order.person, order.address, lambda person: self._inbox.may_order(replace(order, person=person))
        )

    async def pressed(self, press: Press) -> Decision:
        return await self._identified(
            press.person, press.address, lambda person: self._inbox.pressed(replace(press, person=person))
        )

    async def refuses(self, press: Press) -> str:
        return await self._identified(
            press.person, press.address, lambda person: self._inbox.refuses(replace(press, person=person))
        )

    async def ordered(self, order: Order) -> str:
        return await self._identified(
            order.person, order.address, lambda person: self._inbox.ordered(replace(order, person=person))
        )

    async def files(self, order: Order) -> Listing:
        return await self._identified(
            order.person, order.address, lambda person: self._inbox.files(replace(order, person=person))
        )

    async def recent(self, address: Address, person: Person) -> Mapping[Address, str]:
        """`address`: where it is asked for."""
        return await self._identified(
            person, address, lambda known: self._inbox.recent(address.platform, address.workspace, known)
        )

    @asynccontextmanager
    async def download(self, order: Order, max_bytes: int, progress: Progress) -> AsyncIterator[Upload | str]:
        async with AsyncExitStack() as stack:

            async def enter(person: Person) -> Upload | str:
                found = self._inbox.download(replace(order, person=person), max_bytes, progress)
                return await stack.enter_async_context(found)

            yield await self._identified(order.person, order.address, enter)

    async def _identified(self, person: Person, address: Address, ask: Callable[[Person], Awaitable[T]]) -> T:
        try:
            return await ask(person)
        except Unidentified:
            return await ask(await self._identify(person, address))
