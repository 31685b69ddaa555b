"""What a front end may ask of the turns: the narrow Protocol through which everything from a platform comes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.inbound import Address, Inbound, Person, Platform, Seen
from bridge.turns.surface import Action


@dataclass(frozen=True, slots=True)
class Press:
    """A click on one of our buttons. `turn` and `value` came over the wire: they are checked against `address`."""

    action: Action
    turn: str
    person: Person
    address: Address
    value: str = ""  # which choice


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a press."""

    sentence: str = ""  # for the person who pressed alone; "" for none
    settled: str = ""  # takes the place of the buttons, for all to read ("Sent again · Ann"); "" leaves them


class Inbox(Protocol):
    """Every method has stored what it was told when it returns; only then may a platform be acknowledged. While
    the database is away they wait, in order, for as long as it takes; a bounded number of them, and beyond that
    they raise `Overloaded`."""

    async def take(self, inbound: Inbound) -> bool:
        """Store a turn. False if it is known already, by its event id or by its message.

        :raises NotAllowed: the person may not ask there, or has asked too often.
        :raises Unidentified: the person has to be looked up first.
        """
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

    async def pressed(self, press: Press) -> Decision:
        """A button was pressed. A turn that isn't of this thread is refused, and who may not press it.

        :raises Unidentified: the person has to be looked up first.
        """
        ...

    async def stop(self, address: Address) -> None:
        """Stop the turn that runs in this thread, if one does."""
        ...

    async def seen(self, platform: Platform) -> Sequence[Seen]:
        """The threads that people wrote in within `limits.catch_up_hours`, most recent first, at most
        `CATCH_UP_THREADS`: where to look for what was written while nobody listened."""
        ...


class Overloaded(Exception):
    """Too many messages wait for the database: this one isn't stored, and must not be acknowledged."""


class NotAllowed(Exception):
    """Nothing was stored, and it is to be acknowledged. `sentence` is for the person alone, and not again and again for
    the same `reason`; it is "" where nothing is answered at all."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sentence = sentence


class Unidentified(Exception):
    """It depends on the person's standing or roles. Look them up (`Person.standing`), and tell again."""
