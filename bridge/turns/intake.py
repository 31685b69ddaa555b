"""What comes in from the platforms: stored first, then the runner is woken."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from bridge.inbound import Address, Inbound
from bridge.store.arrivals import Arrivals
from bridge.turns.surface import Action

log = structlog.get_logger()


class Intake:
    """The `Inbox` of the front ends."""

    def __init__(
        self,
        arrivals: Arrivals,
        *,
        agent_for: Callable[[Address], str],
        wake: Callable[[], None],
        stop_turn: Callable[[str], None],
    ) -> None:
        self._arrivals = arrivals
        self._agent_for = agent_for
        self._wake = wake
        self._stop_turn = stop_turn

    async def take(self, inbound: Inbound) -> bool:
        stored = await self._arrivals.put(inbound, self._agent_for(inbound.address))
        log.info("message taken" if stored else "message known already", message=inbound.message_id)
        if stored:
            self._wake()
        return stored

    async def knows(self, address: Address) -> bool:
        return await self._arrivals.knows(address)

    async def edited(self, address: Address, message_id: str, text: str) -> None:
        if await self._arrivals.change_text(address, message_id, text):
            log.info("question changed before it was asked", message=message_id)

    async def deleted(self, address: Address, message_id: str) -> None:
        if await self._arrivals.withdraw(address, message_id):
            log.info("question withdrawn before it was asked", message=message_id)

    async def stop(self, address: Address) -> None:
        turn = await self._arrivals.active_turn(address)
        if turn is not None:
            await self._stop(turn)

    async def pressed(self, action: Action, turn: str, *, address: Address) -> str:
        if action == "stop":
            if await self._arrivals.active_turn(address) != turn:
                return "That reply has ended already."
            await self._stop(turn)
            return ""
        if not await self._arrivals.ask_again(turn, send=action == "again", thread=address):
            return "That was decided already."
        self._wake()
        return "It is being sent again." if action == "again" else "All right, I'll leave it."

    async def _stop(self, turn: str) -> None:
        await self._arrivals.record_stop(turn)
        self._stop_turn(turn)
