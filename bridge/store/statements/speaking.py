"""What the agent says unasked."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert  # spelled alike on SQLite

from bridge.store.engine import Statement
from bridge.store.statements.base import (
    NOBODY,
    THREAD_GIVEN,
    TURN_COLUMNS,
    address,
    conversation_begins,
    number,
    one_of,
    raw,
    string,
    thread,
    turn,
    turn_constants,
    value,
)

# A thread that isn't on its platform yet; its turns move to the one that is opened for them. Seen by no catch-up.
_opening_given = {
    name: value(thread.c[name]).label(name)
    for name in ("platform", "workspace", "channel", "thread", "direct", "agent", "conversation", "created_at")
}
_opening_constants: dict[str, sa.ColumnElement[Any]] = {
    "state": sa.literal_column("'idle'"),
    "token": sa.literal_column("0"),
    "attempts": sa.literal_column("0"),
    "several": sa.false(),
    "person": NOBODY,
    "newest": NOBODY,
    "newest_position": sa.literal_column("0"),
    "touched_at": sa.literal_column("0"),
    "ready_at": sa.literal_column("0"),
}
_said_before = sa.exists(
    sa.select(sa.literal_column("1")).select_from(turn).where(turn.c.event_key == string("event_key"))
)
PUT_OPENING = Statement(
    insert(thread).from_select(
        [*_opening_given, *_opening_constants],
        sa.select(
            *_opening_given.values(), *(constant.label(name) for name, constant in _opening_constants.items())
        ).where(sa.not_(_said_before)),
    )
)
# Somebody else put the same in at the same time.
DROP_OPENING = Statement(
    sa.delete(thread).where(
        address,
        sa.not_(sa.exists(sa.select(sa.literal_column("1")).select_from(turn).where(turn.c.id == string("id")))),
    )
)
# Of what holds the others up, where it is shown: an approval's `holds_until` is above every position.
_shown_or_held = sa.func.coalesce(thread.c.waiting_shown, thread.c.holds_until)
_after_all = sa.case(
    (
        sa.and_(thread.c.holds_until.is_not(None), _shown_or_held > thread.c.newest_position),
        _shown_or_held,
    ),
    else_=thread.c.newest_position,
)


def _take_position(where: sa.ColumnElement[bool], *, fences: bool = False) -> Statement:
    """Makes room for a turn behind all that the thread has, and locks the thread's row."""
    return Statement(
        sa.update(thread)
        .where(where)
        .values(
            newest_position=_after_all + 1,
            spoke_at=_after_all + 1,
            touched_at=sa.case((thread.c.touched_at > 0, number("at")), else_=thread.c.touched_at),
        )
        .returning(thread.c.id),
        fences=fences,
    )


TAKE_FIRST = _take_position(address)
TAKE_POSITION = _take_position(
    sa.and_(thread.c.id == number("thread_id"), sa.not_(one_of(thread.c.state, "moved"))), fences=True
)
SPOKEN_GIVEN = (
    "id", "event_key", "message_key", "person_name", "person_workspace", "text", "files", "spoken", "answer",
    "received_at", "traceparent",
)  # fmt: skip


def _put_spoken(where: sa.ColumnElement[bool]) -> Statement:
    source = sa.select(
        thread.c.id,
        *(value(turn.c[name]).label(name) for name in SPOKEN_GIVEN),
        thread.c.newest_position.label("position"),
        thread.c.newest.label("message_id"),
        thread.c.direct,
        NOBODY.label("person"),
        sa.false().label("mid_thread"),
        *turn_constants,
    ).where(where)
    names = [
        "thread_id", *SPOKEN_GIVEN, "position", "message_id", "direct", "person", "mid_thread",
        "state", "stopped", "revision", "marked",
    ]  # fmt: skip
    return Statement(insert(turn).from_select(names, source).on_conflict_do_nothing().returning(turn.c.id))


