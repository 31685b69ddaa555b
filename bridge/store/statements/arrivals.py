"""What people send: put in once, made ready, changed, withdrawn, refused; and what is known of its thread."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert  # spelled alike on SQLite

from bridge.store.engine import Statement
from bridge.store.statements.base import (
    NOBODY,
    THREAD_GIVEN,
    address,
    can_run,
    next_person,
    number,
    one_of,
    refused,
    string,
    thread,
    turn,
    turn_constants,
    value,
)

_was_refused = sa.exists(
    sa.select(refused.c.message_key).where(
        refused.c.message_key.in_([string("message_digest"), string("event_digest")])
    )
)
_new_thread = insert(thread).from_select(
    [*THREAD_GIVEN, "state", "token", "attempts", "several"],
    sa.select(
        *(value(thread.c[name]).label(name) for name in THREAD_GIVEN),
        sa.literal_column("'idle'").label("state"),
        sa.literal_column("0").label("token"),
        sa.literal_column("0").label("attempts"),
        sa.false().label("several"),
    ).where(sa.not_(_was_refused)),
)
_newer = _new_thread.excluded.newest_position > thread.c.newest_position
# First, as it locks the thread's row: a turn that arrives while its thread is released can't be missed then.
TOUCH_THREAD = Statement(
    _new_thread.on_conflict_do_update(
        index_elements=["platform", "workspace", "channel", "thread"],
        set_={
            "touched_at": _new_thread.excluded.touched_at,
            "several": sa.or_(
                thread.c.several,
                sa.and_(thread.c.person != NOBODY, thread.c.person != _new_thread.excluded.person),
            ),
            "person": sa.case((thread.c.person == NOBODY, _new_thread.excluded.person), else_=thread.c.person),
            "newest": sa.case((_newer, _new_thread.excluded.newest), else_=thread.c.newest),
            "newest_position": sa.case(
                (_newer, _new_thread.excluded.newest_position), else_=thread.c.newest_position
            ),
        },
    )
)

TURN_GIVEN = (
    "id", "event_key", "message_key", "message_id", "position", "person", "person_name", "person_workspace",
    "person_roles", "asked_by", "text", "files", "direct", "mid_thread", "received_at", "retry_of", "asked_as",
    "chosen", "start", "decision", "heard", "traceparent",
)  # fmt: skip
_turn_values = [value(turn.c[name]).label(name) for name in TURN_GIVEN]
_TURN_COLUMNS = ["thread_id", *TURN_GIVEN, "state", "stopped", "revision", "marked"]


def _put_turn(where: sa.ColumnElement[bool]) -> Statement:
    source = sa.select(thread.c.id, *_turn_values, *turn_constants).where(where)
    return Statement(insert(turn).from_select(_TURN_COLUMNS, source).on_conflict_do_nothing().returning(turn.c.id))


# `thread` is the name of a column and of the address's parameter alike, so the turn's own names come in as they are.
PUT_TURN = _put_turn(sa.and_(address, sa.not_(_was_refused)))
PUT_TURN_INTO = _put_turn(thread.c.id == number("thread_id"))


def _runnable(thread_id: sa.ColumnElement[Any], holds: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return sa.exists(sa.select(sa.literal_column("1")).select_from(turn).where(can_run(thread_id, holds)))


def _ready(where: sa.ColumnElement[bool]) -> Statement:
    """A thread that has work again waits for a seat of its person: see `SEAT`."""
    return Statement(
        sa.update(thread)
        .where(where, one_of(thread.c.state, "idle"), _runnable(thread.c.id, thread.c.holds_until))
        .values(
            state=sa.literal_column("'queued'"),
            ready_at=number("at"),
            seat=next_person(thread.c.id, thread.c.holds_until),
        )
        .returning(thread.c.seat)
    )


READY = _ready(address)
READY_THREAD = _ready(thread.c.id == number("thread_id"))
KNOWN_TURN = Statement(
    sa.select(turn.c.id)
    .where(sa.or_(turn.c.event_key == string("event_key"), turn.c.message_key == string("message_key")))
    .limit(sa.literal_column("1"))
)

REFUSED = Statement(sa.select(refused.c.message_key).where(refused.c.message_key == string("key")))
REFUSE = Statement(
    insert(refused)
    .values(message_key=string("key"), at=number("at"))
    .on_conflict_do_nothing()
    .returning(refused.c.message_key)
)
FORGET_REFUSED = Statement(sa.delete(refused).where(refused.c.at < number("since")))

LOCK_THREAD = Statement(
    sa.select(thread.c.id).where(thread.c.id == number("thread_id")).with_for_update(), fences=True
)
ANNOUNCE = Statement(sa.select(sa.func.pg_notify(sa.literal_column("'threadbridge'"), string("payload"))))

CHANGE_TEXT = Statement(
    sa.update(turn)
    .where(turn.c.message_key == string("key"), one_of(turn.c.state, "received"))
    .values(text=value(turn.c.text, "words"), revision=turn.c.revision + 1)
    .returning(turn.c.id)
)
# What was edited is compared by who reads it: it may be encrypted. The revision says that nobody was quicker.
_was_asked = sa.and_(sa.not_(one_of(turn.c.state, "received")), sa.not_(one_of(turn.c.state, "cancelled")))
EDITED = Statement(
    sa.select(turn.c.revision, turn.c.edited).where(turn.c.message_key == string("key"), _was_asked)
)
NOTE_EDIT = Statement(
    sa.update(turn)
    .where(
        turn.c.message_key == string("key"),
        turn.c.revision == number("revised"),
        _was_asked,
    )
    .values(edited=value(turn.c.edited, "words"), revision=turn.c.revision + 1)
    .returning(turn.c.id)
)
WITHDRAW = Statement(
    sa.update(turn)
    .where(turn.c.message_key == string("key"), one_of(turn.c.state, "received"))
    .values(
        state=sa.literal_column("'cancelled'"), outcome=sa.literal_column("'withdrawn'"), ended_at=number("at")
    )
    .returning(turn.c.id)
)

ANSWERING = Statement(
    sa.select(
        thread.c.agent,
        sa.case((one_of(turn.c.outcome, "input_request"), turn.c.person), else_=sa.null()),
    )
    .join(turn, turn.c.id == thread.c.waiting_turn, isouter=True)
    .where(address)
)
ASKER = Statement(
    sa.select(turn.c.person)
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(turn.c.id == string("turn_id"), address)
)
KNOWS = Statement(sa.select(thread.c.id).where(address))
SEEN = Statement(
    sa.select(
        thread.c.platform, thread.c.workspace, thread.c.channel, thread.c.thread, thread.c.newest,
        thread.c.direct,
    )
    .where(thread.c.platform == string("platform"), thread.c.touched_at > number("since"))
    .order_by(thread.c.touched_at.desc())
    .limit(number("most"))
)  # fmt: skip
