"""The tables. Their words are the design's; the statements over them are in the modules beside.

Times are integers, microseconds since 1970 in UTC, and JSON is text: so the prepared statements bind and read the same
values on both databases, and an index on a time is an index on a number.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from bridge.cipher import WrongKey
from bridge.lifecycle import ThreadState, TurnState
from bridge.store.encryption import UNREADABLE, applied_to

SECOND = 1_000_000  # in the unit of stored times
EVERY_POSITION = 2**62  # above any message's


def now() -> int:
    """This machine's time as it is stored."""
    return time.time_ns() // 1_000


class Moment(sa.TypeDecorator[datetime]):
    """A stored time, for who reads the tables at leisure: an aware UTC time."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | int | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        return round(value.timestamp() * SECOND) if isinstance(value, datetime) else value

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else datetime.fromtimestamp(value / SECOND, UTC)


class Words(sa.TypeDecorator[Any]):
    """What people wrote or agents answered, or the names of either: encrypted where the settings say so. Such a column
    is never compared, sorted or cut in SQL. It is text, as an encrypted value is longer than what it holds; SQLite,
    which looks at no length, may keep an older type."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, column: str, *, json: bool = False, on_sqlite: int | None = None) -> None:
        """`column` with its table, as `turn.text`; `json`: a value is stored as JSON; `on_sqlite`: characters of the
        type that it has there."""
        super().__init__()
        self.column = column
        self.json = json
        self.on_sqlite = on_sqlite

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        kept = self.on_sqlite is not None and dialect.name == "sqlite"
        return sa.String(self.on_sqlite) if kept else self.impl_instance

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        if value is None:
            return None
        return applied_to(dialect).stored(self.column, as_json(value) if self.json else str(value))

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        """What can't be read is a sentence that says so; of JSON, None."""
        if value is None:
            return None
        try:
            text = applied_to(dialect).read(self.column, value)
        except WrongKey:
            return None if self.json else UNREADABLE
        return json.loads(text) if self.json else text


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _text(**options: Any) -> Any:
    return Field(sa_type=sa.Text, **options)


def _time(**options: Any) -> Any:
    return Field(sa_type=Moment, **options)


def _words(column: str, *, json: bool = False, on_sqlite: int | None = None, **options: Any) -> Any:
    return Field(sa_type=Words(column, json=json, on_sqlite=on_sqlite), **options)


def _big(**options: Any) -> Any:
    return Field(sa_type=sa.BigInteger, **options)


