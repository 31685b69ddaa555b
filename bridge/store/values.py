"""What the store gives and takes: frozen values, no rows of its own are carried about."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.base import Checkpoint, Source
from bridge.cipher import MARK, is_encrypted
from bridge.inbound import Address, Person, RemoteFile
from bridge.lifecycle import Outcome, TurnState, Waiting
from bridge.store.encrypted_engine import UnreadableRow
from bridge.store.engine import Row
from bridge.store.tables import Turn, Words, as_json, table_of

MAX_NAME = 255  # characters of a person's name
MAX_SOURCES = 100  # of one answer
MAX_ADDRESS = 2_000  # characters of a source's
MAX_ROLES = 250  # of a person; Discord's limit of a server's


@dataclass(frozen=True, slots=True)
class Claim:
    """A thread that this replica owns until it releases it or loses it."""

    thread: int
    token: int
    address: Address
    agent: str
    attempts: int  # claims since something was achieved, this one included
    seat: str | None = None  # the person whose turns may run under it


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn as it stands."""

    id: str
    thread: int
    event_key: str
    message_id: str
    position: int
    person: Person  # who wrote it, or made the choice that it is
    asked_by: Person | None  # who had it sent again; None: `person`
    text: str
    files: tuple[RemoteFile, ...]
    direct: bool
    mid_thread: bool
    revision: int
    edited: str | None
    state: TurnState
    stopped: bool
    retry_of: str | None
    asked_as: str | None
    chosen: str | None
    spoken: Spoken | None  # the agent says it unasked
    decision: DecisionMade | None
    settles: str | None
    joined_into: str | None
    marked: bool
    start: str | None
    checkpoint: Checkpoint | None
    answer: str | None
    request: Asked | None
    settled: str | None
    notice: str | None
    steps: str | None  # as they are stored: see `turns.steps`
    sources: tuple[Source, ...]
    heard: str | None
    outcome: Outcome | None
    detail: str | None
    superseded_by: str | None
    traceparent: str | None  # of its trace's first span, where it has one
    received_at: int
    begun_at: int | None
    # Why it can't be read, for the operator. What is missing of it stands as if nobody had written it, and is never
    # to be shown, asked or stored.
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """What became of a change of a message."""

    changed: bool = False  # it waits still, and is asked in the new words
    asked: str | None = None  # the turn that was asked in the old ones; told to one caller for each change


@dataclass(frozen=True, slots=True)
class InputRequestShown:
    """What the agent asked back."""

    text: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the agent says unasked, besides its text, which is the turn's answer."""

    digest: str  # of the request, by which a key that is used again is told from a repetition
    place: str  # where it was allowed: the platform, a colon, and the id of a channel or person
    title: str = ""  # of the thread that it opens
    known: bool = False  # to the backend's conversation: the agent needn't be told of it


@dataclass(frozen=True, slots=True)
class ApprovalShown:
    """What the agent wants leave for."""

    title: str
    detail: str
    approvers: tuple[str, ...]  # who may decide, as "slack:U…", "discord:…"
    names: tuple[str, ...]  # of those who are on the thread's platform
    until: int  # then it is declined; a stored time


Asked = InputRequestShown | ApprovalShown


@dataclass(frozen=True, slots=True)
class DecisionMade:
    """What was made of an approval."""

    approved: bool
    reason: str = ""
    by_nobody: bool = False  # the time was over


@dataclass(frozen=True, slots=True)
class WaitingTurn:
    """The turn that its thread waits with."""

    id: str
    waiting: Waiting
    checkpoint: str | None  # as it is stored
    request: Asked | None = None
    traceparent: str | None = None
    unreadable: str = ""  # as of a `StoredTurn`


