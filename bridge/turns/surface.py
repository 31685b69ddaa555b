"""The platform's side of a thread, as the reply needs it. Implemented by each front end, in the same shape.

A reply is a list of parts. A part is posted once, grows by edits while the agent talks, and is finished by an
edit (or a post) with `last=True`. Every call may be repeated after a failure; none may show a thing twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from adapters.base import Step
from bridge.inbound import Address, ContextMessage, Person, RemoteFile
from bridge.render.data import Data
from bridge.render.style import Style
from bridge.store.engine import Fenced as Fenced  # what a `Guard` raises

Action = Literal[
    "stop",
    "retry",
    "abandon",
    "choose",
    "answer",
    "approve",
    "decline",
    "reask",
    "again",
    "rate",
    "words",
    "files",
]
# Awaited right before each call to a platform or an agent. Returns at once while this process is sure that the
# thread is its own, else only when it has become sure again; raises `Fenced` where it no longer is.
Guard = Callable[[], Awaitable[None]]


# Said to whoever changed a question after it was asked, above a button of the action `reask`.
EDITED = "You changed your message after I had begun. Shall I answer the new words?"
ASK_AGAIN = "Ask again"
ADD_WORDS = "Add a word"  # of a button of the action `words`, below thanks for a rating


@dataclass(frozen=True, slots=True)
class Button:
    """A button under a part. `turn` and `value` come back with the click, to `Inbox.pressed`."""

    action: Action
    label: str
    turn: str
    # Of a choice its index, and a front end may show several as a select; of a rating "good" or "bad".
    value: str = ""


class PartKind(StrEnum):
    """What a part is. The value is stored, and is part of the key that the platform keeps."""

    TEXT = "p"  # the answer
    REST = "r"  # what a text part that can't be changed any more lacks; a surface's own
    ANSWER = "a"  # the whole of a very long answer, as a file
    FILE = "f"  # an artifact
    TABLE = "t"  # an artifact: its CSV, with a preview where it isn't drawn
    DRAWN = "d"  # the same artifact as a table or a chart of the platform's own
    REQUEST = "q"  # what the agent asks back: in a message of its own, so that what is older is no answer
    NOTICE = "n"  # the bridge's own words

    @property
    def is_upload(self) -> bool:
        return self in (PartKind.ANSWER, PartKind.FILE, PartKind.TABLE)


@dataclass(frozen=True, slots=True)
class PartKey:
    """Names a part for ever, in every process. `nonce` is at most 25 characters (Discord's limit)."""

    turn: str  # 16 characters
    kind: PartKind
    index: int = 0

    @property
    def nonce(self) -> str:
        return f"{self.turn}-{self.kind}{self.index}"


class Sending(Enum):
    """What a call is for; budgets serve the first and last words before those in between."""

    FIRST = auto()
    GROWTH = auto()
    LAST = auto()


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on this machine's disk that goes into the thread."""

    name: str
    path: Path
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What a part shows of the agent's work. Where `Style.cards` says so these are steps, each with a state, and the
    `phase` is their title; they stay. Elsewhere there are no steps here, and the phase is what is done at the moment: a
    line that goes. All of it is the agent's words in single lines, to be escaped."""

    phase: str = ""
    steps: tuple[Step, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.phase or self.steps)


NO_PROGRESS = Progress()


class SurfaceError(Exception):
    """Root of what a surface raises. `str(error)` is for the log and holds no secret."""


class Throttled(SurfaceError):
    """429: the same call may be repeated after `retry_after` seconds."""

    def __init__(self, detail: str, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unreachable(SurfaceError):
    """No connection or a 5xx: nobody knows whether the call took effect. `find` tells, or an edit is repeated."""


class PartFull(SurfaceError):
    """The part takes no more live text (a Slack stream that expired or filled up). The reply finishes it with
    `last=True` at the text it has by now, and goes on in a new part. A part without words has nothing to be finished
    at: its steps go on in it."""


class Gone(SurfaceError):
    """The channel, thread or message is deleted, or the bot was put out: no repeat will help."""


class StoppedByPerson(SurfaceError):
    """The person stopped this reply on the platform: nothing more is written into the part. The turn is stopped as
    by `Inbox.stop`, which may be told as well, sooner or later. Finishing the part then writes nothing and is
    fine."""


class Refused(SurfaceError):
    """The platform refuses this content for good (too long, a file too large, a type that isn't allowed)."""


class Surface(Protocol):
    """One turn's view of its thread."""

    style: Style

    def slot(self, sending: Sending) -> AbstractAsyncContextManager[None]:
        """Held around one `post`, `edit`, `delete` or `upload`: entering it waits for this reply's share of the
        platform's budget. What is sent is decided inside, so that text which came meanwhile goes along."""
        ...

    async def resolve(self, person: Person, text: str) -> tuple[str, str]:
        """The person's name, and the text as Markdown with names for ids. Bounded by seconds; never raises: what
        can't be looked up stays an id."""
        ...

    async def mark_waiting(self, asked: str, waits: bool) -> bool:
        """Show on a question of the thread that it was seen and has to wait (a reaction), or take that away. False if
        that didn't work. Never raises, and isn't waited for by a reply."""
        ...

    async def say_undeliverable(self, asked: str, sentence: str) -> bool:
        """The reply was refused for good: say so wherever it can be said (in the thread, in reply to the question,
        in a direct message, by a reaction on the question). False if nowhere. Never raises."""
        ...

    async def working(self, label: str | None) -> None:
        """Show that the agent works (label "" for a plain sign of life); None ends the sign. Never raises:
        a sign of life must not cost a reply."""
        ...

    async def post(
        self,
        key: PartKey,
        text: str,
        *,
        last: bool,
        buttons: Sequence[Button] = (),
        progress: Progress = NO_PROGRESS,
    ) -> str:
        """Post a new part and return the platform's message id. `last=False`: it will grow. The text may be empty
        where there is `progress` to show."""
        ...

    async def edit(
        self,
        key: PartKey,
        message_id: str,
        text: str,
        *,
        shown: str | None,
        last: bool,
        buttons: Sequence[Button] = (),
        progress: Progress = NO_PROGRESS,
    ) -> None:
        """Bring the part from `shown` to `text`; None where nobody knows what it shows (after a restart).
        `last=True` finishes it: the stream is stopped, the buttons are those given."""
        ...

    async def close(self, key: PartKey, message_id: str, *, progress: Progress = NO_PROGRESS) -> None:
        """End a part that still grows, with whatever text it shows: nobody will ever know that again. Its steps are
        brought to their end where that can be done without the text."""
        ...

    async def delete(self, message_id: str) -> None:
        """Take a part away that the final rendering has no use for; one that is gone already is fine."""
        ...

    async def upload(self, key: PartKey, files: Sequence[Upload], text: str = "") -> str:
        """Post files (at most `style.max_files`, each at most `style.max_file_bytes`) with a line of text."""
        ...

    async def find(self, key: PartKey, *, after: str, known: Collection[str]) -> str | None:
        """The message id of a part that an earlier try may have posted, None if it did not. Looks for the key
        where the platform keeps it, else for an own message after the message `after` that is not in `known`."""
        ...

    async def earlier(self, before: str) -> Sequence[ContextMessage]:
        """The messages of the thread before message `before`, oldest first, the bot's own left out; bounded."""
        ...

    async def fetch(self, file: RemoteFile, to: Path, max_bytes: int) -> None:
        """Download a person's attachment. Raises `Refused` if it is larger than `max_bytes` or not on the
        platform's own hosts."""
        ...


@runtime_checkable
class Emails(Protocol):
    """A surface whose platform may tell e-mail addresses."""

    async def email(self, person: Person) -> str:
        """A person's address, "" where it can't be had or may not be asked for. Bounded by seconds; never raises."""
        ...


@runtime_checkable
class Titles(Protocol):
    """A surface whose platform shows titles of threads, and gives them none by itself."""

    def title(self, question: str) -> None:
        """Name the thread after its first question, as the platform wrote it. Takes effect with the next sign of
        work or with its end."""
        ...


@runtime_checkable
class Suggests(Protocol):
    """A surface that can offer a person what to ask next."""

    async def suggest(self, suggestions: Sequence[str]) -> None:
        """Offer them, below a reply that stands; what is chosen is asked as if the person had written it there.
        Bounded by seconds; never raises: what isn't offered is no loss."""
        ...


Mark = Literal["seen", "done"]


@runtime_checkable
class Marks(Protocol):
    """A surface that may show by a reaction on a question what became of it."""

    async def mark(self, asked: str, stands: Mark | None) -> None:
        """Show, as far as the settings say by which emoji, that the question was seen, or instead that its answer
        stands; None takes the first away. Bounded by the platform's budget; never raises."""
        ...


class Opening(Protocol):
    """A place where the agent speaks first: where its message goes, and the thread that is below it then."""

    style: Style

    async def locate(self) -> Address | None:
        """The thread that there is already, as a direct message on Discord is one; None where a message of ours
        begins it."""
        ...

    def moment(self, at: float) -> str:
        """The id that a message of that time (seconds since 1970) would have."""
        ...

    async def find(self, key: PartKey, text: str, since: float) -> str | None:
        """The message id of a first message that an earlier try may have posted, no earlier than `since` (seconds
        since 1970); None if it did not."""
        ...

    async def post(self, key: PartKey, text: str, title: str) -> str:
        """Post the first message and return the platform's message id."""
        ...

    async def open(self, message_id: str, title: str) -> Address:
        """The thread below that message, made if need be."""
        ...


class Speaks(Protocol):
    """What of a platform is needed to speak first there. Every `Opening` may be used again after a failure."""

    async def workspace(self, channel: str) -> str:
        """The workspace that a channel is in. Raises `Gone` where the bot knows that it can't see the channel, and
        `Unreachable` while it doesn't know."""
        ...

    def opening(self, channel: str, person: str, *, guard: Guard) -> Opening:
        """In a channel, or in direct messages with a person where that isn't "". Raises as the calls do."""
        ...


@runtime_checkable
class Draws(Protocol):
    """A surface whose platform has tables and charts of its own."""

    def drawable(self, data: Data) -> int:
        """How many rows of it the platform would show, from the first on; 0 where it has no form for it."""
        ...

    async def draw(self, key: PartKey, data: Data) -> str:
        """Post it as a message of its own and return the platform's message id. Raises `Refused` where the platform
        doesn't take it after all, and as `post` does."""
        ...


class FrontEnd(Speaks, Protocol):
    """A platform that is being served."""

    platform: str

    async def serve(self) -> None:
        """Connect and serve until cancelled. Reconnects by itself; raises only what no retry can mend, a
        `ConfigurationError` with a sentence for the operator."""
        ...

    def surface(self, address: Address, *, person: Person, guard: Guard) -> Surface:
        """The surface for a turn of `person`: Slack streams to a person. `guard` is awaited before each call."""
        ...

    async def catch_up(self) -> None:
        """Fetch what people wrote since the newest message that is stored, and take it in the order in which it
        was written: after a start, a connection that wasn't resumed, an outage of the database. Bounded by age and
        count; one at a time; never raises."""
        ...

    def trouble(self) -> str | None:
        """None while events really flow, else the reason in a few words, for `/readyz`."""
        ...


class ConfigurationError(Exception):
    """Something the operator must mend; `str(error)` is one sentence that says what and where."""
