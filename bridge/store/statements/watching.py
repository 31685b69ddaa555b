"""What an operator watches: pages of turns and threads, newest first, each found by its place in an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from bridge.store.engine import Statement
from bridge.store.statements.base import audit, budget, number, one_of, raw, replica, string, thread, turn

WATCHED_TURN_COLUMNS = (
    "id", "thread_id", "person", "person_name", "state", "stopped", "outcome", "superseded_by", "retry_of",
    "received_at", "begun_at", "ended_at", "first_words",
)  # fmt: skip
_PLACE = ("platform", "workspace", "channel", "thread", "agent", "owner")
WATCHED_THREAD_COLUMNS = (
    "id", "platform", "workspace", "channel", "thread", "direct", "agent", "conversation", "state", "owner",
    "attempts", "waiting_turn", "several", "touched_at", "created_at",
)  # fmt: skip

_watched = (
    sa.select(
        *raw(turn, WATCHED_TURN_COLUMNS),
        *raw(thread, _PLACE),
        *raw(turn, ("detail",)),
    )
    .select_from(turn)
    .join(thread, thread.c.id == turn.c.thread_id)
)


def _older(*keys: tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]) -> sa.ColumnElement[bool]:
    """What comes after a row, newest first. The first key by itself besides: every planner finds that in an index."""
    first, at = keys[0]
    row = sa.tuple_(*(key for key, _ in keys)) < sa.tuple_(*(given for _, given in keys))
    return sa.and_(first <= at, row)


_before = _older((turn.c.received_at, number("until")), (turn.c.id, string("before")))
_newest = (turn.c.received_at.desc(), turn.c.id.desc())

WATCHED_TURN = Statement(_watched.where(turn.c.id == string("turn_id")))
WATCHED_TURNS = Statement(_watched.where(_before).order_by(*_newest).limit(number("most")))
WATCHED_IN_STATE = Statement(
    _watched.where(turn.c.state == string("state"), _before).order_by(*_newest).limit(number("most"))
)
# Whoever has waited longest.
OLDEST_IN_STATE = Statement(
    _watched.where(turn.c.state == string("state")).order_by(turn.c.received_at, turn.c.id).limit(number("most"))
)
_some = sa.select(sa.literal_column("1")).where(turn.c.state == string("state")).limit(number("most")).subquery()
COUNT_IN_STATE = Statement(sa.select(sa.func.count()).select_from(_some))


def _of_thread(*states: str) -> Statement:
    """Each kind of turn has a partial index of its own, so no other has to be kept for this page."""
    keys = (turn.c.position, number("until")), (turn.c.received_at, number("since")), (turn.c.id, string("before"))
    return Statement(
        _watched.add_columns(turn.c.position)
        .where(turn.c.thread_id == number("thread_id"), one_of(turn.c.state, *states), _older(*keys))
        .order_by(turn.c.position.desc(), turn.c.received_at.desc(), turn.c.id.desc())
        .limit(number("most"))
    )


THREAD_DONE = _of_thread("done")
THREAD_UNANSWERED = _of_thread("failed", "cancelled")
THREAD_RECEIVED = _of_thread("received")
THREAD_ACTIVE = _of_thread("asking", "replying")
# At most one of a thread: the thread's row names it.
THREAD_WAITING = Statement(
    _watched.add_columns(turn.c.position).where(
        turn.c.id == sa.select(thread.c.waiting_turn).where(thread.c.id == number("thread_id")).scalar_subquery()
    )
)
# The one statement of this page that reads what people wrote.
WRITTEN_COLUMNS = ("text", "edited", "answer", "notice")
WRITTEN = Statement(sa.select(*raw(turn, WRITTEN_COLUMNS)).where(turn.c.id == string("turn_id")))

_threads: Sequence[sa.ColumnElement[Any]] = raw(thread, WATCHED_THREAD_COLUMNS)
WATCHED_THREAD = Statement(sa.select(*_threads).where(thread.c.id == number("thread_id")))
WATCHED_THREADS = Statement(
    sa.select(*_threads)
    .where(
        thread.c.platform == string("platform"),
        _older((thread.c.touched_at, number("until")), (thread.c.id, number("before"))),
    )
    .order_by(thread.c.touched_at.desc(), thread.c.id.desc())
    .limit(number("most"))
)
THREADS_OF_CHANNEL = Statement(
    sa.select(*_threads)
    .where(thread.c.channel == string("channel"), thread.c.id < number("before"))
    .order_by(thread.c.id.desc())
    .limit(number("most"))
)
THREADS_NAMED = Statement(
    sa.select(*_threads)
    .where(thread.c.thread == string("thread"), thread.c.id < number("before"))
    .order_by(thread.c.id.desc())
    .limit(number("most"))
)

ENDED_COLUMNS = ("ended_at", "state", "outcome", "received_at", "begun_at", "first_words")
ENDED_SINCE = Statement(
    sa.select(*raw(turn, ENDED_COLUMNS), thread.c.agent)
    .select_from(turn)
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(turn.c.ended_at >= number("since"))
    .order_by(turn.c.ended_at.desc())
    .limit(number("most"))
)
REPLICAS = Statement(
    sa.select(*raw(replica, ("id", "started_at", "heartbeat_at")))
    .order_by(replica.c.started_at)
    .limit(number("most"))
)
# As many rows as threads run, out of an index of those alone.
RUNNING_BY_OWNER = Statement(
    sa.select(thread.c.owner, sa.func.count()).where(one_of(thread.c.state, "running")).group_by(thread.c.owner)
)
BUDGETS_SINCE = Statement(
    sa.select(*raw(budget, ("scope", "since", "used")))
    .where(budget.c.since > number("since"))
    .order_by(budget.c.since.desc())
    .limit(number("most"))
)
LAST_AUDITED = Statement(
    sa.select(*raw(audit, ("at", "who", "what", "about")))
    .order_by(audit.c.at.desc(), audit.c.id.desc())
    .limit(number("most"))
)
