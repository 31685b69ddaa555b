"""What people say of an answer, stored and then told to the agent's service."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert  # spelled alike on SQLite

from bridge.store.engine import Statement
from bridge.store.statements.base import address, feedback, number, one_of, raw, string, thread, turn, value

_rates = insert(feedback).from_select(
    ["turn_id", "person", "agent", "good", "words", "at", "due_at", "tries"],
    sa.select(
        turn.c.id,
        string("rater").label("person"),
        thread.c.agent,
        value(feedback.c.good).label("good"),
        sa.literal_column("''").label("words"),
        number("at").label("at"),
        number("at").label("due_at"),
        sa.literal_column("0").label("tries"),
    )
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(
        turn.c.id == string("turn_id"),
        one_of(turn.c.state, "replying", "done"),
        one_of(turn.c.outcome, "answered"),
        address,
    )
    .with_for_update(read=True, key_share=True, of=turn),  # it may be about to be removed
)
# Words that were added to the other opinion don't fit this one.
RATE = Statement(
    _rates.on_conflict_do_update(
        index_elements=["turn_id", "person"],
        set_={
            "words": sa.case(
                (feedback.c.good == _rates.excluded.good, feedback.c.words), else_=_rates.excluded.words
            ),
            "good": _rates.excluded.good,
            "at": _rates.excluded.at,
            "due_at": _rates.excluded.due_at,
            "tries": _rates.excluded.tries,
        },
    ).returning(feedback.c.turn_id)
)
ADD_WORDS = Statement(
    sa.update(feedback)
    .where(
        feedback.c.turn_id == string("turn_id"),
        feedback.c.person == string("rater"),
        feedback.c.turn_id.in_(
            sa.select(turn.c.id)
            .join(thread, thread.c.id == turn.c.thread_id)
            .where(turn.c.id == string("turn_id"), address)
        ),
    )
    .values(
        words=value(feedback.c.words, "said"),
        at=number("at"),
        due_at=number("at"),
        tries=sa.literal_column("0"),
    )
    .returning(feedback.c.turn_id)
)
# Whoever takes one up holds it until it is due again, and so does a process that died meanwhile.
_due = (
    sa.select(feedback.c.turn_id, feedback.c.person)
    .where(feedback.c.due_at.is_not(None), feedback.c.due_at <= number("at"))
    .order_by(feedback.c.due_at)
    .limit(number("most"))
    .with_for_update(skip_locked=True)
    .cte("due")
)
TAKE_DUE_FEEDBACK = Statement(
    sa.update(feedback)
    .where(feedback.c.turn_id == _due.c.turn_id, feedback.c.person == _due.c.person)
    .values(
        tries=feedback.c.tries + sa.literal_column("1"),
        due_at=number("at") + number("pause") * (feedback.c.tries + sa.literal_column("1")),
    )
    .returning(*raw(feedback, ("turn_id", "person", "good", "words", "at", "tries")))
)
# The agent that answered it, as far as that is known: of an earlier conversation it may have been another one.
RATED_TURN = Statement(
    sa.select(thread.c.agent, *raw(turn, ("checkpoint",)))
    .join(thread, thread.c.id == turn.c.thread_id)
    .where(
        turn.c.id == string("turn_id"),
        sa.or_(thread.c.begins_after.is_(None), turn.c.position > thread.c.begins_after),
    )
)
FEEDBACK_TOLD = Statement(
    sa.update(feedback)
    .where(
        feedback.c.turn_id == string("turn_id"),
        feedback.c.person == string("rater"),
        feedback.c.at == number("at"),
    )
    .values(due_at=sa.null())
)