PUT_SPOKEN = _put_spoken(address)
PUT_SPOKEN_INTO = _put_spoken(thread.c.id == number("thread_id"))
SPOKEN_COLUMNS = ("platform", "workspace", "channel", "thread", "agent", "conversation")
_spoken = sa.select(*raw(turn, TURN_COLUMNS), *raw(thread, SPOKEN_COLUMNS)).join(
    thread, thread.c.id == turn.c.thread_id
)
SPOKEN_BY_KEY = Statement(_spoken.where(turn.c.event_key == string("event_key")))
SPOKEN_BY_ID = Statement(_spoken.where(turn.c.id == string("turn_id"), turn.c.spoken.is_not(None)))
SPOKEN_THREAD = Statement(sa.select(*raw(thread, ("id", *SPOKEN_COLUMNS))).where(address))
SPOKEN_WAITING = Statement(
    sa.select(sa.func.count()).select_from(
        sa.select(turn.c.id)
        .where(turn.c.spoken.is_not(None), one_of(turn.c.state, "received"))
        .limit(number("most"))
        .subquery()
    )
)
# What was said unasked just before a question, newest first, for an agent whose backend didn't hear it.
SAID_BEFORE = Statement(
    sa.select(turn.c.spoken, turn.c.answer)
    .where(
        turn.c.thread_id == number("thread_id"),
        one_of(turn.c.state, "done"),
        turn.c.position < number("before"),
        turn.c.position > conversation_begins,
    )
    .order_by(turn.c.position.desc())
    .limit(number("most"))
)
# The thread's first message goes out next: from now on it may be there.
BEGIN_OPENING = Statement(
    sa.update(turn)
    .where(turn.c.id == string("turn_id"), one_of(turn.c.state, "received"))
    .values(begun_at=sa.func.coalesce(turn.c.begun_at, number("at")))
    .returning(turn.c.id),
    fences=True,
)
_opened = insert(thread).values(
    {name: value(thread.c[name]) for name in (*THREAD_GIVEN, "conversation") if name != "person"}
    | {
        "person": NOBODY,
        "state": sa.literal_column("'idle'"),
        "token": sa.literal_column("0"),
        "attempts": sa.literal_column("0"),
        "several": sa.false(),
    }
)
# First of its unit, as `TOUCH_THREAD`.
PUT_OPENED = Statement(
    _opened.on_conflict_do_update(
        index_elements=["platform", "workspace", "channel", "thread"],
        set_={
            "touched_at": _opened.excluded.touched_at,
            "conversation": sa.func.coalesce(thread.c.conversation, _opened.excluded.conversation),
        },
    )
)
_there = sa.select(thread.c.id).where(address).scalar_subquery()
_end_there = sa.select(_after_all).where(address).scalar_subquery()
MOVE_SPOKEN = Statement(
    sa.update(turn)
    .where(turn.c.thread_id == number("opening"), one_of(turn.c.state, "received"))
    .values(
        thread_id=_there,
        position=turn.c.position + _end_there,
        message_id=value(turn.c.message_id, "root"),
        begun_at=sa.null(),
    )
)
_moved = sa.table("thread", sa.column("id"), sa.column("newest_position")).alias("opening")
MOVED_SPOKEN = Statement(
    sa.update(thread)
    .where(address)
    .values(
        newest_position=_after_all
        + sa.select(_moved.c.newest_position).where(_moved.c.id == number("opening")).scalar_subquery(),
        spoke_at=_after_all
        + sa.select(_moved.c.newest_position).where(_moved.c.id == number("opening")).scalar_subquery(),
    )
)
# The row stays: to take it away, the database would look through all turns for one that still names it.
LEAVE_OPENING = Statement(
    sa.update(thread)
    .where(thread.c.id == number("opening"))
    .values(state=sa.literal_column("'moved'"), owner=sa.null())
)

READ_COLUMNS = ("id", "position", "state", "person", "person_name", "text", "answer", "spoken", "received_at")


def _said_since(*states: str) -> Statement:
    return Statement(
        sa.select(*raw(turn, READ_COLUMNS))
        .where(
            turn.c.thread_id == number("thread_id"),
            one_of(turn.c.state, *states),
            turn.c.position > number("since"),
        )
        .order_by(turn.c.position)
        .limit(number("most"))
    )


SAID_SINCE = (
    _said_since("done"),
    _said_since("failed", "cancelled"),
    _said_since("received"),
    _said_since("asking", "replying"),
)
