"""Which turn of a thread is worked on, and who stops it."""

from __future__ import annotations

import sqlalchemy as sa

from bridge.store.engine import Statement
from bridge.store.statements.base import address, number, one_of, string, thread, turn

ACTIVE_TURN = Statement(
    sa.select(turn.c.id)
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(address, one_of(turn.c.state, "asking", "replying"))
)
# Claimed, and not begun yet: attachments are being fetched, say.
NEXT_TURN = Statement(
    sa.select(turn.c.id)
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(
        address,
        one_of(thread.c.state, "running"),
        one_of(turn.c.state, "received"),
        turn.c.position > sa.func.coalesce(thread.c.holds_until, sa.literal_column("-1")),
    )
    .order_by(turn.c.position, turn.c.received_at)
    .limit(sa.literal_column("1"))
)
STOP = Statement(sa.update(turn).where(turn.c.id == string("turn_id")).values(stopped=sa.true()))
STOPPED = Statement(
    sa.select(turn.c.id)
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(
        one_of(thread.c.state, "running"),
        thread.c.owner == string("replica"),
        one_of(turn.c.state, "asking", "replying"),
        turn.c.stopped,
    )
)
# The turn that the agent works on for a person who wrote again, if that message waits.
_written_after = turn.alias("written_after")
INTERRUPT = Statement(
    sa.update(turn)
    .where(
        turn.c.id.in_(
            sa.select(turn.c.id)
            .join(thread, thread.c.id == turn.c.thread_id)
            .where(
                address,
                one_of(turn.c.state, "asking"),
                turn.c.person == string("person"),
                turn.c.position < number("position"),
            )
        ),
        sa.exists(
            sa.select(sa.literal_column("1"))
            .select_from(_written_after)
            .where(
                _written_after.c.message_key == string("message_key"), one_of(_written_after.c.state, "received")
            )
        ),
    )
    .values(stopped=sa.true())
    .returning(turn.c.id)
)
OVERTAKEN = Statement(
    sa.select(turn.c.id)
    .where(
        turn.c.thread_id == number("thread_id"),
        one_of(turn.c.state, "received"),
        turn.c.position > number("position"),
        turn.c.person == string("person"),
    )
    .limit(sa.literal_column("1"))
)