@dataclass(frozen=True, slots=True)
class Marked:
    """A message that shows, or is to show, that it waits."""

    turn: str
    thread: int
    message_id: str
    address: Address
    person: Person
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a claimed thread has to do next, and what its turns have to do with each other."""

    turn: StoredTurn | None  # the active one, else the oldest that can run
    waiting: WaitingTurn | None
    conversation: str | None
    several: bool  # more than one person asked here
    last_part: str | None  # message id of the last finished reply's last part
    recheck: str | None  # a turn whose parts may have been overwritten by a replica that lost its claim
    spoke_at: int | None = None  # position of the last turn that the agent spoke unasked


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One platform message of a reply, known to have been posted."""

    kind: str
    index: int
    message_id: str
    ends: int | None = None
    shown: int = 0
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """A file, a table or a chart that the agent made; `table` holds columns, rows, truncated, and a chart's kind."""

    index: int
    kind: str
    name: str
    media_type: str
    ref: str = ""
    size: int | None = None
    table: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How asking ended: the whole reply, from which on no agent is needed."""

    outcome: Outcome
    answer: str = ""
    request: Asked | None = None
    notice: str = ""
    detail: str = ""
    artifacts: tuple[ArtifactRecord, ...] = ()
    sources: tuple[Source, ...] = ()


def can_be_regenerated(turn: StoredTurn) -> bool:
    """Whether the agent gave a whole answer to a question. What answers an input request is none: the agent waits for
    it no more."""
    answers = (
        turn.chosen is not None or turn.decision is not None or (turn.start is not None and turn.asked_as is None)
    )
    return turn.outcome is Outcome.ANSWERED and turn.spoken is None and not answers


def new_turn_id() -> str:
    """16 characters, so that a part's nonce stays within Discord's 25."""
    return secrets.token_hex(8)


def key_digest(key: str) -> str:
    """Of a message's or an event's key: what is left of one that was refused or removed. It names nobody."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def storable(text: str) -> str:
    """Text that any database and any encoder takes. PostgreSQL's can't hold a NUL, and nobody means one; half a
    surrogate pair can't be UTF-8, but JSON may bring it; and none that isn't encrypted looks as if it were."""
    if text.startswith(MARK[0]):
        text = text.lstrip(MARK[0])
    if text.isascii():
        return text.replace("\0", "") if "\0" in text else text
    return text.replace("\0", "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def checkpoint_json(checkpoint: Checkpoint | None) -> str | None:
    if checkpoint is None:
        return None
    return as_json({"conversation": checkpoint.conversation, "data": dict(checkpoint.data)})


def checkpoint_of(stored: str | None) -> Checkpoint | None:
    if stored is None:
        return None
    value = json.loads(stored)
    return Checkpoint(value["conversation"], value["data"])


def files_json(files: Sequence[RemoteFile]) -> str:
    return as_json(
        [
            [
                *(storable(text) for text in (file.id, file.name, file.media_type)),
                *(file.size, storable(file.url), *(() if file.seconds is None else (file.seconds,))),
            ]
            for file in files
        ]
    )


def roles_json(roles: Sequence[str]) -> str | None:
    return as_json([storable(role) for role in roles[:MAX_ROLES]]) if roles else None


def person_json(person: Person | None) -> str | None:
    """A person who isn't the author: an author has columns."""
    if person is None:
        return None
    name = storable(person.name[:MAX_NAME])
    roles = list(person.roles[:MAX_ROLES])
    return as_json({"id": person.id, "name": name, "workspace": person.workspace, "roles": roles})


def request_json(request: Asked | None) -> str | None:
    if request is None:
        return None
    if isinstance(request, ApprovalShown):
        return as_json(
            {
                "kind": "approval",
                "title": storable(request.title),
                "detail": storable(request.detail),
                "approvers": [storable(one) for one in request.approvers],
                "names": [storable(one) for one in request.names],
                "until": request.until,
            }
        )
    return as_json({"text": storable(request.text), "choices": [storable(choice) for choice in request.choices]})


def _request(stored: str | None) -> Asked | None:
    if stored is None:
        return None
    value = json.loads(stored)
    if value.get("kind") == "approval":
        approvers, names = tuple(value["approvers"]), tuple(value["names"])
        return ApprovalShown(value["title"], value["detail"], approvers, names, value["until"])
    return InputRequestShown(value["text"], tuple(value["choices"]))


def decision_json(decision: DecisionMade | None) -> str | None:
    if decision is None:
        return None
    value = {"approved": decision.approved, "reason": storable(decision.reason), "by_nobody": decision.by_nobody}
    return as_json(value)


def _decision(stored: str | None) -> DecisionMade | None:
    return DecisionMade(**json.loads(stored)) if stored else None


def sources_json(sources: Sequence[Source]) -> str | None:
    kept = [[storable(one.url[:MAX_ADDRESS]), storable(one.title[:MAX_NAME])] for one in sources[:MAX_SOURCES]]
    return as_json(kept) if kept else None


def _person(stored: str | None) -> Person | None:
    if stored is None:
        return None
    value = json.loads(stored)
    return Person(value["id"], value["name"], value["workspace"], tuple(value["roles"]))


_COLUMNS = tuple(Turn.model_fields)
_WORDS = tuple(column.name for column in table_of(Turn).c if isinstance(column.type, Words))
NO_KEYS = "it is encrypted, and this process was started without data.keys"


def turn_of(row: Row) -> StoredTurn:
    """A turn from the columns of its table, in their order."""
    value = dict(zip(_COLUMNS, row, strict=False))
    unreadable = row.reason if isinstance(row, UnreadableRow) else ""
    if any(
        is_encrypted(value[name] or "") for name in _WORDS
    ):  # another replica has a key already, and this one doesn't look for any
        value |= dict.fromkeys(_WORDS)
        unreadable = NO_KEYS
    spoken = json.loads(value["spoken"]) if value["spoken"] else None
    return StoredTurn(
        id=value["id"],
        thread=value["thread_id"],
        event_key=value["event_key"],
        message_id=value["message_id"],
        position=value["position"],
        person=Person(
            value["person"],
            value["person_name"] or "",
            value["person_workspace"],
            tuple(json.loads(value["person_roles"] or "[]")),
        ),
        asked_by=_person(value["asked_by"]),
        text=value["text"] or "",
        files=tuple(RemoteFile(*file) for file in json.loads(value["files"] or "[]")),
        direct=bool(value["direct"]),
        mid_thread=bool(value["mid_thread"]),
        revision=value["revision"],
        edited=value["edited"],
        state=TurnState(value["state"]),
        stopped=bool(value["stopped"]),
        retry_of=value["retry_of"],
        asked_as=value["asked_as"],
        chosen=value["chosen"],
        spoken=Spoken(**spoken) if spoken else None,
        decision=_decision(value["decision"]),
        settles=value["settles"],
        joined_into=value["joined_into"],
        marked=bool(value["marked"]),
        start=value["start"],
        checkpoint=checkpoint_of(value["checkpoint"]),
        answer=value["answer"],
        request=_request(value["request"]),
        settled=value["settled"],
        notice=value["notice"],
        steps=value["steps"],
        sources=tuple(Source(*one) for one in json.loads(value["sources"] or "[]")),
        heard=value["heard"],
        outcome=Outcome(value["outcome"]) if value["outcome"] else None,
        detail=value["detail"],
        superseded_by=value["superseded_by"],
        traceparent=value["traceparent"],
        received_at=value["received_at"],
        begun_at=value["begun_at"],
        unreadable=unreadable,
    )
