"""What is recorded of a turn that runs, from its begin to its end."""

from __future__ import annotations

import sqlalchemy as sa

from bridge.store.engine import Statement
from bridge.store.statements.base import conversation_begins, number, one_of, ours, string, thread, turn, value

# Or begun already: under the same claim that was this very step, and only its answer was lost.
BEGIN = Statement(
    sa.update(turn)
    .where(
        turn.c.id == string("turn_id"),
        sa.or_(
            sa.and_(one_of(turn.c.state, "received"), turn.c.revision == number("revised")),
            turn.c.state == string("becomes"),
        ),
    )
    .values(
        state=string("becomes"),
        begun_at=sa.func.coalesce(turn.c.begun_at, number("at")),
        person_name=value(turn.c.person_name, "name"),
        text=value(turn.c.text, "words"),
        heard=value(turn.c.heard, "hears"),
        files=sa.func.coalesce(value(turn.c.files, "brought"), turn.c.files),
        start=value(turn.c.start, "starts"),
        checkpoint=value(turn.c.checkpoint, "stands"),
        settles=string("waiting_id"),
        agent=sa.select(thread.c.agent).where(thread.c.id == turn.c.thread_id).scalar_subquery(),
    )
    .returning(turn.c.id),
    fences=True,
)
# Together with the turn that is begun, or not at all; joined already as with `BEGIN`.
JOIN = Statement(
    sa.update(turn)
    .where(
        turn.c.id == string("joined_id"),
        sa.or_(
            sa.and_(one_of(turn.c.state, "received"), turn.c.revision == number("revised")),
            turn.c.joined_into == string("turn_id"),
        ),
    )
    .values(
        state=string("becomes"),
        outcome=string("result"),
        joined_into=string("turn_id"),
        begun_at=sa.func.coalesce(turn.c.begun_at, number("at")),
        ended_at=sa.func.coalesce(turn.c.ended_at, number("at")),
    )
    .returning(turn.c.id),
    fences=True,
)
SETTLE_WAITING = Statement(
    sa.update(turn)
    .where(turn.c.id == string("waiting_id"), one_of(turn.c.state, "waiting"))
    .values(
        state=string("settles"),
        outcome=string("result"),
        settled=sa.func.coalesce(turn.c.settled, value(turn.c.settled, "line")),
    )
)
CHECKPOINT = Statement(
    sa.update(turn).where(turn.c.id == string("turn_id")).values(checkpoint=value(turn.c.checkpoint, "stands"))
)
# Fences and writes in one.
ADVANCE_THREAD = Statement(
    sa.update(thread)
    .where(ours)
    .values(
        conversation=sa.func.coalesce(value(thread.c.conversation, "known_as"), thread.c.conversation),
        attempts=sa.case((number("progress") == 1, sa.literal_column("0")), else_=thread.c.attempts),
    )
    .returning(thread.c.id),
    fences=True,
)
CONCLUDE = Statement(
    sa.update(turn)
    .where(turn.c.id == string("turn_id"))
    .values(
        state=sa.literal_column("'replying'"),
        answer=value(turn.c.answer, "said"),
        request=value(turn.c.request, "asks_back"),
        expires_at=number("until"),
        notice=value(turn.c.notice, "notes"),
        sources=value(turn.c.sources, "quotes"),
        outcome=string("result"),
        detail=value(turn.c.detail, "details"),
    )
)
END = Statement(
    sa.update(turn)
    .where(turn.c.id == string("turn_id"))
    .values(state=string("becomes"), outcome=string("result"), detail=value(turn.c.detail, "details"),
            ended_at=number("at"), first_words=number("first"))
)  # fmt: skip
EXCHANGES = Statement(
    sa.select(turn.c.text, turn.c.answer)
    .where(
        turn.c.thread_id == number("thread_id"),
        one_of(turn.c.state, "done"),
        turn.c.position < number("before"),
        turn.c.position > conversation_begins,
        turn.c.answer.is_not(None),
    )
    .order_by(turn.c.position.desc())
    .limit(number("most"))
)
