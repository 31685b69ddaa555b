"""What comes in from the platforms: stored first, then the runner is woken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import structlog

from bridge.inbound import Address, Inbound, Platform, Seen
from bridge.store.arrivals import Arrivals, Decided
from bridge.store.budgets import OverBudget
from bridge.store.engine import persist
from bridge.store.tables import SECOND, now
from bridge.turns.gate import Gate
from bridge.turns.inbox import Decision, NotAllowed, Overloaded, Press

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
        *,
        agent_for: Callable[[Address], str],
        gate: Gate,
        wake: Callable[[], None],
        stop_turn: Callable[[str], None],
        has_room: Callable[[], bool],
        catch_up_hours: float,
    ) -> None:
        self._arrivals = arrivals
        self._agent_for = agent_for
        self._gate = gate
        self._wake = wake
        self._stop_turn = stop_turn
        self._has_room = has_room
        self._catch_up = round(catch_up_hours * 3600 * SECOND)
        self._waiting = 0

    async def take(self, inbound: Inbound) -> bool:
        address, person = inbound.address, inbound.person
        agent = self._agent_for(address)
        asked = await self._agent(address, agent)
        self._gate.admit(asked, address, person)
        quotas = self._gate.quotas(asked, address, person)
        announce = not self._has_room()
        try:
            stored = await self._stored(
                lambda: self._arrivals.put(inbound, agent, announce=announce, quotas=quotas)
            )
        except OverBudget as over:
            raise self._gate.over_budget(over, address, person) from None
        log.debug("message taken" if stored else "message known already", message=inbound.message_id)
        if stored:
            self._wake()
        return stored

    async def knows(self, address: Address) -> bool:
        return await self._stored(lambda: self._arrivals.knows(address))

    async def edited(self, address: Address, message_id: str, text: str) -> None:
        if await self._stored(lambda: self._arrivals.change_text(address, message_id, text)):
            log.info("question changed before it was asked", message=message_id)

    async def deleted(self, address: Address, message_id: str) -> None:
        if await self._stored(lambda: self._arrivals.withdraw(address, message_id)):
            log.info("question withdrawn before it was asked", message=message_id)

    async def stop(self, address: Address) -> None:
        turn = await self._stored(lambda: self._arrivals.active_turn(address))
        if turn is not None:
            await self._stop(turn)

    async def seen(self, platform: Platform) -> Sequence[Seen]:
        since = now() - self._catch_up
        return await self._stored(lambda: self._arrivals.seen(platform, since, CATCH_UP_THREADS))

    async def pressed(self, press: Press) -> Decision:
        try:
            return await self._pressed(press)
        except NotAllowed as refusal:
            return Decision(refusal.sentence)

    async def _pressed(self, press: Press) -> Decision:
        address, person = press.address, press.person
        agent = await self._agent(address, self._agent_for(address))
        asker = await self._stored(lambda: self._arrivals.asker(address, press.turn))
        self._gate.may_press(press, agent, asker)
        quotas = self._gate.quotas(agent, address, person)
        try:
            match press.action:
                case "stop":
                    return await self._pressed_stop(press)
                case "retry":
                    decided = await self._stored(lambda: self._arrivals.retry(address, press.turn, quotas=quotas))
                    settled = "Sent again"
                case "abandon":
                    decided = await self._stored(lambda: self._arrivals.abandon(address, press.turn))
                    settled = "Left"
                case "choose":
                    index = int(press.value) if press.value.isdecimal() else -1
                    decided = await self._stored(
                        lambda: self._arrivals.choose(address, press.turn, index, person, quotas=quotas)
                    )
                    settled = "Answered"
        except OverBudget as over:
            return Decision(self._gate.sentence(over))
        if decided is Decided.TOO_LATE:
            return Decision(SENTENCES[decided])
        log.info("decided", decision=decided.name.lower(), turn=press.turn, person=person.id)
        self._wake()
        return Decision(SENTENCES[decided], f"{settled} · {person.name or person.id}")

    async def _agent(self, address: Address, routed: str) -> str:
        """Who answers in a thread: the agent that it was begun with, unless its place answers nothing now."""
        if not routed or not self._gate.by_agent:
            return routed
        return await self._stored(lambda: self._arrivals.agent(address)) or routed

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
