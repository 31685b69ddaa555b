"""What the simulated Discord consists of, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any, Literal

Json = dict[str, Any]
"""An object as it goes over the wire."""


class ChannelType(IntEnum):
    TEXT = 0
    DIRECT = 1
    PUBLIC_THREAD = 11
    PRIVATE_THREAD = 12
    FORUM = 15


class MessageType(IntEnum):
    DEFAULT = 0
    RECIPIENT_ADD = 1
    CHANNEL_NAME_CHANGE = 4
    THREAD_CREATED = 18
    REPLY = 19
    CHAT_INPUT_COMMAND = 20
    THREAD_STARTER = 21
    CONTEXT_MENU_COMMAND = 23


class MessageFlag(IntFlag):
    SUPPRESS_EMBEDS = 1 << 2
    HAS_THREAD = 1 << 5
    EPHEMERAL = 1 << 6
    LOADING = 1 << 7
    SUPPRESS_NOTIFICATIONS = 1 << 12
    IS_VOICE_MESSAGE = 1 << 13
    COMPONENTS_V2 = 1 << 15


class Permission(IntFlag):
    MANAGE_CHANNELS = 1 << 4
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    USE_APPLICATION_COMMANDS = 1 << 31
    MANAGE_THREADS = 1 << 34
    CREATE_PUBLIC_THREADS = 1 << 35
    CREATE_PRIVATE_THREADS = 1 << 36
    SEND_MESSAGES_IN_THREADS = 1 << 38


NOTHING = Permission(0)
NO_FLAGS = MessageFlag(0)
ORDINARY = (
    Permission.ADD_REACTIONS
    | Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_MESSAGE_HISTORY
    | Permission.USE_APPLICATION_COMMANDS
    | Permission.CREATE_PUBLIC_THREADS
    | Permission.CREATE_PRIVATE_THREADS
    | Permission.SEND_MESSAGES_IN_THREADS
)
"""What people and the bot may do unless a guild or a channel says otherwise."""


@dataclass(slots=True)
class User:
    id: int
    name: str
    display_name: str
    bot: bool = False
    takes_direct: bool = True  # whether they let the bot write to them


@dataclass(slots=True)
class Guild:
    id: int
    name: str
    owner_id: int
    members: dict[int, float]  # user id: when they joined, Unix seconds
    bot_permissions: Permission = ORDINARY
    boost_tier: int = 0
    roles: dict[int, str] = field(default_factory=dict)  # names by id, besides @everyone's and the bot's own
    given: dict[int, set[int]] = field(default_factory=dict)  # roles by member

    @property
    def bot_role_id(self) -> int:
        return self.id + 1


@dataclass(slots=True)
class Tag:
    id: int
    name: str


@dataclass(slots=True)
class Thread:
    """What a channel has besides when it is a thread."""

    owner_id: int
    created: float
    auto_archive: int = 4320  # minutes
    archived: bool = False
    locked: bool = False
    invitable: bool = True
    archive_changed: float = 0.0
    sent: int = 0
    tags: list[int] = field(default_factory=list)
    members: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class Channel:
    """A text channel, a forum, a direct message or a thread."""

    id: int
    type: ChannelType
    name: str = ""
    guild_id: int | None = None
    parent_id: int | None = None
    topic: str | None = None
    position: int = 0
    tags: list[Tag] = field(default_factory=list)
    require_tag: bool = False
    recipients: list[int] = field(default_factory=list)
    denied: Permission = NOTHING  # to the bot, by an overwrite
    thread: Thread | None = None
    slow_mode: int = 0
    last_message_id: int | None = None
    messages: dict[int, Message] = field(default_factory=dict)  # oldest first


@dataclass(slots=True)
class Attachment:
    id: int
    name: str
    media_type: str
    size: int
    channel_id: int
    title: str | None = None
    description: str | None = None
    ephemeral: bool = False
    seconds: float | None = None  # of a voice message


@dataclass(slots=True)
class Reference:
    channel_id: int
    message_id: int | None


@dataclass(slots=True)
class Invocation:
    """The interaction that a message answers."""

    id: int
    type: int
    user_id: int
    name: str | None = None
    target_message_id: int | None = None


@dataclass(slots=True)
class Message:
    id: int
    channel_id: int
    author: User
    content: str = ""
    type: MessageType = MessageType.DEFAULT
    flags: MessageFlag = NO_FLAGS
    created: float = 0.0
    edited: float | None = None
    attachments: list[Attachment] = field(default_factory=list)
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    mentions: list[int] = field(default_factory=list)
    mention_roles: list[int] = field(default_factory=list)
    mention_everyone: bool = False
    reference: Reference | None = None
    nonce: str | int | None = None
    webhook_id: int | None = None  # of the webhook that posted it
    reactions: dict[str, list[int]] = field(default_factory=dict)
    poll: Json | None = None
    thread_id: int | None = None
    invocation: Invocation | None = None
    seen_only_by: int | None = None  # the person who alone sees an ephemeral message
    tts: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it arrives: from a person or in a multipart request."""

    name: str
    media_type: str
    data: bytes
    description: str | None = None
    title: str | None = None
    seconds: float | None = None  # of a voice message


@dataclass(frozen=True, slots=True)
class Ping:
    """A notification that a message of the bot caused."""

    message_id: int
    channel_id: int
    target: str  # a user id, "@everyone", "@here" or "@&" and a role id


@dataclass(frozen=True, slots=True)
class Unfurl:
    """An address that Discord fetches to show a preview of it below a message of the bot."""

    message_id: int
    channel_id: int
    url: str


@dataclass(slots=True)
class Call:
    """A REST request of the bot. `status` is None while it is under way, and 0 when its connection was cut."""

    method: str
    path: str  # without the API's own prefix
    at: float
    query: dict[str, str]
    body: Any = None
    files: tuple[str, ...] = ()
    status: int | None = None
    code: int | None = None  # Discord's own error code


ChangeKind = Literal[
    "posted", "changed", "deleted", "typing", "thread", "channel", "reaction", "interaction", "ephemeral", "lost"
]


@dataclass(frozen=True, slots=True)
class Change:
    """Something a person could see happen. `user_id` is who did it, or who alone sees it; `lost` says that a slow
    watcher missed changes and should read anew."""

    kind: ChangeKind
    channel_id: int | None = None
    message_id: int | None = None
    user_id: int | None = None
    interaction_id: int | None = None
