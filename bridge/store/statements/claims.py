"""Which thread a replica works on next, what it finds there, and how it goes on or gives it back."""

from __future__ import annotations

import sqlalchemy as sa

from bridge.store.engine import Statement
from bridge.store.statements.base import (
    TURN_COLUMNS,
    is_listed,
    next_person,
    number,
    one_of,
    ours,
    raw,
    string,
    thread,
    turn,
)

SUSPECT = 3  # attempts without progress after which a thread runs alone, so that it can't drag others down with it

CLAIM_COLUMNS = (
    "id", "token", "platform", "workspace", "channel", "thread", "agent", "conversation", "attempts", "several",
    "last_part", "waiting_turn", "recheck_turn", "seat", "spoke_at",
)  # fmt: skip


def _claim(suspicion: sa.ColumnElement[bool]) -> Statement:
    # As an expression, so that no index of all the platform's threads is taken for the small one of those ready.
    platform = sa.func.coalesce(thread.c.platform, sa.literal_column("''"))
    picked = (
        sa.select(thread.c.id)
        .where(
            one_of(thread.c.state, "ready"),
            sa.or_(platform == string("platform_1"), platform == string("platform_2")),
            suspicion,
            sa.or_(string("only") == sa.literal_column("''"), thread.c.agent == string("only")),
            sa.not_(is_listed(thread.c.agent, "without")),
        )
        .order_by(thread.c.ready_at)
        .limit(number("most"))
        .with_for_update(skip_locked=True)
        .cte("picked")
    )
    return Statement(
        sa.update(thread)
        .where(thread.c.id.in_(sa.select(picked.c.id)))
        .values(
            state=sa.literal_column("'running'"),
            owner=string("replica"),
            token=thread.c.token + 1,
            attempts=thread.c.attempts + 1,
        )
        .returning(*raw(thread, CLAIM_COLUMNS))
    )


CLAIM = _claim(thread.c.attempts < SUSPECT)
CLAIM_SUSPECT = _claim(thread.c.attempts >= SUSPECT)

LOOK_THREAD = Statement(sa.select(*raw(thread, (*CLAIM_COLUMNS, "owner", "state"))).where(
    thread.c.id == number("thread_id")
))  # fmt: skip
LOOK_ACTIVE = Statement(
    sa.select(*raw(turn, TURN_COLUMNS)).where(
        turn.c.thread_id == number("thread_id"), one_of(turn.c.state, "asking", "replying")
    )
)
_can_run_now = (
    sa.select(*raw(turn, TURN_COLUMNS))
    .where(
        turn.c.thread_id == number("thread_id"),
        one_of(turn.c.state, "received"),
        turn.c.position
        > sa.select(sa.func.coalesce(thread.c.holds_until, sa.literal_column("-1")))
        .where(thread.c.id == number("thread_id"))
        .scalar_subquery(),
    )
    .order_by(turn.c.position, turn.c.received_at)
)
LOOK_RUNNABLE = Statement(_can_run_now.limit(sa.literal_column("1")))
LOOK_LINE = Statement(_can_run_now.limit(number("most")))
LOOK_WAITING = Statement(
    sa.select(*raw(turn, TURN_COLUMNS), thread.c.waiting_shown)
    .join(thread, thread.c.waiting_turn == turn.c.id)
    .where(thread.c.id == number("thread_id"))
)
TURN = Statement(sa.select(*raw(turn, TURN_COLUMNS)).where(turn.c.id == string("turn_id")))

FENCE = Statement(sa.select(thread.c.id).where(ours).with_for_update(), fences=True)
# The thread goes on with its next turn, gives its seat up for another person's, or has none: decided under the lock
# that a turn which arrives waits for.
_next = next_person(thread.c.id, sa.func.coalesce(number("holds"), thread.c.holds_until))
_goes_on = sa.or_(
    _next == thread.c.seat,
    sa.and_(_next.is_(None), thread.c.recheck_turn.is_not(None)),  # asked for while the turn ran
)
GO_ON = Statement(
    sa.update(thread)
    .where(ours)
    .values(
        attempts=sa.literal_column("0"),
        last_part=sa.func.coalesce(string("shown_last"), thread.c.last_part),
        waiting_turn=sa.func.coalesce(string("waits_with"), thread.c.waiting_turn),
        waiting_shown=sa.func.coalesce(number("shown_at"), thread.c.waiting_shown),
        holds_until=sa.func.coalesce(number("holds"), thread.c.holds_until),
        state=sa.case(
            (_goes_on, sa.literal_column("'running'")),
            (_next.is_not(None), sa.literal_column("'queued'")),
            else_=sa.literal_column("'idle'"),
        ),
        owner=sa.case((_goes_on, thread.c.owner), else_=sa.null()),
        seat=sa.case((_goes_on, thread.c.seat), else_=_next),
        ready_at=sa.case((_goes_on, thread.c.ready_at), else_=number("at")),
    )
    .returning(thread.c.state, thread.c.seat)
)
RELEASE = Statement(
    sa.update(thread)
    .where(ours)
    .values(
        state=sa.literal_column("'ready'"),
        owner=sa.null(),
        ready_at=number("at"),
        attempts=sa.case((thread.c.attempts > 0, thread.c.attempts - 1), else_=sa.literal_column("0")),
    )
)
RECHECK = Statement(
    sa.update(thread)
    .where(thread.c.id == number("thread_id"))
    .values(
        recheck_turn=string("turn_id"),
        state=sa.case((one_of(thread.c.state, "idle"), sa.literal_column("'ready'")), else_=thread.c.state),
        ready_at=number("at"),
    )
)
RECHECKED = Statement(
    sa.update(thread).where(ours, thread.c.recheck_turn == string("turn_id")).values(recheck_turn=sa.null())
)
