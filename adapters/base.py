"""What an adapter is: the events it yields, the errors it raises, what else it may be able to do.

An adapter turns one kind of backend into an `Agent`. It is an async client that is useful alone and knows
nothing of chat platforms. Required is `ask`; each thing that only some backends can do is a one-method
Protocol of its own, so a caller asks with `isinstance` and can't forget to.

How a turn survives a crash: an adapter yields a `Checkpoint` *before* each request that must not be repeated
and again as soon as it learned something worth keeping. The caller stores it before it asks for the next
event. Called again with that checkpoint, `ask` asks nothing twice: it polls or reads on, takes the finished
answer from the backend's history, or raises `Uncertain` when nobody can tell whether the question arrived.

How a person tries again: after `Unavailable`, `RateLimited` or `TimedOut` the caller may call `ask` with the last
checkpoint and the same message, its id too, as after a crash. The same holds then, and besides: where the backend
refused the question before it took it, the last checkpoint is the one from before it, so that it is asked now.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, SecretStr

if TYPE_CHECKING:
    import httpx

# A checkpoint's value or a table's cell: the same after a trip through JSON.
Scalar = str | int | float | bool | None


MAX_TABLE_ROWS = 10_000  # rows of one `Table`; an adapter stops reading there and says `truncated`


# --- what goes in -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that a person sent, already on this machine's disk."""

    name: str
    media_type: str
    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks, as far as the platform told and the agent's settings let through. `adapters.person` has the forms in
    which services take it."""

    platform: str  # "slack", "discord", "terminal"
    id: str  # the platform's user id
    name: str = ""
    workspace: str = ""  # Slack's team, Discord's server
    channel: str = ""
    roles: tuple[str, ...] = ()  # ids of Discord's roles
    email: str = ""
    token: SecretStr | None = None  # signed and short-lived, where the agent's settings have a key for it


@dataclass(frozen=True, slots=True)
class Exchange:
    """An earlier question of the conversation and its answer, for a `Stateless` agent."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What people made of an `Approval`."""

    approved: bool
    reason: str = ""  # in words: of whoever decided, or that nobody did in time


@dataclass(frozen=True, slots=True)
class Message:
    """What is asked. `id` is the turn's: the same when the turn is taken up after a crash or a person tries again,
    and another when they have it sent anew. An adapter that looks a question up by its id keeps the id in its
    checkpoints."""

    id: str
    text: str
    attachments: tuple[Attachment, ...] = ()
    history: tuple[Exchange, ...] = ()  # oldest first; filled in for `Stateless` agents only
    person: Person | None = None  # None where nobody is told of; of a decision, who decided
    decision: Decision | None = None  # where it answers an `Approval`; `text` says the same in words


# --- what comes out -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the turn stands. Stored by the caller before the next event is asked for.

    `conversation` is the backend's id as text, None while there is none. `data` belongs to the adapter alone:
    flat and under 4 KB.
    """

    conversation: str | None
    data: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Text:
    """More of the answer, standard Markdown. Only ever appended. A resumed `ask` begins the answer anew."""

    delta: str


@dataclass(frozen=True, slots=True)
class Status:
    """What the agent is doing, in a few words fit for people."""

    label: str


@dataclass(frozen=True, slots=True)
class Source:
    """A page that the agent read or quotes. `url` is hostile input, and "" for a file that has no address."""

    url: str
    title: str = ""


class StepState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of the agent's work that people may follow: a tool's call, a search, a thought in summary.

    `id` names it within the turn: a later event of the same id takes its place, so each event is the whole step.
    Whoever takes a turn up again may yield steps again, under the same ids. `Status` names the phase they are part of.
    """

    id: str
    title: str  # a few words fit for people, no tool's internal name where a better one is known
    state: StepState = StepState.RUNNING
    detail: str = ""  # a line: what it works on, or what came of it; never a tool's raw output
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """A file the agent made. Its bytes come from `Files.download(conversation, ref)`.

    `name` is hostile input; `safe_name` tames it.
    """

    name: str
    ref: str
    media_type: str = "application/octet-stream"
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A data frame, at most `MAX_TABLE_ROWS` rows."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Scalar, ...], ...]
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a `Chart`: a value for each of its labels, None where there is none."""

    name: str
    values: tuple[float | None, ...]


class ChartKind(StrEnum):
    LINE = "line"
    BAR = "bar"
    AREA = "area"
    PIE = "pie"  # of the first series


@dataclass(frozen=True, slots=True)
class Chart:
    """Numbers to be drawn, at most `MAX_TABLE_ROWS` labels. Shown as a table where a platform draws none."""

    name: str
    kind: ChartKind
    labels: tuple[str, ...]
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class InputRequest:
    """The agent asks back and `ask` ends without `Done`.

    The last checkpoint before it is the way on: `ask` with that checkpoint and the person's answer as its
    message gives the answer to the waiting run. The caller may have died between the two, so that checkpoint
    holds the id of the message that led to the question: called with that message again, `ask` yields the
    question again; a message with any other id is the answer.
    """

    text: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Approval:
    """The agent wants leave for something before it does it, and `ask` ends without `Done`.

    The way on is as after an `InputRequest`, with a message that holds a `Decision`. It comes in any case: where
    nobody decides in time, as one that declines.
    """

    title: str  # what is to be done, in one line
    detail: str = ""  # Markdown: with what, why
    approvers: tuple[str, ...] = ()  # who may decide, as "slack:U…", "discord:…"; empty: whom the settings name
    seconds: float | None = None  # how long it can wait; None: as long as the settings say


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as far as the backend says."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The answer is complete; the last event.

    `text` is the whole answer, where the backend's final word may differ from the deltas that were streamed;
    None where the deltas are the answer. `note` is a sentence for people that is shown below the answer and is no
    part of it, e.g. that the answer was cut off.
    """

    text: str | None = None
    usage: Usage | None = None
    note: str = ""
    sources: tuple[Source, ...] = ()  # what the answer quotes, as footnotes in the order of their numbers, from 1
    suggestions: tuple[
        str, ...
    ] = ()  # what a person may want to ask next, in their words; shown where a platform can


