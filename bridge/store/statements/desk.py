"""What people's commands read, and a conversation that begins anew."""

from __future__ import annotations

import sqlalchemy as sa

from bridge.store.engine import Statement
from bridge.store.statements.base import (
    TURN_COLUMNS,
    address,
    artifact,
    columns,
    conversation_begins,
    number,
    one_of,
    raw,
    string,
    thread,
    turn,
)
from bridge.store.tables import Artifact

OVERVIEW_COLUMNS = (
    "id", "agent", "conversation", "state", "waiting_turn", "begins_after", "newest_position",
)  # fmt: skip
OVERVIEW = Statement(sa.select(*raw(thread, OVERVIEW_COLUMNS)).where(address))
# By who asked alone: a person's turns are in one index, newest first. A condition on their threads would have the
# planner read those.
RECENT = Statement(
    sa.select(thread.c.platform, thread.c.workspace, thread.c.channel, thread.c.thread, turn.c.text)
    .join(turn, thread.c.id == turn.c.thread_id)
    .where(turn.c.person == string("person"))
    .order_by(turn.c.received_at.desc())
    .limit(number("most"))
)
QUEUED = Statement(
    sa.select(turn.c.person)
    .where(turn.c.thread_id == number("thread_id"), one_of(turn.c.state, "received"))
    .order_by(turn.c.position, turn.c.received_at)
    .limit(number("most"))
)


def _last(*states: str) -> Statement:
    return Statement(
        sa.select(*raw(turn, TURN_COLUMNS))
        .where(
            turn.c.thread_id == number("thread_id"),
            one_of(turn.c.state, *states),
            turn.c.position > conversation_begins,
            turn.c.spoken.is_(None),
            sa.func.coalesce(turn.c.outcome, sa.literal_column("''")).not_in(
                [sa.literal_column("'withdrawn'"), sa.literal_column("'joined'")]
            ),
        )
        .order_by(turn.c.position.desc(), turn.c.received_at.desc())
        .limit(sa.literal_column("1"))
    )


ARTIFACTS_OF_THREAD = Statement(
    sa.select(*raw(artifact, columns(Artifact)))
    .join(turn, turn.c.id == artifact.c.turn_id)
    .where(
        turn.c.thread_id == number("thread_id"),
        one_of(turn.c.state, "done"),
        turn.c.position > conversation_begins,
    )
    .order_by(turn.c.position.desc(), turn.c.received_at.desc(), artifact.c.index.desc())
    .limit(number("most"))
)
LAST_ANSWERED = _last("done")
LAST_UNANSWERED = _last("failed", "cancelled")
# Only while nothing is worked on: what runs would write its conversation down again.
BEGIN_ANEW = Statement(
    sa.update(thread)
    .where(thread.c.id == number("thread_id"), one_of(thread.c.state, "idle"))
    .values(conversation=sa.null(), agent=string("chosen_agent"), begins_after=thread.c.newest_position)
    .returning(thread.c.id),
    fences=True,
)
