"""Messages that wait behind another turn, and the mark they carry meanwhile."""

from __future__ import annotations

import sqlalchemy as sa

from bridge.store.engine import Statement
from bridge.store.statements.base import number, one_of, string, thread, turn

_at_work = turn.alias("at_work")
_MARKED = (
    turn.c.id, turn.c.thread_id, turn.c.message_id, turn.c.person, turn.c.outcome, thread.c.platform,
    thread.c.workspace, thread.c.channel, thread.c.thread,
)  # fmt: skip
_served = sa.or_(thread.c.platform == string("platform_1"), thread.c.platform == string("platform_2"))
_behind_another = sa.and_(
    one_of(thread.c.state, "running"),
    thread.c.owner == string("replica"),
    sa.exists(
        sa.select(sa.literal_column("1"))
        .select_from(_at_work)
        .where(_at_work.c.thread_id == thread.c.id, one_of(_at_work.c.state, "asking", "replying"))
    ),
)
# For room: of the process, of its agent, or among its person's own.
_for_room = sa.and_(one_of(thread.c.state, "ready", "queued"), thread.c.ready_at < number("before"))
IN_LINE = Statement(
    sa.select(*_MARKED)
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(
        sa.or_(_behind_another, _for_room),
        _served,
        one_of(turn.c.state, "received"),
        sa.not_(turn.c.marked),
        turn.c.spoken.is_(None),  # it is no message that stands there, and a press is none
        turn.c.chosen.is_(None),
        turn.c.received_at < number("before"),
    )
    .order_by(turn.c.received_at)
    .limit(number("most"))
)
MARK = Statement(
    sa.update(turn)
    .where(turn.c.id == string("turn_id"), one_of(turn.c.state, "received"), sa.not_(turn.c.marked))
    .values(marked=sa.true())
    .returning(turn.c.id)
)
# What another replica works on is that one's.
MARKED_NO_MORE = Statement(
    sa.select(*_MARKED)
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(
        sa.text("turn.marked"),  # as the index has it: SQLite's own form of a boolean isn't recognized
        sa.not_(one_of(turn.c.state, "received")),
        sa.or_(thread.c.owner.is_(None), thread.c.owner == string("replica")),
        _served,
    )
    .limit(number("most"))
)
# It was asked, perhaps by another replica, while the mark was on its way: then there is one to take away again.
MARK_AGAIN = Statement(
    sa.update(turn)
    .where(turn.c.id == string("turn_id"), sa.not_(one_of(turn.c.state, "received")))
    .values(marked=sa.true())
)
UNMARK = Statement(sa.update(turn).where(turn.c.id == string("turn_id")).values(marked=sa.false()))