# SQLite numbers rows by itself only where the type is spelled so.
_ROW_ID: Any = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _where(name: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    """A partial index, the same on both databases."""
    condition = sa.text(where)
    return sa.Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


class Replica(SQLModel, table=True):
    """A process that serves threads. It is alive while its session holds the advisory lock `lock`, and its
    heartbeat, by the database's clock, is younger than the lease."""

    __tablename__ = "replica"

    id: str = Field(primary_key=True, max_length=32)
    lock: int = _big()
    started_at: datetime = _time()
    heartbeat_at: datetime = _time()


class Thread(SQLModel, table=True):
    """Where people talk, and the agent's conversation that it is mapped to."""

    __tablename__ = "thread"
    __table_args__ = (
        sa.UniqueConstraint("platform", "workspace", "channel", "thread"),
        _where("ix_thread_ready", "ready_at", where="state = 'ready'"),
        _where("ix_thread_running", "owner", where="state = 'running'"),
        _where("ix_thread_queued", "seat", "ready_at", where="state = 'queued'"),
        _where("ix_thread_seated", "seat", where="state IN ('ready', 'running')"),
        sa.Index("ix_thread_touched", "platform", "touched_at"),
        sa.Index("ix_thread_channel", "channel", "id"),
        sa.Index("ix_thread_thread", "thread", "id"),
    )

    id: int = Field(default=None, primary_key=True, sa_type=_ROW_ID)  # given by the database
    platform: str = Field(max_length=16)
    workspace: str = Field(max_length=64)
    channel: str = Field(max_length=64)
    thread: str = Field(max_length=64)
    direct: bool = False
    agent: str = Field(max_length=64)
    conversation: str | None = _text(default=None)
    state: str = Field(default=ThreadState.IDLE, max_length=16)
    owner: str | None = Field(default=None, max_length=32)
    token: int = _big(default=0)  # fencing: grows with every claim
    attempts: int = 0  # claims since something was achieved here
    ready_at: datetime = _time()
    seat: str | None = Field(default=None, max_length=64)  # the person whose turn is next here, or at work
    # What its turns have to do with each other, kept here so that no turn has to be looked for.
    waiting_turn: str | None = Field(default=None, max_length=16)  # the turn that waits for a person
    waiting_shown: int | None = _big(default=None)  # position of the message that shows what it waits for
    # The same, while that is an input request: what is older waits. While an approval waits, above all positions.
    holds_until: int | None = _big(default=None)
    last_part: str | None = Field(default=None, max_length=64)  # message id of the last finished reply's last part
    recheck_turn: str | None = Field(default=None, max_length=16)  # its parts may have been overwritten
    # Position of the newest message when a new conversation was begun here: what is older isn't part of it.
    begins_after: int | None = _big(default=None)
    # Position of the last turn that the agent spoke unasked; None where it never did.
    spoke_at: int | None = _big(default=None)
    person: str = Field(max_length=64)  # who asked first; "" as long as only the agent spoke
    several: bool = False  # more than one person asked
    newest: str = Field(max_length=64)  # id of the newest message that was stored
    newest_position: int = _big()
    touched_at: datetime = _time()
    created_at: datetime = _time()


class Turn(SQLModel, table=True):
    """One thing a person asked and all that it leads to."""

    __tablename__ = "turn"
    __table_args__ = (
        sa.UniqueConstraint("event_key"),
        sa.UniqueConstraint("message_key"),
        _where("ix_turn_received", "thread_id", "position", "received_at", where="state = 'received'"),
        # The promise "one at a time" does not rest on the runner alone.
        _where("uq_turn_active", "thread_id", where="state IN ('asking', 'replying')", unique=True),
        _where("ix_turn_answered", "thread_id", "position", where="state = 'done'"),
        _where("ix_turn_stopped", "thread_id", where="stopped AND state IN ('asking', 'replying')"),
        _where("ix_turn_unanswered", "thread_id", "position", where="state IN ('failed', 'cancelled')"),
        _where("ix_turn_expires", "expires_at", where="expires_at IS NOT NULL AND settled IS NULL"),
        _where("ix_turn_marked", "thread_id", where="marked"),
        sa.Index("ix_turn_person", "person", "received_at"),
        sa.Index("ix_turn_received_at", "received_at"),
        _where("ix_turn_spoken", "received_at", where="spoken IS NOT NULL AND state = 'received'"),
        sa.Index("ix_turn_state", "state", "received_at"),
        # For what is removed: by age, and with its thread.
        sa.Index("ix_turn_ended", "ended_at", "id"),
        sa.Index("ix_turn_thread", "thread_id", "received_at"),
    )

    id: str = Field(primary_key=True, max_length=16)
    thread_id: int = _big(foreign_key="thread.id")
    event_key: str = Field(max_length=255)
    message_key: str = Field(max_length=255)
    message_id: str = Field(max_length=64)
    position: int = _big()
    person: str = Field(max_length=64)
    person_name: str = _words("turn.person_name", on_sqlite=255)
    person_workspace: str = Field(max_length=64)
    person_roles: list[str] | None = _words("turn.person_roles", json=True, default=None)
    asked_by: dict[str, Any] | None = _words(
        "turn.asked_by", json=True, default=None
    )  # who pressed *Try again*; None: whoever wrote
    text: str = _words("turn.text")
    files: list[list[Any]] = _words("turn.files", json=True)  # see `values.files_json`
    heard: str | None = _words(
        "turn.heard", default=None
    )  # the words of its voice notes, which are part of `text` then
    direct: bool = False
    mid_thread: bool = False
    revision: int = 0  # how often its author changed it
    edited: str | None = _words("turn.edited", default=None)  # the author's new words, since it was asked

    state: str = Field(default=TurnState.RECEIVED, max_length=16)
    stopped: bool = False  # a person pressed stop: what still comes is read and not shown
    retry_of: str | None = Field(default=None, max_length=16)  # the turn that a person sent again as this one
    asked_as: str | None = Field(
        default=None, max_length=16
    )  # the turn whose question goes on here; None: its own
    chosen: str | None = Field(
        default=None, max_length=16
    )  # the turn whose input request or approval a press answers
    # Of what the agent says unasked: digest of the request, title, whether the backend's conversation knows of it.
    spoken: dict[str, Any] | None = _words("turn.spoken", json=True, default=None)
    decision: dict[str, Any] | None = _words(
        "turn.decision", json=True, default=None
    )  # what this turn says to an approval
    settles: str | None = Field(
        default=None, max_length=16
    )  # the turn that it answered or abandoned when it began
    joined_into: str | None = Field(default=None, max_length=16)  # the turn that it was asked together with
    marked: bool = False  # its message shows that it waits, or may
    start: str | None = _words(
        "turn.start", default=None
    )  # JSON of the checkpoint that it begins at: another turn left it
    checkpoint: dict[str, Any] | None = _words("turn.checkpoint", json=True, default=None)
    # Stored together with the state `replying`; from there on no agent is needed.
    answer: str | None = _words("turn.answer", default=None)
    request: dict[str, Any] | None = _words(
        "turn.request", json=True, default=None
    )  # what the agent asked back, or wants leave for
    expires_at: datetime | None = _time(default=None)  # of an approval: then nobody decided in time
    settled: str | None = _words(
        "turn.settled", default=None
    )  # what stands in place of the buttons, once it was decided
    notice: str | None = _words("turn.notice", default=None)  # the bridge's own sentence below the answer
    steps: str | None = _words(
        "turn.steps", default=None
    )  # JSON of the agent's steps as they are shown: see `turns.steps`
    sources: list[list[str]] | None = _words(
        "turn.sources", json=True, default=None
    )  # what the answer quotes: address, title
    outcome: str | None = Field(default=None, max_length=32)
    detail: str | None = _words("turn.detail", default=None)  # for the operator
    superseded_by: str | None = Field(default=None, max_length=16)  # the turn that it was sent again as
    agent: str | None = Field(default=None, max_length=64)  # that was asked; None: not begun yet

    traceparent: str | None = Field(default=None, max_length=55)  # of its first span: see `bridge.tracing`
    received_at: datetime = _time()
    begun_at: datetime | None = _time(default=None)
    ended_at: datetime | None = _time(default=None)
    # Microseconds from the reply's beginning until its first words stood in the thread; None where none did, or where
    # the turn was taken up again.
    first_words: int | None = _big(default=None)


class Budget(SQLModel, table=True):
    """How many turns were stored in an hour, which begins with its first."""

    __tablename__ = "budget"
    __table_args__ = (sa.Index("ix_budget_since", "since"),)

    scope: str = Field(primary_key=True, max_length=160)
    since: datetime = _time()
    used: int


class Refused(SQLModel, table=True):
    """A message that was refused, or whose turn was removed, and isn't asked when it comes by again. Nothing else is
    kept of it: its key is a digest."""

    __tablename__ = "refused"
    __table_args__ = (sa.Index("ix_refused_at", "at"),)

    message_key: str = Field(primary_key=True, max_length=255)
    at: datetime = _time()


class Part(SQLModel, table=True):
    """One platform message of a reply, known to have been posted."""

    __tablename__ = "part"

    turn_id: str = Field(foreign_key="turn.id", primary_key=True, max_length=16)
    kind: str = Field(primary_key=True, max_length=1)
    index: int = Field(primary_key=True)
    message_id: str = Field(max_length=64)
    ends: int | None = None  # offset in the rendered reply where the part was closed
    shown: int = 0  # characters it was last known to show
    # Of the text it was finished with; short texts can be guessed by it.
    digest: str | None = _words("part.digest", on_sqlite=64, default=None)


class Artifact(SQLModel, table=True):
    """A file or table that the agent made in a turn."""

    __tablename__ = "artifact"

    turn_id: str = Field(foreign_key="turn.id", primary_key=True, max_length=16)
    index: int = Field(primary_key=True)
    kind: str = Field(max_length=8)  # file, table, chart
    name: str = _words("artifact.name")
    media_type: str = Field(max_length=255)
    ref: str = _words("artifact.ref")
    size: int | None = _big(default=None)
    table: dict[str, Any] | None = _words("artifact.table", json=True, default=None)


class Feedback(SQLModel, table=True):
    """What a person thinks of an answer. The last word of each counts."""

    __tablename__ = "feedback"
    __table_args__ = (
        sa.Index("ix_feedback_at", "at"),
        sa.Index("ix_feedback_person", "person"),
        _where("ix_feedback_due", "due_at", where="due_at IS NOT NULL"),
    )

    turn_id: str = Field(foreign_key="turn.id", primary_key=True, max_length=16)
    person: str = Field(primary_key=True, max_length=80)  # with the platform, as "slack:U07"
    agent: str = Field(max_length=64)
    good: bool
    words: str = _words("feedback.words", default="")
    at: datetime = _time()
    due_at: datetime | None = _time(default=None)  # when the agent's service is told next; None: no more
    tries: int = 0  # to tell it, since the last word


class EncryptionKey(SQLModel, table=True):
    """A key of `data.keys` by which values here are, or may be, encrypted; by its id alone."""

    __tablename__ = "encryption_key"

    id: str = Field(primary_key=True, max_length=16)
    since: datetime = _time()


class Audit(SQLModel, table=True):
    """Who did what. Holds no text that people or agents wrote."""

    __tablename__ = "audit"
    __table_args__ = (sa.Index("ix_audit_at", "at"), sa.Index("ix_audit_who", "who"))

    id: int = Field(default=None, primary_key=True, sa_type=_ROW_ID)  # given by the database
    at: datetime = _time()
    who: str = Field(max_length=160)  # "slack:U07", "operator:ann", "bridge"
    what: str = Field(max_length=64)
    about: str = _text(default="")  # a turn, a thread, an agent, by its id or name
    detail: dict[str, Any] | None = _words(
        "audit.detail", json=True, default=None
    )  # counts and names of the settings


class Restored(SQLModel, table=True):
    """The database was restored from a backup: what people wrote before then isn't asked any more."""

    __tablename__ = "restored"

    at: datetime = Field(primary_key=True, sa_type=Moment)


class Installation(SQLModel, table=True):
    """The app in one workspace or organisation. The tokens are encrypted; where it was uninstalled they are gone."""

    __tablename__ = "installation"
    __table_args__ = (sa.Index("ix_installation_changed_at", "changed_at"),)

    id: str = Field(primary_key=True, max_length=64)
    name: str = _text()
    user: str = Field(max_length=64)
    bot: str = Field(max_length=64)
    app: str = Field(max_length=64)
    scopes: str = _text()
    access_token: str | None = _text(default=None)
    refresh_token: str | None = _text(default=None)
    expires_at: datetime | None = _time(default=None)
    org: bool
    enterprise: str = Field(max_length=64)
    installed_by: str = Field(max_length=64)
    version: int = _big()
    changed_at: datetime = _time()
    refreshing_until: datetime | None = _time(default=None)  # by one process; others may try after that


class SpentState(SQLModel, table=True):
    """A state of an installation that was used; kept for as long as it would be good."""

    __tablename__ = "spent_state"
    __table_args__ = (sa.Index("ix_spent_state_until", "until"),)

    digest: str = Field(primary_key=True, max_length=64)
    until: datetime = _time()


class ShardPlan(SQLModel, table=True):
    """How many shards of an application all replicas serve together."""

    __tablename__ = "shard_plan"

    application: str = Field(primary_key=True, max_length=32)
    count: int


class ShardServer(SQLModel, table=True):
    """A replica that serves shards of an application, as long as it lives."""

    __tablename__ = "shard_server"

    application: str = Field(primary_key=True, max_length=32)
    replica: str = Field(primary_key=True, max_length=32)


class Shard(SQLModel, table=True):
    """A shard, who serves it, and how far its session was heard, so that another replica may resume it."""

    __tablename__ = "shard"

    application: str = Field(primary_key=True, max_length=32)
    number: int = Field(primary_key=True)
    count: int
    owner: str | None = Field(default=None, max_length=32)
    token: int = _big(default=0)  # fencing: grows with every claim
    session: str | None = _text(default=None)
    sequence: int | None = _big(default=None)
    url: str | None = _text(default=None)
    intents: int | None = _big(default=None)  # which events it was begun for
    heard_at: datetime | None = _time(default=None)


class ShardStart(SQLModel, table=True):
    """When a session was, or will be, begun last in a bucket of shards."""

    __tablename__ = "shard_start"

    application: str = Field(primary_key=True, max_length=32)
    bucket: int = Field(primary_key=True)
    at: datetime = _time()


def table_of(model: type[SQLModel]) -> sa.Table:
    """As the prepared statements take it."""
    return SQLModel.metadata.tables[str(model.__tablename__)]
