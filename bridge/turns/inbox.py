"""What a front end may ask of the turns: the narrow Protocol through which everything from a platform comes in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from bridge.commands import CommandName
from bridge.inbound import Address, Inbound, Person, Platform, RemoteFile, Seen
from bridge.render.selection import NO_SELECTION, Selection
from bridge.store.values import Edit as Edit
from bridge.turns.progress import Progress
from bridge.turns.surface import Action, Button, Upload

RECENT = 20  # threads of a person that are offered


@dataclass(frozen=True, slots=True)
class Press:
    """A click on one of our buttons, or a form that one opened. `turn` and `value` came over the wire: they are checked
    against `address`."""

    action: Action
    turn: str
    person: Person
    address: Address
    value: str = ""  # which choice or rating; the answer in words; why it is declined, or rated so


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a press."""

    sentence: str = ""  # for the person who pressed alone; "" for none
    settled: str = ""  # takes the place of the buttons, for all to read ("Sent again · Ann"); "" leaves them
    buttons: tuple[Button, ...] = ()  # below the sentence


@dataclass(frozen=True, slots=True)
class Order:
    """A command that a person gave. Where the platform's commands can't be given in a thread, `address.thread` is "":
    then the thread of that channel is meant that this person asked in last."""

    name: CommandName
    person: Person
    address: Address
    argument: str = ""
    selection: Selection = NO_SELECTION  # of a table that is wanted


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a conversation, by a harmless name that no other file of the list has."""

    name: str
    size: int | None  # bytes; None where nobody says


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a conversation, the newest last."""

    address: Address  # of the thread
    files: tuple[Listed, ...]
    sentence: str = ""  # for the person, as Markdown, where there are none


class Inbox(Protocol):
    """Every method has stored what it was told when it returns; only then may a platform be acknowledged. While
    the database is away they wait, in order, for as long as it takes; a bounded number of them, and beyond that
    they raise `Overloaded`."""

    async def take(self, inbound: Inbound) -> bool:
        """Store a turn. False if it is known already, by its event id or by its message; what was refused counts as
        known, too.

        :raises NotAllowed: the person may not ask there, or has asked too often.
        :raises Unidentified: the person has to be looked up first.
        """
        ...

    async def admit(self, address: Address, person: Person) -> None:
        """Whether a person may ask there now, before the question of a command is shown to all. Costs nothing.

        :raises NotAllowed:
        :raises Unidentified:
        """
        ...

    async def may_order(self, order: Order) -> None:
        """Whether a person may give a command there, where others would read the answer. Costs nothing.

        :raises NotAllowed:
        :raises Unidentified:
        """
        ...

    async def knows(self, address: Address) -> bool:
        """Whether the agent was called into this thread before, so that a message needs no mention."""
        ...

    async def edited(self, address: Address, message_id: str, text: str) -> Edit:
        """A person changed a message: a turn that hasn't been asked yet is asked in the new words. Where it has been,
        exactly one caller is given the turn, and offers to ask again."""
        ...

    async def deleted(self, address: Address, message_id: str) -> None:
        """A person deleted a message: a turn that hasn't been asked yet is cancelled."""
        ...

    async def pressed(self, press: Press) -> Decision:
        """A button was pressed. A turn that isn't of this thread is refused, and who may not press it.

        :raises Unidentified: the person has to be looked up first.
        """
        ...

    async def refuses(self, press: Press) -> str:
        """Why a form for this press isn't worth filling in, for the person alone; "" if it is. Nothing is stored.

        :raises Unidentified: the person has to be looked up first.
        """
        ...

    async def stop(self, address: Address) -> None:
        """Stop the turn that runs in this thread, if one does."""
        ...

    async def ordered(self, order: Order) -> str:
        """Carry a command out; what came of it, as Markdown for this person alone. Given wrongly it changes nothing,
        and the answer says what to do instead. "ask", "upload", "files", "download" and "help" come in other ways.

        :raises Unidentified:
        """
        ...

    async def recent(self, platform: Platform, workspace: str, person: Person) -> Mapping[Address, str]:
        """The threads that a person asked in last, and still may, with their last question there, newest first; at
        most `RECENT`.

        :raises Unidentified:
        """
        ...

    async def refusal(self, address: Address, files: Sequence[RemoteFile]) -> str:
        """Why such files would not reach the agent of that thread, or of that channel: too many, too large, of a kind
        that it doesn't take. Plain text for a person; "" if they would."""
        ...

    async def files(self, order: Order) -> Listing:
        """The files of a conversation; seconds old, perhaps.

        :raises Unidentified:
        """
        ...

    def download(
        self, order: Order, max_bytes: int, progress: Progress
    ) -> AbstractAsyncContextManager[Upload | str]:
        """The file that `argument` names, on this machine's disk while the block lasts; a sentence for the person,
        as Markdown, where it can't be had or is larger than `max_bytes`: perhaps with a link to it. `progress` is
        told how far it is.

        :raises Unidentified: on entering.
        """
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
