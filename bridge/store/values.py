"""What the store gives and takes: frozen values, no rows of its own are carried about."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.base import Checkpoint
from bridge.inbound import Address, Person, RemoteFile
from bridge.lifecycle import Outcome, TurnState, Waiting
from bridge.store.engine import Row
from bridge.store.tables import Turn, as_json

MAX_NAME = 255  # characters of a person's name
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
    joined_into: str | None
    marked: bool
    start: str | None
    checkpoint: Checkpoint | None
    answer: str | None
    request: InputRequestShown | None
    notice: str | None
    steps: str | None  # as they are stored: see `turns.steps`
    outcome: Outcome | None
    detail: str | None
    superseded_by: str | None
    received_at: int
    begun_at: int | None


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
class WaitingTurn:
    """The turn that its thread waits with."""

    id: str
    waiting: Waiting
    checkpoint: str | None  # as it is stored


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
    """A file or table that the agent made; `table` holds columns, rows, truncated."""

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
    request: InputRequestShown | None = None
    notice: str = ""
    detail: str = ""
    artifacts: tuple[ArtifactRecord, ...] = ()


def new_turn_id() -> str:
    """16 characters, so that a part's nonce stays within Discord's 25."""
    return secrets.token_hex(8)


def storable(text: str) -> str:
    """Text that any database and any encoder takes. PostgreSQL's can't hold a NUL, and nobody means one; half a
    surrogate pair can't be UTF-8, but JSON may bring it."""
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
            [storable(file.id), storable(file.name), storable(file.media_type), file.size, storable(file.url)]
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


def request_json(request: InputRequestShown | None) -> str | None:
    if request is None:
        return None
    return as_json({"text": storable(request.text), "choices": [storable(choice) for choice in request.choices]})


def _person(stored: str | None) -> Person | None:
    if stored is None:
        return None
    value = json.loads(stored)
    return Person(value["id"], value["name"], value["workspace"], tuple(value["roles"]))


_COLUMNS = tuple(Turn.model_fields)


def turn_of(row: Row) -> StoredTurn:
    """A turn from the columns of its table, in their order."""
    value = dict(zip(_COLUMNS, row, strict=False))
    request = json.loads(value["request"]) if value["request"] else None
    return StoredTurn(
        id=value["id"],
        thread=value["thread_id"],
        event_key=value["event_key"],
        message_id=value["message_id"],
        position=value["position"],
        person=Person(
            value["person"],
            value["person_name"],
            value["person_workspace"],
            tuple(json.loads(value["person_roles"] or "[]")),
        ),
        asked_by=_person(value["asked_by"]),
        text=value["text"],
        files=tuple(RemoteFile(*file) for file in json.loads(value["files"])),
        direct=bool(value["direct"]),
        mid_thread=bool(value["mid_thread"]),
        revision=value["revision"],
        edited=value["edited"],
        state=TurnState(value["state"]),
        stopped=bool(value["stopped"]),
        retry_of=value["retry_of"],
        asked_as=value["asked_as"],
        chosen=value["chosen"],
        joined_into=value["joined_into"],
        marked=bool(value["marked"]),
        start=value["start"],
        checkpoint=checkpoint_of(value["checkpoint"]),
        answer=value["answer"],
        request=InputRequestShown(request["text"], tuple(request["choices"])) if request else None,
        notice=value["notice"],
        steps=value["steps"],
        outcome=Outcome(value["outcome"]) if value["outcome"] else None,
        detail=value["detail"],
        superseded_by=value["superseded_by"],
        received_at=value["received_at"],
        begun_at=value["begun_at"],
    )
