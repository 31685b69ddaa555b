"""What the statements share: the tables, how a parameter, a literal and a condition are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel

from bridge.store.tables import (
    Artifact,
    Audit,
    Budget,
    Feedback,
    Moment,
    Part,
    Refused,
    Replica,
    Restored,
    Thread,
    Turn,
    table_of,
)

thread = table_of(Thread)
turn = table_of(Turn)
part = table_of(Part)
artifact = table_of(Artifact)
budget = table_of(Budget)
refused = table_of(Refused)
replica = table_of(Replica)
feedback = table_of(Feedback)
audit = table_of(Audit)
restored = table_of(Restored)


def value(column: sa.Column[Any], name: str | None = None) -> sa.BindParameter[Any]:
    """A parameter of a column's type. Times and JSON come as they are stored, and words before they are encrypted."""
    plain = column.type.impl if isinstance(column.type, Moment) else column.type
    return sa.bindparam(name or column.name, type_=plain)


def number(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger)


def string(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.String)


def one_of(column: sa.Column[Any], *literals: str) -> sa.ColumnElement[bool]:
    values: list[sa.ColumnElement[str]] = [sa.literal_column(f"'{literal}'") for literal in literals]
    return column == values[0] if len(values) == 1 else column.in_(values)


# Both databases have `replace`, and in neither can a list be bound as one value.
_BETWEEN = "\x1f"


def listed(names: Sequence[str]) -> str:
    """The value for `is_listed`."""
    return "".join(f"{_BETWEEN}{name}{_BETWEEN}" for name in names)


def is_listed(column: sa.Column[Any], name: str) -> sa.ColumnElement[bool]:
    separator: sa.ColumnElement[str] = sa.literal_column(f"'{_BETWEEN}'")
    return sa.func.replace(string(name), separator + column + separator, sa.literal_column("''")) != string(name)


def raw(table: sa.Table, names: Sequence[str]) -> list[sa.ColumnElement[Any]]:
    """Columns as they are stored, without the types that make times and values of them."""
    return [table.c[name] for name in names]


def columns(table: type[SQLModel]) -> tuple[str, ...]:
    return tuple(table.model_fields)


TURN_COLUMNS = columns(Turn)

address = sa.and_(
    thread.c.platform == string("platform"),
    thread.c.workspace == string("workspace"),
    thread.c.channel == string("channel"),
    thread.c.thread == string("thread"),
)
ours = sa.and_(
    thread.c.id == number("thread_id"), thread.c.token == number("token"), thread.c.owner == string("replica")
)


def can_run(thread_id: sa.ColumnElement[Any], holds: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """A turn of the thread that may run: while an input request is open, only what was written after it."""
    return sa.and_(
        turn.c.thread_id == thread_id,
        one_of(turn.c.state, "received"),
        turn.c.position > sa.func.coalesce(holds, sa.literal_column("-1")),
    )


def next_person(thread_id: sa.ColumnElement[Any], holds: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    """Whose turn is the next that may run."""
    return (
        sa.select(turn.c.person)
        .where(can_run(thread_id, holds))
        .order_by(turn.c.position, turn.c.received_at)
        .limit(sa.literal_column("1"))
        .correlate(thread)
        .scalar_subquery()
    )


# A new conversation knows nothing of the turns before it.
conversation_begins = (
    sa.select(sa.func.coalesce(thread.c.begins_after, sa.literal_column("-1")))
    .where(thread.c.id == number("thread_id"))
    .scalar_subquery()
)

THREAD_GIVEN = (
    "platform", "workspace", "channel", "thread", "direct", "agent", "ready_at", "person", "newest",
    "newest_position", "touched_at", "created_at",
)  # fmt: skip
NOBODY: sa.ColumnElement[str] = sa.literal_column("''")  # the agent opened the thread, and no person asked yet
turn_constants = [
    sa.literal_column("'received'").label("state"),
    sa.false().label("stopped"),
    sa.literal_column("0").label("revision"),
    sa.false().label("marked"),
]
