"""What comes in from the platforms: stored first, then the runner is woken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

import structlog

from bridge.inbound import Address, Inbound, Person, Platform, RemoteFile, Seen
from bridge.store.arrivals import Arrivals, Decided
from bridge.store.engine import persist
from bridge.store.tables import SECOND, now
from bridge.turns.inbox import Decision, Edit, Listing, Order, Overloaded, Press
from bridge.turns.orders import Orders
from bridge.turns.progress import Progress
from bridge.turns.shelf import Shelf
from bridge.turns.surface import Upload

CATCH_UP_THREADS = 1_000  # of one platform
WAITING = 10_000  # messages and decisions that wait for the database at once; some KB each

SENTENCES = {
    Decided.SENT: "It is being sent again.",
    Decided.DELIVERING: "I'm posting the answer again.",
    Decided.LEFT: "All right, I'll leave it.",
    Decided.CHOSEN: "",
    Decided.TOO_LATE: "That was decided already.",
}
ENDED = "That reply has ended already."

T = TypeVar("T")
log = structlog.get_logger()


class Intake:
    """The `Inbox` of the front ends."""

    def __init__(
        self,
        arrivals: Arrivals,
        orders: Orders,
        shelf: Shelf,
        *,
        agent_for: Callable[[Address], str],
        wake: Callable[[], None],
        stop_turn: Callable[[str], None],
        has_room: Callable[[], bool],
        catch_up_hours: float,
    ) -> None:
        self._arrivals = arrivals
        self._orders = orders
        self._shelf = shelf
        self._agent_for = agent_for
        self._wake = wake
        self._stop_turn = stop_turn
        self._has_room = has_room
        self._catch_up = round(catch_up_hours * 3600 * SECOND)
        self._waiting = 0

    async def take(self, inbound: Inbound) -> bool:
        agent = self._agent_for(inbound.address)
        announce = not self._has_room()
        stored = await self._stored(lambda: self._arrivals.put(inbound, agent, announce=announce))
        log.debug("message taken" if stored else "message known already", message=inbound.message_id)
        self._wake()  # also for what was known: a claim passes over a thread that is locked, as this one just was
        return stored

    async def knows(self, address: Address) -> bool:
        return await self._stored(lambda: self._arrivals.knows(address))

    async def edited(self, address: Address, message_id: str, text: str) -> Edit:
        edit = await self._stored(lambda: self._arrivals.change_text(address, message_id, text))
        if edit.changed:
            log.info("question changed before it was asked", message=message_id)
        elif edit.asked:
            log.info("question changed after it was asked", message=message_id, turn=edit.asked)
        return edit

    async def deleted(self, address: Address, message_id: str) -> None:
        if await self._stored(lambda: self._arrivals.withdraw(address, message_id)):
            log.info("question withdrawn before it was asked", message=message_id)

    async def stop(self, address: Address) -> None:
        turn = await self._stored(lambda: self._arrivals.active_turn(address))
        if turn is not None:
            await self._stop(turn)

    async def ordered(self, order: Order) -> str:
        answer = await self._stored(lambda: self._orders.carry_out(order, self._stop))
        log.info("command", command=order.name, person=order.person.id)
        self._wake()
        return answer

    async def recent(self, platform: Platform, workspace: str, person: Person) -> Mapping[Address, str]:
        return await self._stored(lambda: self._shelf.recent(platform, workspace, person))

    async def refusal(self, address: Address, files: Sequence[RemoteFile]) -> str:
        usual = self._agent_for(address)
        return await self._stored(lambda: self._shelf.refusal(address, files, usual))

    async def files(self, order: Order) -> Listing:
        return await self._stored(lambda: self._shelf.listing(order))

    def download(
        self, order: Order, max_bytes: int, progress: Progress
    ) -> AbstractAsyncContextManager[Upload | str]:
        return self._shelf.fetched(order, max_bytes, progress)

    async def seen(self, platform: Platform) -> Sequence[Seen]:
        since = now() - self._catch_up
        return await self._stored(lambda: self._arrivals.seen(platform, since, CATCH_UP_THREADS))

    async def pressed(self, press: Press) -> Decision:
        match press.action:
            case "stop":
                return await self._pressed_stop(press)
            case "retry":
                decided = await self._stored(lambda: self._arrivals.retry(press.address, press.turn, press.person))
                settled = "Sent again"
            case "abandon":
                decided = await self._stored(lambda: self._arrivals.abandon(press.address, press.turn))
                settled = "Left"
            case "reask":
                decided = await self._stored(lambda: self._arrivals.ask_edited(press.address, press.turn))
                settled = "Asked again"
            case "choose":
                index = int(press.value) if press.value.isdecimal() else -1
                decided = await self._stored(
                    lambda: self._arrivals.choose(press.address, press.turn, index, press.person)
                )
                settled = "Answered"
        self._wake()  # whatever was decided, as in `take`
        if decided is Decided.TOO_LATE:
            return Decision(SENTENCES[decided])
        log.info("decided", decision=decided.name.lower(), turn=press.turn, person=press.person.id)
        return Decision(SENTENCES[decided], f"{settled} · {press.person.name or press.person.id}")

    async def _pressed_stop(self, press: Press) -> Decision:
        if await self._stored(lambda: self._arrivals.active_turn(press.address)) != press.turn:
            return Decision(ENDED)
        await self._stop(press.turn)
        return Decision()

    async def _stop(self, turn: str) -> None:
        self._stop_turn(turn)
        await self._stored(lambda: self._arrivals.record_stop(turn))

    async def _stored(self, work: Callable[[], Awaitable[T]]) -> T:
        with self._one_more():
            return await persist(work)

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        if self._waiting >= WAITING:
            raise Overloaded(f"{WAITING} messages wait for the database")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
