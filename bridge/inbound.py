"""What a front end read from its platform: values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Platform = Literal["slack", "discord"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a thread is. On Slack `thread` is the root message's ts; on Discord the id of the channel that
    the messages are in, and `channel` that of its parent (the same for a direct message)."""

    platform: Platform
    workspace: str  # Slack team, Discord guild, "" for a Discord direct message
    channel: str
    thread: str


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An attachment that still lies with the platform. `name` is hostile input."""

    id: str
    name: str
    media_type: str
    size: int  # bytes, as the platform says
    url: str


@dataclass(frozen=True, slots=True)
class ContextMessage:
    """A message that was in the thread before the agent was called into it."""

    author_name: str
    text: str
    files: tuple[RemoteFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Inbound:
    """One thing a person asked. `text` is Markdown with mentions turned into names and the bot's own removed."""

    address: Address
    event_id: str  # the platform's id of the delivery, the same for each redelivery
    message_id: str  # the platform's id of the message, unique in its channel
    position: int  # orders the messages of a thread: Slack ts in microseconds, Discord snowflake
    author: str  # the platform's user id
    author_name: str
    text: str
    files: tuple[RemoteFile, ...] = ()
    direct: bool = False  # a direct message: one person, no names needed
    mid_thread: bool = False  # the thread had messages before the agent was called: fetch them as context
