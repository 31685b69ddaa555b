"""The life of a turn: its states, how it can end, and what leads from one to the next. No I/O.

Stands beside `inbound`, because the store, which only executes, and the turns, which decide, both speak of it.
`python -m bridge.lifecycle` prints the drawing that the README shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from types import MappingProxyType


class ThreadState(StrEnum):
    IDLE = "idle"  # nothing to do
    QUEUED = "queued"  # a turn waits until its person has fewer at work
    READY = "ready"  # a turn waits to be claimed
    RUNNING = "running"  # a replica owns it
    MOVED = "moved"  # stood for one that wasn't opened yet, whose turns are that thread's now


class TurnState(StrEnum):
    RECEIVED = "received"  # stored, not yet asked
    ASKING = "asking"  # the agent works on it
    REPLYING = "replying"  # the whole reply is stored and on its way into the thread
    WAITING = "waiting"  # for a person: an answer to the agent, or a decision whether to send again
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = (TurnState.ASKING, TurnState.REPLYING)  # of a thread's turns at most one


class Outcome(StrEnum):
    """How asking ended, and with it the turn. Stored: a value is never renamed."""

    ANSWERED = "answered"
    INPUT_REQUEST = "input_request"  # the agent asked back
    APPROVAL = "approval"  # the agent wants leave for something
    UNCERTAIN = "uncertain"  # nobody can tell whether the agent got the question
    STOPPED = "stopped"  # by a person, while the agent was at work
    WITHDRAWN = "withdrawn"  # by its author, before it was asked
    JOINED = "joined"  # asked together with the one before it
    ABANDONED = "abandoned"  # what it waited for wasn't given: the person went on
    GAVE_UP = "gave_up"  # too many attempts
    NO_AGENT = "no_agent"  # the thread's agent isn't in the settings any more
    AUTHENTICATION_FAILED = "authentication_failed"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    TIMED_OUT = "timed_out"
    RUN_FAILED = "run_failed"  # the agent worked on it and broke down
    PROTOCOL_ERROR = "protocol_error"
    AGENT_ERROR = "agent_error"  # any other failure of the agent or its adapter
    UNDELIVERABLE = "undeliverable"  # the platform refuses the reply, which is stored
    UNREADABLE = "unreadable"  # it is stored encrypted, and its key isn't there


class Retry(Enum):
    """What *Try again* means after an outcome."""

    NONE = auto()
    ANEW = auto()  # the question is sent again, as a new one
    RESUME = auto()  # goes on from the checkpoint: the question may have arrived, and isn't asked twice
    DELIVER = auto()  # the stored answer is posted again, in the same messages; without one, as RESUME


@dataclass(frozen=True, slots=True)
class Ending:
    """`offered`: the person gets a button for the retry; else only an operator can have it."""

    state: TurnState
    retry: Retry = Retry.NONE
    offered: bool = False


_BROKEN = Ending(TurnState.FAILED, Retry.ANEW, offered=True)
_HOPELESS = Ending(TurnState.FAILED, Retry.ANEW)  # until somebody has changed something
_UNREACHED = Ending(TurnState.FAILED, Retry.RESUME, offered=True)

ENDINGS: Mapping[Outcome, Ending] = MappingProxyType(
    {
        Outcome.ANSWERED: Ending(TurnState.DONE),
        Outcome.INPUT_REQUEST: Ending(TurnState.WAITING),
        Outcome.APPROVAL: Ending(TurnState.WAITING),
        Outcome.UNCERTAIN: Ending(TurnState.WAITING, Retry.ANEW, offered=True),
        Outcome.STOPPED: Ending(TurnState.CANCELLED),
        Outcome.WITHDRAWN: Ending(TurnState.CANCELLED),
        Outcome.JOINED: Ending(TurnState.DONE),
        Outcome.ABANDONED: Ending(TurnState.CANCELLED),
        Outcome.GAVE_UP: _UNREACHED,
        Outcome.NO_AGENT: _HOPELESS,
        Outcome.AUTHENTICATION_FAILED: _HOPELESS,
        Outcome.NOT_FOUND: _HOPELESS,
        Outcome.REJECTED: _HOPELESS,
        Outcome.RATE_LIMITED: _UNREACHED,
        Outcome.UNAVAILABLE: _UNREACHED,
        Outcome.TIMED_OUT: _UNREACHED,
        Outcome.RUN_FAILED: _BROKEN,
        Outcome.PROTOCOL_ERROR: _BROKEN,
        Outcome.AGENT_ERROR: _BROKEN,
        Outcome.UNDELIVERABLE: Ending(TurnState.FAILED, Retry.DELIVER),
        Outcome.UNREADABLE: Ending(TurnState.FAILED, Retry.DELIVER),  # once the key is back
    }
)


class Event(Enum):
    """What can happen to a turn."""

    WITHDRAWN = "its author deletes it"
    JOINED = "it is asked together with one before it, in that one's turn"
    BEGUN = "its thread is free: it is the oldest that can run"
    DELIVERY_BEGUN = "the same, with the whole reply stored by an earlier delivery"
    CONCLUDED = "asking ended, with an outcome"
    DELIVERED = "the whole reply stands in the thread"
    REFUSED = "the platform refuses the reply for good"
    ANSWERED = "a person answers what the agent asked back, or decides, or nobody did in time"
    ABANDONED = "the person goes on without deciding, or says so"
    RETRIED = "a person sends it again: as a turn of its own"
    REDELIVERED = "a person has the stored reply delivered again"


_ENDED = "as the outcome says"

# (state, event) -> the next state; `_ENDED` is that of the outcome. What isn't here can't happen.
TRANSITIONS: Mapping[tuple[TurnState, Event], TurnState | str] = MappingProxyType(
    {
        (TurnState.RECEIVED, Event.WITHDRAWN): TurnState.CANCELLED,
        (TurnState.RECEIVED, Event.JOINED): TurnState.DONE,
        (TurnState.RECEIVED, Event.BEGUN): TurnState.ASKING,
        (TurnState.RECEIVED, Event.DELIVERY_BEGUN): TurnState.REPLYING,
        (TurnState.ASKING, Event.CONCLUDED): TurnState.REPLYING,
        (TurnState.REPLYING, Event.DELIVERED): _ENDED,
        (TurnState.REPLYING, Event.REFUSED): TurnState.FAILED,
        (TurnState.WAITING, Event.ANSWERED): TurnState.DONE,
        (TurnState.WAITING, Event.ABANDONED): TurnState.CANCELLED,
        (TurnState.WAITING, Event.RETRIED): TurnState.FAILED,
        (TurnState.FAILED, Event.RETRIED): TurnState.FAILED,
        (TurnState.FAILED, Event.REDELIVERED): TurnState.RECEIVED,
    }
)


class ImpossibleTransition(Exception):
    """A turn can't go there: a mistake of this program, or a row that was changed by hand."""