Event = Checkpoint | Text | Status | Step | File | Table | Chart | InputRequest | Approval | Done


# --- what goes wrong ----------------------------------------------------------------------------------------


class AgentError(Exception):
    """Root of all that an adapter raises. `str(error)` is the detail that is stored with the turn, without secrets. It
    may quote the service, which may quote a person, so it is never logged; `status` is: what the service answered by
    HTTP. `sentence` is for the person in the thread and names no internals."""

    sentence: str = "Something went wrong while talking to the agent."
    status: int | None = None

    def __init__(self, detail: str, *, sentence: str | None = None) -> None:
        super().__init__(detail)
        if sentence is not None:
            self.sentence = sentence


class AuthenticationFailed(AgentError):
    """401 or 403: the key is wrong, missing or not allowed to."""

    sentence = "The agent refused our key. Please tell whoever runs this bot."


class NotFound(AgentError):
    """404: the agent, the conversation or the file does not exist (any more)."""

    sentence = "The agent no longer knows this conversation. Please begin a new thread."


class Rejected(AgentError):
    """The backend understood and refused: bad input, a file type, a locked conversation."""

    sentence = "The agent couldn't work with that message."


class RunFailed(Rejected):
    """The backend took the question and failed on it. Nothing is left to take up: trying again asks it anew."""

    sentence = "The agent ran into an error while working on that."


class RateLimited(AgentError):
    """429, still, after the retries. `retry_after` in seconds where the backend said so."""

    sentence = "The agent is getting too many requests right now. Please try again in a few minutes."

    def __init__(self, detail: str, *, retry_after: float | None = None, sentence: str | None = None) -> None:
        super().__init__(detail, sentence=sentence)
        self.retry_after = retry_after


class Unavailable(AgentError):
    """No connection, or a 5xx: the question was not taken."""

    sentence = "The agent can't be reached right now. Please try again later."


class TimedOut(AgentError):
    """No answer before the deadline; the question may still be worked on."""

    sentence = "The agent took too long to answer."


class ProtocolError(AgentError):
    """An answer that isn't what the service documents or was seen to send."""

    sentence = "The agent sent an answer that couldn't be understood."


class Uncertain(AgentError):
    """Nobody can tell whether the backend got the question. The person is asked whether to send it again."""

    sentence = "The connection broke while your message was on its way, so it may or may not have arrived."


# --- the contract -------------------------------------------------------------------------------------------


