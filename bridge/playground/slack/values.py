"""What a workspace is made of, as values. A change makes a new value, so a watcher's copy never moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
ChannelKind = Literal["channel", "group", "im"]
ChangeKind = Literal[
    "posted",
    "changed",
    "deleted",
    "streamed",
    "reaction",
    "ephemeral",
    "status",
    "view",
    "home",
    "prompts",
    "lost",
]


@dataclass(frozen=True, slots=True)
class Person:
    """Someone with an account: a human, or an app's bot user."""

    id: str
    name: str
    real_name: str
    is_bot: bool = False
    bot_id: str | None = None
    app_id: str | None = None
    team: str = ""  # another organisation's, of someone who came by Slack Connect
    is_guest: bool = False  # of some channels only
    email: str = ""


@dataclass(frozen=True, slots=True)
class StoredFile:
    id: str
    name: str
    title: str
    media_type: str
    content: bytes = field(repr=False)
    user: str
    created: int
    shared: bool = False  # in a message; an upload that nobody completed isn't
    clip_ms: int | None = None  # how long a clip is that was recorded in Slack


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `markdown` is what a stream has gathered so far, or what came as `markdown_text`."""

    channel: str
    ts: str
    user: str
    text: str = ""
    thread_ts: str | None = None
    markdown: str = ""
    subtype: str | None = None
    client_msg_id: str | None = None
    bot_id: str | None = None
    app_id: str | None = None
    username: str | None = None
    blocks: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()
    files: tuple[StoredFile, ...] = ()
    metadata: Json | None = None
    edited_ts: str | None = None
    edited_by: str | None = None
    reactions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    streaming: Literal["in_progress", "completed"] | None = None
    streams: Literal["text", "chunks"] | None = None  # what a stream takes, from the first of it on
    tasks: Mapping[str, Json] = field(default_factory=dict)  # of a stream, by id: see `tasks.updated`
    ephemeral_for: str | None = None

    @property
    def root(self) -> str:
        return self.thread_ts or self.ts

    @property
    def shown(self) -> str:
        """The text that a person reads: that of Markdown and blocks if there is any, else `text`."""
        readable = [part for block in self.blocks for part in _block_text(block)]
        return "\n".join([part for part in (self.markdown, *readable) if part]) or self.text


def _block_text(block: Json) -> list[str]:
    match block.get("type"):
        case "markdown":
            return [block["text"]]
        case "section" | "header":
            texts = [block["text"]] if "text" in block else []
            return [text["text"] for text in [*texts, *block.get("fields", [])]]
        case "context":
            return [element["text"] for element in block["elements"] if "text" in element]
        case "data_visualization":
            return [block["title"]]
        case "table" | "data_table":
            return [" | ".join(_cell_text(cell) for cell in row) for row in block["rows"]]
        case "rich_text":
            return [_cell_text(block)]
        case _:
            return []


def _cell_text(node: Json) -> str:
    if "elements" in node:
        return "".join(_cell_text(element) for element in node["elements"])
    return str(node.get("text") or node.get("value") or "")


@dataclass(slots=True)
class Channel:
    """A conversation and what was said in it, by ts."""

    id: str
    name: str
    kind: ChannelKind
    members: set[str]
    created: int
    is_archived: bool = False
    messages: dict[str, Message] = field(default_factory=dict)
    threads: dict[str, list[str]] = field(default_factory=dict)  # ts of the replies by that of the root

    @property
    def is_direct(self) -> bool:
        return self.kind == "im"


@dataclass(frozen=True, slots=True)
class Call:
    """A Web API call that the app made. `error` is None if it was answered with ok."""

    method: str
    args: Json
    at: float
    error: str | None


@dataclass(frozen=True, slots=True)
class Ping:
    """A message of the app that notified people: a mention or `<!channel>` that Slack would have acted on."""

    channel: str
    ts: str
    token: str


@dataclass(frozen=True, slots=True)
class Unfurl:
    """A link that Slack would have fetched to show a preview."""

    channel: str
    ts: str
    url: str


@dataclass(frozen=True, slots=True)
class Session:
    """An agent's session in a thread, as `agents.sessions.setStatus` or `assistant.threads.setStatus` left it."""

    channel: str
    thread_ts: str
    status: str = ""
    title: str = ""
    label: str = ""  # what `assistant.threads.setStatus` shows, until a message of the app or two minutes
    label_until: float = 0.0
    loading_messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompts:
    """What `assistant.threads.setSuggestedPrompts` offers above the composer of a direct message."""

    channel: str
    prompts: tuple[Json, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """An open modal or a published home tab."""

    id: str
    user: str
    type: str
    hash: str
    body: Json
    external_id: str = ""
    root: str = ""
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Something that people see. Of kind `lost`, the watcher was too slow and has to read everything anew."""

    kind: ChangeKind
    channel: str = ""
    message: Message | None = None
    session: Session | None = None
    view: View | None = None
    user: str = ""
    prompts: tuple[Json, ...] = ()
