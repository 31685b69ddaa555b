"""What is removed: by its age, with its thread, or because it is a person's."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from bridge.store.engine import Statement
from bridge.store.statements.base import (
    artifact,
    budget,
    feedback,
    number,
    one_of,
    part,
    refused,
    string,
    thread,
    turn,
    value,
)

ENDED = ("done", "failed", "cancelled")
REMOVED_COLUMNS = ("id", "message_key", "event_key", "ended_at")

_removed = [turn.c.id, turn.c.message_key, turn.c.event_key, sa.type_coerce(turn.c.ended_at, sa.BigInteger)]
# What an agent said unasked is known by its caller's key as long as its turn is there.
ENDED_BEFORE = Statement(
    sa.select(*_removed)
    .where(
        turn.c.ended_at < number("before"),
        one_of(turn.c.state, *ENDED),
        sa.or_(turn.c.spoken.is_(None), turn.c.ended_at < number("spoken_before")),
    )
    .order_by(turn.c.ended_at)
    .limit(number("most"))
)
ENDED_BETWEEN = Statement(
    sa.select(*_removed)
    .where(
        turn.c.ended_at >= number("since"),
        turn.c.ended_at < number("before"),
        sa.or_(turn.c.ended_at > number("since"), turn.c.id > string("turn_id")),
        one_of(turn.c.state, *ENDED),
    )
    .order_by(turn.c.ended_at, turn.c.id)
    .limit(number("most"))
)
LOCK_ENDED = Statement(
    sa.select(turn.c.id).where(turn.c.id == string("turn_id"), one_of(turn.c.state, *ENDED)).with_for_update(),
    fences=True,
)
# Before anything that hangs on it is removed: else somebody may hang more on it meanwhile.
LOCK_REMOVED = Statement(sa.select(turn.c.id).where(turn.c.id == string("turn_id")).with_for_update())
REMOVE_PARTS = Statement(sa.delete(part).where(part.c.turn_id == string("turn_id")))
REMOVE_ARTIFACTS = Statement(
    sa.delete(artifact).where(artifact.c.turn_id == string("turn_id")).returning(artifact.c.index)
)
REMOVE_FEEDBACK = Statement(sa.delete(feedback).where(feedback.c.turn_id == string("turn_id")))
REMOVE_TURN = Statement(sa.delete(turn).where(turn.c.id == string("turn_id")))
_NO_FILES: sa.ColumnElement[Any] = sa.literal_column(
    "'[]'"
)  # nothing is stored clear, also where texts are encrypted
CLEAR_FILES = Statement(
    sa.update(turn)
    .where(turn.c.id == string("turn_id"), turn.c.files != _NO_FILES)
    .values(files=_NO_FILES)
    .returning(turn.c.id)
)

# What waits for a person that never came goes with its thread; an approval is declined when its time is over.
_decision_open = sa.exists(
    sa.select(sa.literal_column("1"))
    .select_from(turn)
    .where(turn.c.id == thread.c.waiting_turn, turn.c.expires_at.is_not(None), turn.c.settled.is_(None))
)
_untouched = sa.and_(
    thread.c.touched_at < number("before"),
    thread.c.created_at < number("before"),
    one_of(thread.c.state, "idle", "moved"),
    sa.not_(_decision_open),
)
UNTOUCHED = Statement(
    sa.select(thread.c.id)
    .where(thread.c.platform == string("platform"), _untouched)
    .order_by(thread.c.touched_at)
    .limit(number("most"))
    .with_for_update(skip_locked=True)
)
LOCK_UNTOUCHED = Statement(
    sa.select(thread.c.id).where(thread.c.id == number("thread_id"), _untouched).with_for_update(), fences=True
)
TURNS_OF_THREAD = Statement(
    sa.select(*_removed)
    .where(turn.c.thread_id == number("thread_id"))
    .order_by(turn.c.received_at)
    .limit(number("most"))
)
# Somebody may have written there just now. Asked by order, so that the planner takes the index.
_any_turn = (
    sa.select(turn.c.id)
    .where(turn.c.thread_id == thread.c.id)
    .order_by(turn.c.received_at)
    .limit(sa.literal_column("1"))
    .scalar_subquery()
)
REMOVE_THREAD = Statement(
    sa.delete(thread).where(thread.c.id == number("thread_id"), _any_turn.is_(None)).returning(thread.c.id)
)

OLD_FEEDBACK = Statement(
    sa.select(feedback.c.turn_id, feedback.c.person)
    .where(feedback.c.at < number("before"))
    .order_by(feedback.c.at)
    .limit(number("most"))
)
REMOVE_RATING = Statement(
    sa.delete(feedback).where(feedback.c.turn_id == string("turn_id"), feedback.c.person == string("rater"))
)
REMOVE_BUDGETS = Statement(sa.delete(budget).where(budget.c.since < number("before")).returning(budget.c.scope))
REMOVE_REFUSED = Statement(sa.delete(refused).where(refused.c.at < number("before")).returning(refused.c.at))

# A person's turn that is at work is taken from whoever works on it: by its token that one can write nothing more.
_at_work = sa.exists(
    sa.select(sa.literal_column("1"))
    .select_from(turn)
    .where(
        turn.c.thread_id == thread.c.id,
        one_of(turn.c.state, "asking", "replying"),
        turn.c.id == string("turn_id"),
    )
)
TAKE_AWAY = Statement(
    sa.update(thread)
    .where(thread.c.id == number("thread_id"), _at_work)
    .values(state=sa.literal_column("'idle'"), owner=sa.null(), token=thread.c.token + 1)
)
# Of a person's turn that alone knows of a conversation at an agent's service, nothing else is left.
_EMPTY: dict[str, Any] = {
    name: sa.null()
    for name in (
        "person_roles", "asked_by", "heard", "edited", "spoken", "decision", "start", "answer", "request",
        "expires_at", "settled", "notice", "steps", "sources", "detail",
    )
}  # fmt: skip
EMPTY_TURN = Statement(
    sa.update(turn)
    .where(turn.c.id == string("turn_id"))
    .values(
        **_EMPTY,
        person_name=sa.literal_column("''"),
        person_workspace=sa.literal_column("''"),
        text=sa.literal_column("''"),
        files=_NO_FILES,
        event_key=string("turn_id"),
        message_key=string("turn_id"),
        message_id=sa.literal_column("''"),
        state=sa.literal_column("'cancelled'"),
        outcome=sa.literal_column("'withdrawn'"),
        ended_at=sa.func.coalesce(turn.c.ended_at, number("at")),
        checkpoint=value(turn.c.checkpoint, "stands"),
    )
)
# Whose turn is next there is seen again, as what was next may be gone.
SEAT_ANEW = Statement(
    sa.update(thread)
    .where(thread.c.id == number("thread_id"), one_of(thread.c.state, "queued", "ready"))
    .values(state=sa.literal_column("'idle'"), seat=sa.null())
)
CHECKED_NO_MORE = Statement(
    sa.update(thread)
    .where(thread.c.id == number("thread_id"), thread.c.recheck_turn == string("turn_id"))
    .values(recheck_turn=sa.null())
)
CLEAR_PERSON = Statement(
    sa.update(thread)
    .where(thread.c.id == number("thread_id"))
    .values(
        person=sa.case((thread.c.person == string("person"), sa.literal_column("''")), else_=thread.c.person),
        seat=sa.case((thread.c.seat == string("person"), sa.null()), else_=thread.c.seat),
    )
)
