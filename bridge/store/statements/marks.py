"""Messages that wait behind another turn, and the mark they carry meanwhile."""

from __future__ import annotations

import sqlalchemy as sa

from bridge.store.engine import Statement
from bridge.store.statements.base import number, one_of, string, thread, turn

_at_work = turn.alias("at_work")
_in_line = (
    sa.select(turn.c.id)
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(
        one_of(thread.c.state, "running"),
        thread.c.owner == string("replica"),
        one_of(turn.c.state, "received"),
        sa.not_(turn.c.marked),
        turn.c.spoken.is_(None),  # it is no message that stands there, and a press is none
        turn.c.chosen.is_(None),
        turn.c.received_at < number("before"),
        sa.exists(
            sa.select(sa.literal_column("1"))
            .select_from(_at_work)
            .where(_at_work.c.thread_id == thread.c.id, one_of(_at_work.c.state, "asking", "replying"))
        ),
    )
    .order_by(turn.c.received_at)
    .limit(number("most"))
)
MARK = Statement(
    sa.update(turn)
    .where(turn.c.id.in_(_in_line), one_of(turn.c.state, "received"))
    .values(marked=sa.true())
    .returning(turn.c.id, turn.c.thread_id, turn.c.message_id)
)
# What another replica works on is that one's.
MARKED_NO_MORE = Statement(
    sa.select(
        turn.c.id, turn.c.thread_id, turn.c.message_id, turn.c.person, turn.c.outcome, thread.c.platform,
        thread.c.workspace, thread.c.channel, thread.c.thread,
    )
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(
        sa.text("turn.marked"),  # as the index has it: SQLite's own form of a boolean isn't recognized
        sa.not_(one_of(turn.c.state, "received")),
        sa.or_(thread.c.owner.is_(None), thread.c.owner == string("replica")),
    )
    .limit(number("most"))
)  # fmt: skip
UNMARK = Statement(sa.update(turn).where(turn.c.id == string("turn_id")).values(marked=sa.false()))
