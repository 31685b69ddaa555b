"""What a person's press makes of a turn that waits or failed, and what becomes of it when nobody decides."""

from __future__ import annotations

import sqlalchemy as sa

from bridge.store.engine import Statement
from bridge.store.statements.base import TURN_COLUMNS, address, number, one_of, raw, string, thread, turn, value

TURN_OF_THREAD = Statement(
    sa.select(*raw(turn, TURN_COLUMNS), thread.c.last_part, thread.c.waiting_shown)
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(turn.c.id == string("turn_id"), address)
)
# Only while nobody has decided yet.
SUPERSEDE = Statement(
    sa.update(turn)
    .where(turn.c.id == string("turn_id"), turn.c.state == string("was"), turn.c.superseded_by.is_(None))
    .values(state=string("becomes"), superseded_by=string("new_id"))
    .returning(turn.c.id),
    fences=True,
)
DECIDE = Statement(
    sa.update(turn)
    .where(turn.c.id == string("turn_id"), turn.c.state == string("was"), turn.c.superseded_by.is_(None))
    # Who has a reply delivered again that was stopped wants it now.
    .values(
        state=string("becomes"),
        outcome=string("result"),
        stopped=sa.false(),
        settled=sa.func.coalesce(turn.c.settled, value(turn.c.settled, "line")),
    )
    .returning(turn.c.id),
    fences=True,
)
# Once: who comes second finds it settled.
SETTLE = Statement(
    sa.update(turn)
    .where(turn.c.id == string("turn_id"), turn.c.state == string("was"), turn.c.settled.is_(None))
    .values(settled=value(turn.c.settled, "line"))
    .returning(turn.c.id),
    fences=True,
)
# A decision stands where what it decides was shown; it alone may run before that is settled.
HOLD_BEFORE = Statement(
    sa.update(thread)
    .where(thread.c.id == number("thread_id"), thread.c.waiting_turn == string("turn_id"))
    .values(holds_until=number("position") - 1)
)
EXPIRED = Statement(
    sa.select(*raw(turn, TURN_COLUMNS), thread.c.last_part, thread.c.waiting_shown)
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(
        turn.c.expires_at.is_not(None),
        turn.c.settled.is_(None),
        turn.c.expires_at <= number("at"),
        one_of(turn.c.state, "waiting", "failed"),
    )
    .order_by(turn.c.expires_at)
    .limit(number("most"))
)
# Nobody has written in the thread since that turn's message.
STILL_NEWEST = Statement(
    sa.select(thread.c.id).where(
        thread.c.id == number("thread_id"), thread.c.newest_position <= number("position")
    ),
    fences=True,
)
WAITS_NO_MORE = Statement(
    sa.update(thread)
    .where(thread.c.id == number("thread_id"), thread.c.waiting_turn == string("turn_id"))
    .values(waiting_turn=sa.null(), waiting_shown=sa.null(), holds_until=sa.null())
)
