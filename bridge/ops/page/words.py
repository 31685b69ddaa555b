"""The page's sentences and how it writes times, states and names. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from bridge.lifecycle import ENDINGS, Outcome, Retry, TurnState
from bridge.printable import printable, printable_line
from bridge.store.tables import SECOND
from bridge.store.watching import WatchedTurn

MAX_LINE = 240  # characters of a detail in a list

STATES: Mapping[str, str] = {
    "received": "Queued",
    "asking": "Asking",
    "replying": "Replying",
    "waiting": "Waiting",
    "done": "Done",
    "failed": "Failed",
    "cancelled": "Stopped",
}
OUTCOMES: Mapping[str, str] = {
    "answered": "answered",
    "unreadable": "it is stored encrypted, and its key isn't in the settings",
    "input_request": "the agent asked back",
    "approval": "the agent wants leave for something",
    "uncertain": "nobody can tell whether the agent got the question",
    "stopped": "stopped by a person",
    "withdrawn": "withdrawn by its author",
    "joined": "asked together with the one before it",
    "abandoned": "the person went on without it",
    "gave_up": "given up after too many attempts",
    "no_agent": "its agent isn't in the settings any more",
    "authentication_failed": "the agent's service refused the key",
    "not_found": "the agent's service doesn't know what was asked for",
    "rejected": "the agent's service refused the question",
    "rate_limited": "the agent's service has a limit, which was reached",
    "unavailable": "the agent's service couldn't be reached",
    "timed_out": "the agent took too long",
    "run_failed": "the agent broke down at its work",
    "protocol_error": "the agent's service answered like another one",
    "agent_error": "the agent or its adapter failed",
    "undeliverable": "the platform refused the reply, which is kept",
}
RETRIES: Mapping[Retry, str] = {
    Retry.ANEW: "The question is sent to the agent once more, as a new turn of its thread.",
    Retry.RESUME: "Goes on where it broke off: the agent may have the question, and isn't asked twice.",
    Retry.DELIVER: "The stored answer is posted again; the agent isn't asked.",
}
MAY_BE_TWICE = "Nobody can tell whether the agent got the question: sent again, it may work on it twice."
# What became of a press. Only these stand in an address, never a sentence.
SAID: Mapping[str, tuple[bool, str]] = {
    "sent": (True, "Put in again as a new turn. It runs as soon as its thread is free."),
    "delivering": (True, "The stored answer is being posted again."),
    "late": (
        False,
        "Nothing was done: somebody was quicker, or the turn has moved on. This is how it stands now.",
    ),
    "stopping": (True, "It is being stopped. What still comes from the agent isn't shown."),
    "at_rest": (False, "Nothing was stopped: it isn't under way any more."),
    "looking": (True, "The agents are being looked at."),
    "looked": (False, "They were looked at just now. Wait a few seconds."),
    "away": (
        False,
        "Nothing is known to be done: the database didn't answer. Look at the turn before you repeat it.",
    ),
}


def why_not(turn: WatchedTurn) -> str | None:
    """Why a turn can't be sent again; None if it can, as far as the row tells."""
    match turn.state:
        case _ if turn.superseded_by is not None:
            return "It was sent again already, as another turn."
        case "received":
            return "It waits to be asked."
        case "asking":
            return "The agent is at work on it."
        case "replying":
            return "Its reply is on the way into the thread."
        case "done":
            return "It was answered. Only a person in the thread can ask it again."
        case "cancelled":
            return "It was stopped or withdrawn. Only a person in the thread can ask it again."
        case "waiting" if turn.outcome == "input_request":
            return "The agent asked back: it waits for the person's answer."
        case "waiting" if turn.outcome == "approval":
            return "It waits for a decision: somebody has to approve or decline what the agent wants to do."
    return None if retry_of(turn) is not Retry.NONE else "Nothing is known of how it ended."


def retry_of(turn: WatchedTurn) -> Retry:
    try:
        return ENDINGS[Outcome(turn.outcome or "")].retry
    except ValueError:  # of a newer version
        return Retry.NONE


def can_retry(turn: WatchedTurn) -> bool:
    return why_not(turn) is None


def can_stop(turn: WatchedTurn) -> bool:
    return turn.state in (TurnState.ASKING, TurnState.REPLYING) and not turn.stopped


def reason(turn: WatchedTurn) -> str:
    """Why a turn ended, or what it waits for."""
    return OUTCOMES.get(turn.outcome or "", turn.outcome or "")


def line(text: str | None, most: int = MAX_LINE) -> str:
    """What others wrote, on one line that steers nothing."""
    cleaned = printable_line(text or "")
    return cleaned if len(cleaned) <= most else f"{cleaned[: most - 1]}…"


def block(text: str | None) -> str:
    """The same with its line breaks."""
    return printable(text or "")


def iso(moment: int) -> str:
    return datetime.fromtimestamp(moment / SECOND, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def utc(moment: int) -> str:
    return datetime.fromtimestamp(moment / SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: float | None) -> str:
    """As few characters as say it."""
    if seconds is None:
        return "–"
    if seconds < 0.95:
        return f"{max(0.0, seconds) * 1_000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 48 else f"{hours // 24} d"
