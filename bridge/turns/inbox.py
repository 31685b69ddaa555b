"""What a front end may ask of the turns: the narrow door through which everything from a platform comes in."""

from __future__ import annotations

from typing import Protocol

from bridge.inbound import Address, Inbound
from bridge.turns.surface import Action


class Inbox(Protocol):
    """Every method has stored what it was told when it returns; only then may a platform be acknowledged."""

    async def take(self, inbound: Inbound) -> bool:
        """Store a turn. False if it is known already, by its event id or by its message."""
        ...

    async def knows(self, address: Address) -> bool:
        """Whether the agent was called into this thread before, so that a message needs no mention."""
        ...

    async def edited(self, address: Address, message_id: str, text: str) -> None:
        """A person changed a message: a turn that hasn't been asked yet is asked in the new words."""
        ...

    async def deleted(self, address: Address, message_id: str) -> None:
        """A person deleted a message: a turn that hasn't been asked yet is cancelled."""
        ...

    async def pressed(self, action: Action, turn: str, *, address: Address) -> str:
        """A button was pressed. Returns a short sentence for the person who pressed it, "" for none.
        A turn that isn't of this thread is refused: the id came over the wire."""
        ...

    async def stop(self, address: Address) -> None:
        """Stop the turn that runs in this thread, if one does."""
        ...