def after(state: TurnState, event: Event, outcome: Outcome | None = None) -> TurnState:
    """The state that follows. `outcome` is needed for `DELIVERED`. Raises `ImpossibleTransition`."""
    follows = TRANSITIONS.get((state, event))
    if isinstance(follows, TurnState):
        return follows
    if follows is None or outcome is None:
        raise ImpossibleTransition(f"{state} can't meet {event.name}")
    return ENDINGS[outcome].state


# --- a message and what its thread waits for ------------------------------------------------------------------


class Relation(Enum):
    """What a turn is to the one that its thread waits with."""

    NONE = auto()  # nothing waits, or it has nothing to do with it
    ANSWERS = auto()  # it is the person's answer to the agent, or the decision that it waits for
    HELD = (
        auto()
    )  # it is asked once that is answered: written before it was shown, or while a decision is waited for
    ABANDONS = auto()  # the person goes on instead of deciding


@dataclass(frozen=True, slots=True)
class Waiting:
    """The turn that its thread waits with."""

    outcome: Outcome  # INPUT_REQUEST, APPROVAL or UNCERTAIN
    shown_at: int  # position of the message that shows what is waited for


def relation(waiting: Waiting | None, *, position: int, retry: bool, chosen: bool) -> Relation:
    """What a turn at `position` is to the waiting one. `retry`: sent again by a button, so it wasn't written now.
    `chosen`: it was made of a press for that turn: a choice, an answer in words, a decision."""
    if waiting is None:
        return Relation.NONE
    if chosen:
        return Relation.NONE if waiting.outcome is Outcome.UNCERTAIN else Relation.ANSWERS
    if waiting.outcome is Outcome.APPROVAL:  # a decision is never taken from what people write
        return Relation.HELD
    written_after = position > waiting.shown_at and not retry
    if waiting.outcome is Outcome.INPUT_REQUEST:
        return Relation.ANSWERS if written_after else Relation.HELD
    return Relation.ABANDONS if written_after else Relation.NONE


# --- the drawing ------------------------------------------------------------------------------------------------


def drawing() -> str:
    """The transitions as a Mermaid diagram."""
    lines = ["stateDiagram-v2", "    [*] --> received: stored"]
    for (state, event), follows in TRANSITIONS.items():
        for target in sorted({ending.state for ending in ENDINGS.values()}) if follows == _ENDED else [follows]:
            lines.append(f"    {state} --> {target}: {event.name.lower().replace('_', ' ')}")
    lines += [f"    {state} --> [*]" for state in (TurnState.DONE, TurnState.CANCELLED)]
    return "\n".join(lines)


if __name__ == "__main__":
    print(drawing())
