"""The tables. Their words are the design's; the queries over them are in the modules beside."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel


class UTCDateTime(sa.TypeDecorator[datetime]):
    """An aware UTC time on every database: SQLite drops the zone, so it is put back on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_result_value(
        self,
        value: datetime | None,
        dialect: sa.Dialect,  # noqa: ARG002
    ) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def now() -> datetime:
    return datetime.now(UTC)


class ThreadState(StrEnum):
    IDLE = "idle"  # nothing to do
    READY = "ready"  # a turn waits to be claimed
    RUNNING = "running"  # a replica owns it


class TurnState(StrEnum):
    RECEIVED = "received"  # stored, not yet asked
    ASKING = "asking"  # the agent works on it
    REPLYING = "replying"  # the whole reply is stored and on its way into the thread
    WAITING = "waiting"  # for a person: an answer to the agent, or a word whether to send again
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = (TurnState.ASKING, TurnState.REPLYING)


def _text(**options: Any) -> Any:
    return Field(sa_type=sa.Text, **options)


def _time(**options: Any) -> Any:
    return Field(sa_type=UTCDateTime, **options)


def _json(**options: Any) -> Any:
    return Field(sa_type=sa.JSON(none_as_null=True), **options)


class Replica(SQLModel, table=True):
    """A process that serves threads. A stale heartbeat gives its threads to the others."""

    __tablename__ = "replica"

    id: str = Field(primary_key=True, max_length=32)
    started_at: datetime = _time(default_factory=now)
    heartbeat_at: datetime = _time(default_factory=now)


class Thread(SQLModel, table=True):
    """Where people talk, and the agent's conversation that it is mapped to."""

    __tablename__ = "thread"
    __table_args__ = (
        sa.UniqueConstraint("platform", "workspace", "channel", "thread"),
        sa.Index("ix_thread_ready", "ready_at", sqlite_where=sa.text("state = 'ready'"),
                 postgresql_where=sa.text("state = 'ready'")),
        sa.Index("ix_thread_owner", "owner"),
    )  # fmt: skip

    id: int = Field(default=None, primary_key=True)  # given by the database
    platform: str = Field(max_length=16)
    workspace: str = Field(max_length=64)
    channel: str = Field(max_length=64)
    thread: str = Field(max_length=64)
    agent: str = Field(max_length=64)
    conversation: str | None = _text(default=None)
    state: str = Field(default=ThreadState.IDLE, max_length=16)
    owner: str | None = Field(default=None, max_length=32)
    token: int = Field(default=0, sa_type=sa.BigInteger)  # fencing: grows with every claim
    ready_at: datetime = _time(default_factory=now)
    created_at: datetime = _time(default_factory=now)


class Turn(SQLModel, table=True):
    """One thing a person asked and all that it leads to."""

    __tablename__ = "turn"
    __table_args__ = (
        sa.UniqueConstraint("event_key"),
        sa.UniqueConstraint("message_key"),
        sa.Index("ix_turn_thread", "thread_id", "state", "position"),
        sa.Index("ix_turn_state", "state", "received_at"),
        # The promise "one at a time" does not rest on the runner alone.
        sa.Index("uq_turn_active", "thread_id", unique=True,
                 sqlite_where=sa.text("state IN ('asking', 'replying')"),
                 postgresql_where=sa.text("state IN ('asking', 'replying')")),
    )  # fmt: skip

    id: str = Field(primary_key=True, max_length=16)
    thread_id: int = Field(foreign_key="thread.id")
    event_key: str = Field(max_length=255)
    message_key: str = Field(max_length=255)
    message_id: str = Field(max_length=64)
    position: int = Field(sa_type=sa.BigInteger)
    author: str = Field(max_length=64)
    author_name: str = Field(max_length=255)
    text: str = _text()
    attachments: list[dict[str, Any]] = _json(default_factory=list)
    direct: bool = False
    mid_thread: bool = False

    state: str = Field(default=TurnState.RECEIVED, max_length=16)
    attempts: int = 0
    stopped: bool = False  # a person pressed stop: what still comes is read and not shown
    asked_as: str | None = Field(default=None, max_length=16)  # the turn that this goes on from; None for itself
    question: dict[str, Any] | None = _json(default=None)  # the checkpoint of the question that this answers
    checkpoint: dict[str, Any] | None = _json(default=None)
    # Set in one transaction with the state `replying`; from there on no agent is needed.
    answer: str | None = _text(default=None)
    notice: str | None = _text(default=None)  # the bridge's own sentence below the answer
    ends_as: str | None = Field(default=None, max_length=16)
    outcome: str | None = Field(default=None, max_length=32)  # done, question, or the error's name
    detail: str | None = _text(default=None)  # for the operator

    received_at: datetime = _time(default_factory=now)
    asked_at: datetime | None = _time(default=None)
    ended_at: datetime | None = _time(default=None)  # while it waits: since when


class Part(SQLModel, table=True):
    """One platform message of a reply. The row is written before the message is posted: without a message id
    it says that one may have been."""

    __tablename__ = "part"

    turn_id: str = Field(foreign_key="turn.id", primary_key=True, max_length=16)
    name: str = Field(primary_key=True, max_length=8)
    message_id: str | None = Field(default=None, max_length=64)
    ends: int | None = None  # offset in the rendered reply where the part was closed
    shown: int = 0  # characters it was last known to show, a few seconds old
    digest: str | None = Field(default=None, max_length=64)  # of the text it was finished with
    posted_at: datetime = _time(default_factory=now)


class Made(SQLModel, table=True):
    """A file or table that the agent made in a turn."""

    __tablename__ = "made"

    turn_id: str = Field(foreign_key="turn.id", primary_key=True, max_length=16)
    index: int = Field(primary_key=True)
    kind: str = Field(max_length=8)  # file, table
    name: str = _text()
    media_type: str = Field(max_length=255)
    ref: str = _text()
    size: int | None = Field(default=None, sa_type=sa.BigInteger)
    table: dict[str, Any] | None = _json(default=None)
