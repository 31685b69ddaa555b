"""What the rows and the status of an Agentok chat say about a run. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.base import ProtocolError
from adapters.text import without_thoughts

MAX_LINE = 60_000  # bytes of a person's answer: a run whose output has a line of more than 64 KB dies
UNASKED = 8  # looks at a run that waits for a person without a row that asks
WAITING = "wait_for_human_input"

_ASKS = "The agent waits for your answer."

Kind = Literal["person", "agent", "summary", "control", "tool", "hidden"]

_KINDS: dict[str, Kind] = {"user": "person", "assistant": "agent", "summary": "summary"}
_CONTROL = re.compile(r"\s*__STATUS_([A-Z_]+?)__(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ChatRow:
    """A row of a chat. `word` is a control row's: RUNNING, WAIT_FOR_HUMAN_INPUT, COMPLETED, …; `text` what
    follows it. `tool` is the name in a row that calls one, "" in its answer, `call` what joins the two."""

    id: int
    kind: Kind
    text: str
    word: str = ""
    sender: str = ""
    receiver: str = ""
    tool: str = ""
    call: str = ""


def read_row(raw: Any) -> ChatRow:
    try:
        number = int(raw["id"])
    except (TypeError, KeyError, ValueError) as error:
        raise ProtocolError("agentok: a message without an id") from error
    text = str(raw.get("content") or "")
    if control := _CONTROL.fullmatch(text):
        return ChatRow(number, "control", control[2].strip(), control[1])
    metadata = raw.get("metadata") or raw.get("meta")
    sender, receiver = str(raw.get("sender") or ""), str(raw.get("receiver") or "")
    if isinstance(metadata, dict) and (info := metadata.get("tool_info")):
        known = info if isinstance(info, dict) else {}
        calls = known.get("type") == "suggested_tool_call"
        named = {"tool": str(known.get("tool") or "tool") if calls else "", "call": str(known.get("meta") or "")}
        return ChatRow(number, "tool", "", sender=sender, **named)
    kind = _KINDS.get(str(raw.get("type")), "hidden")
    shown = text.strip() if kind == "person" else without_thoughts(text).strip()
    return ChatRow(number, kind, shown, sender=sender, receiver=receiver)


def read_rows(messages: Any) -> list[ChatRow]:
    """The rows of a chat in order, without those that aren't understood."""
    if not isinstance(messages, list):
        raise ProtocolError("agentok: messages that aren't a list")
    rows: list[ChatRow] = []
    odd: ProtocolError | None = None
    for raw in messages:
        try:
            rows.append(read_row(raw))
        except ProtocolError as error:
            odd = error
    if odd and not rows:
        raise odd
    return sorted(rows, key=lambda row: row.id)


def highest(rows: Sequence[ChatRow]) -> int:
    return max((row.id for row in rows), default=0)


def folded(answer: str) -> str:
    """A person's answer in one line: each line of it would answer a question of its own, shown or not."""
    return " ".join(line.strip() for line in answer.splitlines() if line.strip())


def is_echo(row: ChatRow, asked: str) -> bool:
    """Whether an agent's row only repeats what the person wrote: the server quotes it and drops blank lines."""
    plain = " ".join(row.text.split())
    words = " ".join(asked.split())
    return row.kind == "agent" and plain in {words, f'"{words}"'}


def _after_person(rows: Sequence[ChatRow]) -> Sequence[ChatRow]:
    """What follows the person's row, which servers that don't write one down leave out."""
    at = next((n for n, row in enumerate(rows) if row.kind == "person"), -1)
    return rows[at + 1 :]


State = Literal["unknown", "working", "waiting", "finished", "aborted", "failed"]


@dataclass(slots=True)
class Run:
    """How the run of one question goes, as far as the looks at its chat tell.

    `stale`: the chat's status was left at "running" by a run that is dead. `answers`: the run went on with a
    person's answer, whose echo may stand anywhere.
    """

    mark: int  # the highest row id before the question
    asked: str
    arrived: bool = False  # the server has the question
    begun: bool = False  # a status that is read from now on is this run's, not that of the one before
    stale: bool = False
    answers: bool = False
    state: State = "unknown"
    reason: str = ""  # of a failure, for the log alone
    question: str = ""
    last: int = 0  # the highest row id seen
    said: bool = False
    _seen: set[int] = field(default_factory=set)
    _summary: str = ""
    _unasked: int = 0
    _echoed: bool = False

    def own(self, rows: Sequence[ChatRow]) -> Sequence[ChatRow]:
        """Those of this run alone, as far as they are known to be."""
        return _after_person([row for row in rows if row.id > self.mark]) if self.begun else ()

    def look(self, status: str | None, rows: Sequence[ChatRow]) -> list[str]:
        """Take in a status and the rows that were read after it; the texts that are new."""
        above = [row for row in rows if row.id > self.mark]
        own = _after_person(above)
        current = status if self.begun else None
        self.last = max(self.mark, self.last, highest(above))
        # the end of the run before may be written down late: that row alone is no beginning
        self.begun = self.begun or self._begins(status) or any(row.word != "COMPLETED" for row in own)
        self.arrived = self.arrived or self.begun or len(own) < len(above)
        if self.begun:
            self._conclude(current, next((row for row in reversed(own) if row.kind == "control"), None))
        return [row.text for row in own if self._is_new(row)]

    def end(self, died: str | None) -> None:
        """Nothing more comes, and a status that still says so is wrong. `died`: what the server fell over."""
        if self.arrived and self.state not in {"finished", "failed", "aborted"}:
            self.state, self.reason = ("failed", died) if died else ("finished", "")

    def rest(self) -> str:
        """What to show of a finished run that said nothing: its summary."""
        return "" if self.said else self._summary

    def _begins(self, status: str | None) -> bool:
        """Whether the status alone says so."""
        if self.stale:  # the end of the dead run may be written down now
            return status not in {"running", "aborted"}
        return status == "running"

    def _conclude(self, status: str | None, control: ChatRow | None) -> None:
        word = control.word if control else ""
        if control and word == "COMPLETED":
            self.state, self.reason = _ending(control.text), control.text
        elif status in _ENDINGS:
            self.state, self.reason = _ENDINGS[status], str(status)
        elif control and status == WAITING and word == "WAIT_FOR_HUMAN_INPUT":
            self.state, self.question = "waiting", control.text or _ASKS
        elif status == WAITING and self._unasked == UNASKED:
            self.state, self.question = "waiting", _ASKS
        else:
            self.state = "working"
            self._unasked += status == WAITING

    def _is_new(self, row: ChatRow) -> bool:
        if row.kind == "summary":
            self._summary = row.text
        if row.kind != "agent" or not row.text or row.id in self._seen:
            return False
        may_echo = not self._echoed if self.answers else not self._seen
        self._seen.add(row.id)
        if may_echo and is_echo(row, self.asked):
            self._echoed = True
            return False
        self.said = True
        return True


_ENDINGS: dict[str | None, State] = {
    "completed": "finished",
    "ready": "finished",
    "error": "failed",
    "failed": "failed",
    "aborted": "aborted",
}


def _ending(text: str) -> State:
    """What a `COMPLETED` row says: DONE, TERMINATED, or an exit code and the last line of a stack trace."""
    if text.startswith("TERMINATED"):
        return "aborted"
    return "failed" if re.match(r"-?\d+\s*:", text) else "finished"