class AgentSettings(BaseModel):
    """Base of each adapter's `Settings`: the keys of its `[agents.NAME]` table, less `kind` and `deadline`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class KeyedSettings(AgentSettings):
    """The common case: an address and a key."""

    base_url: str = Field(description="The address of the service's API.")
    api_key: SecretStr = Field(description="The key that it takes.")


@runtime_checkable
class Agent(Protocol):
    """One configured backend."""

    def ask(
        self, conversation: str | None, message: Message, *, resume: Checkpoint | None = None
    ) -> AsyncIterator[Event]:
        """Work on one turn.

        `conversation` None begins one. Ends after `Done`, `InputRequest` or `Approval`, or raises. With `resume` it
        takes the turn up where that checkpoint left it. Closing the iterator stops reading; it doesn't stop the
        backend (see `Cancels`). One call at a time per conversation.

        :raises AuthenticationFailed: the key is wrong, missing or not allowed to.
        :raises NotFound: the agent or the conversation doesn't exist (any more).
        :raises Rejected: the message was understood and refused; asked again, it is refused again.
        :raises RunFailed: the question was taken and failed; nothing is left to take up.
        :raises RateLimited: too many requests, after the tries; the last checkpoint is the one to go on from.
        :raises Unavailable: no connection, or the backend is down; the same.
        :raises TimedOut: no answer in time, and the question may still be worked on; the same.
        :raises ProtocolError: the answer isn't what the service documents or was seen to send.
        :raises Uncertain: nobody can tell whether the question arrived; only a person may have it sent again.
        """
        ...


class Adapter(Protocol):
    """What an entry point in the group `threadbridge.adapters` names: usually the Agent class itself, with its
    settings as a class in it."""

    @property
    def Settings(self) -> type[AgentSettings]: ...  # noqa: N802

    def __call__(self, settings: Any, client: httpx.AsyncClient) -> Agent:
        """Make the agent. `client` is shared by all adapters (see `adapters.http`) and closed by its owner. No I/O,
        and it never raises: settings that can't work together are refused by `Settings`.
        """
        ...


@runtime_checkable
class Files(Protocol):
    """The conversation's files can be listed and fetched. Required of an agent that yields `File`."""

    async def files(self, conversation: str) -> Sequence[File]:
        """Those that the agent made and, where the backend keeps them, those that it was given.

        :raises NotFound: there is no such conversation (any more).
        :raises Rejected: this server doesn't list them.
        :raises AgentError: as of `Agent.ask`, but never `Uncertain`: it may be repeated.
        """
        ...

    def download(self, conversation: str, ref: str) -> AsyncIterator[bytes]:
        """The file's bytes in chunks. `ref` is that of a `File`.

        :raises NotFound: there is no such file (any more).
        :raises Rejected: it lies where this adapter doesn't fetch, or is too large.
        :raises AgentError: as of `Agent.ask`, but never `Uncertain`: it may be begun anew.
        """
        ...


@runtime_checkable
class Accepts(Protocol):
    """Which files the backend takes is known before any is sent."""

    def accepts(self, name: str, media_type: str, size: int) -> str:
        """Why the backend would refuse such a file, a sentence fit for people; "" where it may take it. `size` in
        bytes. No I/O, and it never raises; what isn't known for certain is no reason."""
        ...


@runtime_checkable
class Cancels(Protocol):
    """A running turn can be stopped at the backend."""

    async def cancel(self, conversation: str, checkpoint: Checkpoint) -> None:
        """`checkpoint` is the turn's last one. A run that has ended already counts as stopped. May be repeated.

        :raises AgentError: as of `Agent.ask`, but never `Uncertain`; the run goes on then.
        """
        ...


@runtime_checkable
class Deletes(Protocol):
    """A conversation can be deleted at the backend."""

    async def delete(self, conversation: str) -> None:
        """For good. May be repeated.

        :raises NotFound: it is gone already, where the backend tells; to the caller that is as good.
        :raises Rejected: the backend doesn't let it be deleted.
        :raises AgentError: as of `Agent.ask`, but never `Uncertain`; it may still be there then.
        """
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a conversation's history; `role` is `person` or `agent`."""

    role: str
    text: str


@runtime_checkable
class History(Protocol):
    """The backend can be asked what was said."""

    async def history(self, conversation: str) -> Sequence[Row]:
        """Oldest first.

        :raises NotFound: there is no such conversation (any more).
        :raises Rejected: this server doesn't tell.
        :raises AgentError: as of `Agent.ask`, but never `Uncertain`: it may be repeated.
        """
        ...


@runtime_checkable
class Lists(Protocol):
    """The backend lists the conversations of this agent, newest first where it says."""

    async def conversations(self) -> Sequence[str]:
        """Their ids.

        :raises Rejected: this server doesn't list them.
        :raises AgentError: as of `Agent.ask`, but never `Uncertain`: it may be repeated.
        """
        ...


@runtime_checkable
class Rates(Protocol):
    """The backend takes what people think of an answer."""

    async def rate(self, conversation: str, checkpoint: Checkpoint, good: bool, words: str) -> None:
        """`checkpoint` is the answered turn's last one. Comes to the same when it is repeated; the last one counts.

        :raises NotFound: the answer isn't there (any more).
        :raises AgentError: as of `Agent.ask`, but never `Uncertain`: it may be repeated.
        """
        ...


@runtime_checkable
class Stateless(Protocol):
    """The backend keeps nothing: `Message.history` must carry the earlier exchanges, at most `remembers`."""

    remembers: int


@runtime_checkable
class Checks(Protocol):
    """Whether the settings can work can be found out without asking anything."""

    async def check(self) -> str:
        """One line on what was confirmed, for `doctor`. Asks nothing and makes nothing.

        :raises AuthenticationFailed: the key is wrong, missing or not allowed to.
        :raises NotFound: a setting names what isn't there.
        :raises Rejected: the backend refuses these settings.
        :raises AgentError: as of `Agent.ask`, but never `Uncertain`; its detail says what is wrong.
        """
        ...


@runtime_checkable
class Closes(Protocol):
    """The agent opened something of its own; the shared client is its owner's to close."""

    async def aclose(self) -> None:
        """Once, after the last call. Never raises an `AgentError`."""
        ...
