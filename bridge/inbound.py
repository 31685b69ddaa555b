"""What a front end read from its platform: values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Platform = Literal["slack", "discord"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a thread is. On Slack `thread` is the root message's ts; on Discord the id of the channel that
    the messages are in, and `channel` that of its parent (the same for a direct message). Where a channel itself is
    one conversation, `thread` is the channel's id on both."""

    platform: Platform
    workspace: str  # Slack team, Discord guild, "" for a Discord direct message
    channel: str
    thread: str

    @property
    def is_flat(self) -> bool:
        """Whether the channel itself is the conversation: a Discord direct message, or by a route's `flat`."""
        return self.thread == self.channel


class Standing(StrEnum):
    """What a person is to the workspace or to the servers that are served."""

    MEMBER = "member"
    GUEST = "guest"  # Slack: a member of some channels only
    STRANGER = "stranger"  # of another organisation, or of no server that is served
    UNKNOWN = "unknown"  # the platform was asked, and doesn't say: counts as a stranger


@dataclass(frozen=True, slots=True)
class Person:
    """Who wrote. `name` may be "" where the platform gave only the id: `Surface.resolve` looks it up later, so
    that a message is stored before anything else is asked of the platform."""

    id: str  # the platform's user id
    name: str = ""
    workspace: str = ""  # Slack: the person's own team, which a guest or Slack Connect person brings along
    roles: tuple[str, ...] = ()  # Discord: ids of the person's roles in the server
    standing: Standing | None = None  # None as long as nobody looked: `roles` may be missing as well
    bot: bool = False  # one that a route trusts; known when it writes, and not stored


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An attachment that still lies with the platform. `name` is hostile input."""

    id: str
    name: str
    media_type: str
    size: int  # bytes, as the platform says
    url: str
    seconds: float | None = None  # that a voice note lasts, 0 where the platform doesn't say; None: it is none


@dataclass(frozen=True, slots=True)
class ContextMessage:
    """A message that was in the thread before the agent was called into it."""

    author_name: str
    text: str
    files: tuple[RemoteFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Inbound:
    """One thing a person asked, as the platform wrote it: `Surface.resolve` turns ids in `text` into names."""

    address: Address
    event_id: str  # the platform's id of the delivery, the same for each redelivery
    message_id: str  # the platform's id of the message, unique in its channel
    position: int  # orders the messages of a thread, ours too: see `position`
    person: Person
    text: str
    files: tuple[RemoteFile, ...] = ()
    direct: bool = False  # a direct message: one person, no names needed
    mid_thread: bool = False  # the thread had messages before the agent was called: fetch them as context
    asked_with: str = (
        ""  # what tells it from other questions about `message_id`, where that isn't the question itself
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """A thread that people wrote in lately, for catch-up."""

    address: Address
    newest: str  # id of the newest message that was stored
    direct: bool


def position(message_id: str) -> int:
    """Where a message stands in its thread: Slack's ts in microseconds, Discord's snowflake."""
    seconds, dot, fraction = message_id.partition(".")
    return int(seconds) * 1_000_000 + int(fraction[:6].ljust(6, "0")) if dot else int(seconds)
