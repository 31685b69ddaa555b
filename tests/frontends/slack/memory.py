"""An inbox in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.inbound import Address, Inbound
from bridge.turns.surface import Action


@dataclass
class MemoryInbox:
    """Keeps what it is told. Raises for the next `failures` messages, as a store that is down."""

    taken: list[Inbound] = field(default_factory=list)
    edits: list[tuple[Address, str, str]] = field(default_factory=list)
    deletions: list[tuple[Address, str]] = field(default_factory=list)
    presses: list[tuple[Action, str, Address]] = field(default_factory=list)
    stops: list[Address] = field(default_factory=list)
    offered: int = 0
    failures: int = 0
    answer: str = "Stopping."

    async def take(self, inbound: Inbound) -> bool:
        self.offered += 1
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

    async def knows(self, address: Address) -> bool:
        return any(inbound.address == address for inbound in self.taken)

    async def edited(self, address: Address, message_id: str, text: str) -> None:
        self.edits.append((address, message_id, text))

    async def deleted(self, address: Address, message_id: str) -> None:
        self.deletions.append((address, message_id))

    async def pressed(self, action: Action, turn: str, *, address: Address) -> str:
        self.presses.append((action, turn, address))
        return self.answer

    async def stop(self, address: Address) -> None:
        self.stops.append(address)
