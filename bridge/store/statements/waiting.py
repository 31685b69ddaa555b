"""What waits, for who watches the bridge."""

from __future__ import annotations

import sqlalchemy as sa

from bridge.store.engine import Statement
from bridge.store.statements.base import number, one_of, thread, turn

# What waits until its person has answered or decided something waits for nobody here.
_waiting = (
    sa.select(turn.c.received_at)
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(
        one_of(turn.c.state, "received"),
        turn.c.position > sa.func.coalesce(thread.c.holds_until, sa.literal_column("-1")),
    )
    .order_by(turn.c.received_at)
    .limit(number("most"))
    .subquery("waiting")
)
_ready = sa.select(sa.func.min(thread.c.ready_at)).where(one_of(thread.c.state, "ready")).scalar_subquery()
# How many turns wait, since when the oldest does, and since when the oldest thread does that anybody could claim.
WAITING = Statement(
    sa.select(
        sa.func.count(_waiting.c.received_at),
        sa.type_coerce(sa.func.min(_waiting.c.received_at), sa.BigInteger),
        sa.type_coerce(_ready, sa.BigInteger),
    )
)
