"""What the page shows, the same for both platforms, as JSON values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, NotRequired, Protocol, TypedDict, runtime_checkable

from bridge.playground.page.commands import CantDo as CantDo
from bridge.playground.page.commands import PageCommands
from bridge.playground.page.dialogs import DialogView
from bridge.playground.page.rooms import Scene
from bridge.playground.page.tally import Replies

AGAIN = "retry"  # what a button's id holds that sends a message again
REGENERATE = "threadbridge:again"  # how the id of a button begins that has an answer given again
WORDS = "words"  # what a form for feedback, which nobody answers, is known by
ANSWERS = ("choose", "approve")  # and one that answers an agent's question, or what it needs leave for
SUGGESTED = "suggested"  # and one that asks what an agent suggests
NOTICE = "n"  # how the key of a part begins that holds the bridge's own words
MAX_MESSAGES = 400  # newest of a platform that the page is given at first
MAX_THREADS = 50  # newest of a server that the page lists


class AuthorView(TypedDict):
    name: str
    bot: bool


class PreviewView(TypedDict):
    """What a file looks like: an image, the first rows of a table, or the first lines of a text."""

    kind: Literal["image", "table", "text"]
    rows: NotRequired[list[list[str]]]
    text: NotRequired[str]


class FileView(TypedDict):
    name: str
    size: int
    url: str
    preview: PreviewView | None


class OptionView(TypedDict):
    label: str
    value: str


class ButtonView(TypedDict):
    id: str
    label: str
    title: NotRequired[str]  # of a small one, whose label is a picture
    style: NotRequired[Literal["primary", "danger"]]
    options: NotRequired[list[OptionView]]  # then it is a select, whose label stands while nothing is chosen


class FormView(TypedDict):
    """A form with one text input, which a button opened."""

    id: str
    title: str
    send: str  # label of the button that sends it
    label: str
    optional: bool


class OpenedView(TypedDict):
    """What a press opened, if it did: at most one of the two."""

    form: FormView | None  # a single text
    dialog: DialogView | None  # anything else


class StepView(TypedDict):
    title: str
    status: Literal["pending", "in_progress", "complete", "error"]
    details: str
    output: str
    sources: list[LinkView]


class LinkView(TypedDict):
    text: str
    url: str


class StepsView(TypedDict):
    """What an agent did for an answer, as cards above it."""

    title: str
    steps: list[StepView]


class ReactionView(TypedDict):
    emoji: str
    count: int


class MessageView(TypedDict):
    id: str
    channel: str  # where it is listed: a channel, or a thread's own id
    thread: str  # the thread that it belongs to or began, "" for none
    author: AuthorView
    html: str
    at: float  # seconds since 1970
    files: list[FileView]
    steps: StepsView | None
    buttons: list[ButtonView]
    reactions: list[ReactionView]
    growing: bool
    only_you: bool
    notice: bool  # the bridge's own words: a failure, a stop
    system: bool  # a line of the platform's own, such as that a thread was renamed


class ChannelView(TypedDict):
    id: str
    name: str
    kind: Literal["channel", "direct", "thread"]
    parent: str
    agent: str  # the configured agent's name
    about: str
    prompts: list[str]
    follow_ups: list[str]  # what to go on with in a thread
    free: bool  # no mention is needed


class SignView(TypedDict):
    channel: str
    thread: str
    label: str  # "" ends it
    stoppable: bool  # the platform shows a stop button of its own
    loading: NotRequired[list[str]]  # shown in turn instead of the label
    title: NotRequired[str]  # of the thread


class HomeButtonView(ButtonView):
    """`channel` and `thread` are where it leads; of a button that is pressed they are "", and of one that leads to the
    direct message only the thread is."""

    channel: str
    thread: str


class HomeRowView(TypedDict):
    kind: Literal["header", "text", "note"]
    html: str
    buttons: list[HomeButtonView]


class PromptsView(TypedDict):
    """What is offered above the composer of the direct message."""

    title: str
    prompts: list[str]  # by title


class ServerView(TypedDict):
    platform: str
    name: str
    me: str
    opens: str  # the channel to begin with
    bot: str  # as it is mentioned
    app: str  # as it signs
    channels: list[ChannelView]
    messages: list[MessageView]
    signs: list[SignView]
    home: NotRequired[list[HomeRowView]]  # where the direct message has a Home tab beside it
    offered: NotRequired[PromptsView]


class TallyView(TypedDict):
    """The promise in numbers. Nothing is at work once `replied` is `written` and `repeated` together."""

    written: int  # messages to an agent: questions, and answers to an agent's own
    repeated: int  # sent again because a person pressed for it
    asked: int  # questions and answers that agents took
    replied: int  # turns that ended
    twice: int  # parts of replies that stand there more than once


class ChangeView(TypedDict, total=False):
    """One event of the live feed: exactly one of these beside `platform`, which a tally has none of."""

    platform: str
    server: ServerView
    channel: ChannelView
    message: MessageView
    deleted: str
    sign: SignView
    home: list[HomeRowView]
    offered: PromptsView
    tally: TallyView


@dataclass(frozen=True, slots=True)
class News:
    """Something changed. Of several with one key only the newest is shown; `view` is called when it is sent,
    and gives None for what needn't be shown after all."""

    key: Hashable
    view: Callable[[], ChangeView | None]


class PlatformView(Protocol):
    """One simulated platform as the page uses it."""

    platform: str
    written: int  # messages to an agent, written here
    repeated: int  # buttons pressed that send a message again

    @property
    def commands(self) -> PageCommands: ...

    def server(self) -> ServerView: ...

    def changes(self) -> AsyncIterator[News]:
        """Every change from now on."""
        ...

    def replies(self, now: float) -> Replies:
        """By what stands there at `now`, on any clock that goes forward."""
        ...

    async def play(self, scene: Scene) -> None:
        """Let somebody else begin a thread, as at the opening."""
        ...

    async def say(self, channel: str, thread: str, text: str, files: Sequence[tuple[str, str, bytes]]) -> None:
        """Write a message. Raises `CantDo`."""
        ...

    async def press(self, message: str, button: str, value: str = "") -> OpenedView:
        """Press a button below a message, or choose `value` in a select. Raises `CantDo`."""
        ...

    async def react(self, message: str, emoji: str) -> None:
        """Put a reaction on a message. Raises `CantDo`."""
        ...

    async def fill_in(self, form: str, words: str) -> None:
        """Send a form. Raises `CantDo`."""
        ...

    def file(self, file_id: str) -> tuple[str, str, bytes]:
        """Name, media type and content. Raises `KeyError`."""
        ...


@runtime_checkable
class Speaks(Protocol):
    """People can send voice notes there."""

    async def speak(self, channel: str, thread: str, words: str) -> None:
        """Say words into a voice note. Raises `CantDo`."""
        ...


@runtime_checkable
class Stops(Protocol):
    """The platform has a stop button of its own while an agent works."""

    async def stop(self, channel: str, thread: str) -> None:
        """Press it. Raises `CantDo`."""
        ...


@runtime_checkable
class Tabs(Protocol):
    """The platform tells the bridge which of the app's tabs a person opens, and has a Home tab and prompts."""

    async def open(self, tab: str) -> None: ...

    async def press_home(self, button: str) -> None:
        """Press a button of the Home tab. Raises `CantDo`."""
        ...

    async def use_prompt(self, title: str) -> None:
        """Choose a prompt. Raises `CantDo`."""
        ...
