"""What the page shows, the same for both platforms, as JSON values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypedDict

from markdown_it import MarkdownIt

MAX_MESSAGES = 200  # newest of a channel that the page is given at first


class AuthorView(TypedDict):
    name: str
    bot: bool


class FileView(TypedDict):
    name: str
    size: int
    url: str
    image: bool


class ButtonView(TypedDict):
    id: str
    label: str


class MessageView(TypedDict):
    id: str
    channel: str  # where it is listed: a channel, or a thread's own id
    thread: str  # the thread that it belongs to or began, "" for none
    author: AuthorView
    html: str
    at: float  # seconds since 1970
    files: list[FileView]
    buttons: list[ButtonView]
    growing: bool
    only_you: bool


class ChannelView(TypedDict):
    id: str
    name: str
    kind: Literal["channel", "direct", "thread"]
    parent: str
    hint: str  # what to write there


class ServerView(TypedDict):
    platform: str
    name: str
    me: str
    bot: str
    channels: list[ChannelView]
    messages: list[MessageView]


class ChangeView(TypedDict, total=False):
    """One event of the live feed: exactly one of the four is there."""

    platform: str
    message: MessageView
    deleted: str
    sign: SignView
    server: ServerView


class SignView(TypedDict):
    channel: str
    thread: str
    label: str  # "" ends it


class PlatformView(Protocol):
    """One simulated platform as the page uses it."""

    platform: str

    def server(self) -> ServerView: ...

    async def changes(self, send: Callable[[ChangeView], None]) -> None:
        """Tell every change until cancelled."""
        ...

    async def say(self, channel: str, thread: str, text: str, files: Sequence[tuple[str, str, bytes]]) -> None: ...

    async def press(self, message: str, button: str) -> None: ...

    def file(self, file_id: str) -> tuple[str, str, bytes]:
        """Name, media type and content. Raises `KeyError`."""
        ...


_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])


def to_html(markdown: str) -> str:
    """Markdown as safe HTML: no raw tags, and links only where markdown-it allows them."""
    html: str = _markdown.render(markdown)
    return html.replace("<a ", '<a target="_blank" rel="noreferrer" ')
