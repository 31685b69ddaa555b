"""A fair share: how many threads of one person are worked on at once."""

from __future__ import annotations

import sqlalchemy as sa

from bridge.store.engine import Statement
from bridge.store.statements.base import number, one_of, string, thread

# A person's seats are taken by threads, ready or running, whose next turn is that person's. Whoever gives a seat holds
# this lock to the end of the unit of work, so that two replicas never give the last one twice. A statement of its own:
# the next one sees what the replica before has done. SQLite has one writer, and needs none.
LOCK_SEATS = Statement(
    sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(string("seated"), sa.literal_column("0"))))
)
_seated = thread.alias("seated")
_taken = (
    sa.select(sa.func.count())
    .select_from(
        sa.select(sa.literal_column("1").label("one"))
        .select_from(_seated)
        .where(_seated.c.seat == string("seated"), one_of(_seated.c.state, "ready", "running"))
        .limit(number("at_once"))
        .subquery()
    )
    .scalar_subquery()
)
_waits_longest = (
    sa.select(thread.c.id)
    .where(one_of(thread.c.state, "queued"), thread.c.seat == string("seated"), _taken < number("at_once"))
    .order_by(thread.c.ready_at)
    .limit(sa.literal_column("1"))
    # Who has it locked is about to give it a seat by this very statement.
    .with_for_update(skip_locked=True)
    .cte("waits_longest")
)
SEAT = Statement(
    sa.update(thread)
    .where(thread.c.id.in_(sa.select(_waits_longest.c.id)))
    .values(state=sa.literal_column("'ready'"), ready_at=number("at"))
    .returning(thread.c.id)
)
WITHOUT_SEAT = Statement(
    sa.select(thread.c.seat).distinct().where(one_of(thread.c.state, "queued")).limit(number("most"))
)
