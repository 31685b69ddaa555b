"""The prepared statements: what a turn costs. Each finds its rows by an index, whatever the age of the thread and the
size of the tables; `tests/store/test_plans.py` asks both databases how.

States stand in them as literals, because a partial index serves only a query that names its condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert  # spelled alike on SQLite
from sqlmodel import SQLModel

from bridge.store.engine import Statement
from bridge.store.tables import Artifact, Budget, Feedback, Part, Refused, Replica, Thread, Turn

_thread: sa.Table = Thread.__table__  # type: ignore[attr-defined]
_turn: sa.Table = Turn.__table__  # type: ignore[attr-defined]
_replica: sa.Table = Replica.__table__  # type: ignore[attr-defined]
_part: sa.Table = Part.__table__  # type: ignore[attr-defined]
_artifact: sa.Table = Artifact.__table__  # type: ignore[attr-defined]
_budget: sa.Table = Budget.__table__  # type: ignore[attr-defined]
_refused: sa.Table = Refused.__table__  # type: ignore[attr-defined]
_feedback: sa.Table = Feedback.__table__  # type: ignore[attr-defined]

SUSPECT = 3  # attempts without progress after which a thread runs alone, so that it can't drag others down with it
RECLAIMED_AT_ONCE = 500  # threads in one statement


def _value(column: sa.Column[Any], name: str | None = None) -> sa.BindParameter[Any]:
    """A parameter of a column's type. Times and JSON come as they are stored."""
    plain = column.type.impl if isinstance(column.type, sa.TypeDecorator) else column.type
    return sa.bindparam(name or column.name, type_=plain)


def _number(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger)


def _id(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.String)


def _is(column: sa.Column[Any], *literals: str) -> sa.ColumnElement[bool]:
    values: list[sa.ColumnElement[str]] = [sa.literal_column(f"'{literal}'") for literal in literals]
    return column == values[0] if len(values) == 1 else column.in_(values)


def _raw(table: sa.Table, names: Sequence[str]) -> list[sa.ColumnElement[Any]]:
    """Columns as they are stored, without the types that make times and values of them."""
    return [table.c[name] for name in names]


def columns(table: type[SQLModel], *, without: Sequence[str] = ()) -> tuple[str, ...]:
    return tuple(name for name in table.model_fields if name not in without)


_address = sa.and_(
    _thread.c.platform == _id("platform"),
    _thread.c.workspace == _id("workspace"),
    _thread.c.channel == _id("channel"),
    _thread.c.thread == _id("thread"),
)
_ours = sa.and_(
    _thread.c.id == _number("thread_id"), _thread.c.token == _number("token"), _thread.c.owner == _id("replica")
)


def _can_run(thread: sa.ColumnElement[Any], holds: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """A turn of the thread that may run: while an input request is open, only what was written after it."""
    return sa.and_(
        _turn.c.thread_id == thread,
        _is(_turn.c.state, "received"),
        _turn.c.position > sa.func.coalesce(holds, sa.literal_column("-1")),
    )


def _runnable(thread: sa.ColumnElement[Any], holds: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return sa.exists(sa.select(sa.literal_column("1")).select_from(_turn).where(_can_run(thread, holds)))


def _next_person(thread: sa.ColumnElement[Any], holds: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    """Whose turn is the next that may run."""
    return (
        sa.select(_turn.c.person)
        .where(_can_run(thread, holds))
        .order_by(_turn.c.position, _turn.c.received_at)
        .limit(sa.literal_column("1"))
        .correlate(_thread)
        .scalar_subquery()
    )


# --- put in ---------------------------------------------------------------------------------------------------

_THREAD_GIVEN = (
    "platform", "workspace", "channel", "thread", "direct", "agent", "ready_at", "person", "newest",
    "newest_position", "touched_at", "created_at",
)  # fmt: skip
_was_refused = sa.exists(sa.select(_refused.c.message_key).where(_refused.c.message_key == _id("message_key")))
_new_thread = insert(_thread).from_select(
    [*_THREAD_GIVEN, "state", "token", "attempts", "several"],
    sa.select(
        *(_value(_thread.c[name]).label(name) for name in _THREAD_GIVEN),
        sa.literal_column("'idle'").label("state"),
        sa.literal_column("0").label("token"),
        sa.literal_column("0").label("attempts"),
        sa.false().label("several"),
    ).where(sa.not_(_was_refused)),
)
_NOBODY: sa.ColumnElement[str] = sa.literal_column("''")  # the agent opened the thread, and no person asked yet
_newer = _new_thread.excluded.newest_position > _thread.c.newest_position
# First, as it locks the thread's row: a turn that arrives while its thread is released can't be missed then.
TOUCH_THREAD = Statement(
    _new_thread.on_conflict_do_update(
        index_elements=["platform", "workspace", "channel", "thread"],
        set_={
            "touched_at": _new_thread.excluded.touched_at,
            "several": sa.or_(
                _thread.c.several,
                sa.and_(_thread.c.person != _NOBODY, _thread.c.person != _new_thread.excluded.person),
            ),
            "person": sa.case((_thread.c.person == _NOBODY, _new_thread.excluded.person), else_=_thread.c.person),
            "newest": sa.case((_newer, _new_thread.excluded.newest), else_=_thread.c.newest),
            "newest_position": sa.case(
                (_newer, _new_thread.excluded.newest_position), else_=_thread.c.newest_position
            ),
        },
    )
)

TURN_GIVEN = (
    "id", "event_key", "message_key", "message_id", "position", "person", "person_name", "person_workspace",
    "person_roles", "asked_by", "text", "files", "direct", "mid_thread", "received_at", "retry_of", "asked_as",
    "chosen", "start", "decision", "heard",
)  # fmt: skip
_turn_values = [_value(_turn.c[name]).label(name) for name in TURN_GIVEN]
_turn_constants = [
    sa.literal_column("'received'").label("state"),
    sa.false().label("stopped"),
    sa.literal_column("0").label("revision"),
    sa.false().label("marked"),
]
_TURN_COLUMNS = ["thread_id", *TURN_GIVEN, "state", "stopped", "revision", "marked"]


def _put_turn(where: sa.ColumnElement[bool]) -> Statement:
    source = sa.select(_thread.c.id, *_turn_values, *_turn_constants).where(where)
    return Statement(
        insert(_turn).from_select(_TURN_COLUMNS, source).on_conflict_do_nothing().returning(_turn.c.id)
    )


# `thread` is the name of a column and of the address's parameter alike, so the turn's own names come in as they are.
PUT_TURN = _put_turn(sa.and_(_address, sa.not_(_was_refused)))
PUT_TURN_INTO = _put_turn(_thread.c.id == _number("thread_id"))


def _ready(where: sa.ColumnElement[bool]) -> Statement:
    """A thread that has work again waits for a seat of its person: see `SEAT`."""
    return Statement(
        sa.update(_thread)
        .where(where, _is(_thread.c.state, "idle"), _runnable(_thread.c.id, _thread.c.holds_until))
        .values(
            state=sa.literal_column("'queued'"),
            ready_at=_number("at"),
            seat=_next_person(_thread.c.id, _thread.c.holds_until),
        )
        .returning(_thread.c.seat)
    )


READY = _ready(_address)
READY_THREAD = _ready(_thread.c.id == _number("thread_id"))

# --- a fair share -----------------------------------------------------------------------------------------------

# A person's seats are taken by threads, ready or running, whose next turn is that person's. Whoever gives a seat holds
# this lock to the end of the unit of work, so that two replicas never give the last one twice. A statement of its own:
# the next one sees what the replica before has done. SQLite has one writer, and needs none.
LOCK_SEATS = Statement(
    sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(_id("seated"), sa.literal_column("0"))))
)
_seated = _thread.alias("seated")
_taken = (
    sa.select(sa.func.count())
    .select_from(
        sa.select(sa.literal_column("1").label("one"))
        .select_from(_seated)
        .where(_seated.c.seat == _id("seated"), _is(_seated.c.state, "ready", "running"))
        .limit(_number("at_once"))
        .subquery()
    )
    .scalar_subquery()
)
_waits_longest = (
    sa.select(_thread.c.id)
    .where(_is(_thread.c.state, "queued"), _thread.c.seat == _id("seated"), _taken < _number("at_once"))
    .order_by(_thread.c.ready_at)
    .limit(sa.literal_column("1"))
    # Who has it locked is about to give it a seat by this very statement.
    .with_for_update(skip_locked=True)
    .cte("waits_longest")
)
SEAT = Statement(
    sa.update(_thread)
    .where(_thread.c.id.in_(sa.select(_waits_longest.c.id)))
    .values(state=sa.literal_column("'ready'"), ready_at=_number("at"))
    .returning(_thread.c.id)
)
WITHOUT_SEAT = Statement(
    sa.select(_thread.c.seat).distinct().where(_is(_thread.c.state, "queued")).limit(_number("most"))
)

# --- budgets ----------------------------------------------------------------------------------------------------

_spends = insert(_budget).from_select(
    ["scope", "since", "used"],
    # For a turn that this unit of work stores, not for one that is known already.
    sa.select(_id("scope"), _number("at"), sa.literal_column("1")).where(
        sa.exists(sa.select(_turn.c.id).where(_turn.c.id == _id("spender")))
    ),
)
_over = _budget.c.since <= _number("expired")
SPEND = Statement(
    _spends.on_conflict_do_update(
        index_elements=["scope"],
        set_={
            "since": sa.case((_over, _spends.excluded.since), else_=_budget.c.since),
            "used": sa.case((_over, sa.literal_column("1")), else_=_budget.c.used + 1),
        },
        where=sa.or_(_over, _budget.c.used < _number("allowed")),
    ).returning(_budget.c.scope),
    fences=True,
)
FREE_BUDGET = Statement(sa.delete(_budget).where(_budget.c.scope == _id("scope")))
SPENT = Statement(sa.select(*_raw(_budget, ("since", "used"))).where(_budget.c.scope == _id("scope")))
KNOWN_TURN = Statement(
    sa.select(_turn.c.id)
    .where(sa.or_(_turn.c.event_key == _id("event_key"), _turn.c.message_key == _id("message_key")))
    .limit(sa.literal_column("1"))
)

REFUSED = Statement(sa.select(_refused.c.message_key).where(_refused.c.message_key == _id("key")))
REFUSE = Statement(
    insert(_refused)
    .values(message_key=_id("key"), at=_number("at"))
    .on_conflict_do_nothing()
    .returning(_refused.c.message_key)
)
FORGET_REFUSED = Statement(sa.delete(_refused).where(_refused.c.at < _number("since")))

LOCK_THREAD = Statement(
    sa.select(_thread.c.id).where(_thread.c.id == _number("thread_id")).with_for_update(), fences=True
)
ANNOUNCE = Statement(sa.select(sa.func.pg_notify(sa.literal_column("'threadbridge'"), _id("payload"))))

CHANGE_TEXT = Statement(
    sa.update(_turn)
    .where(_turn.c.message_key == _id("key"), _is(_turn.c.state, "received"))
    .values(text=_value(_turn.c.text, "words"), revision=_turn.c.revision + 1)
    .returning(_turn.c.id)
)
NOTE_EDIT = Statement(
    sa.update(_turn)
    .where(
        _turn.c.message_key == _id("key"),
        sa.not_(_is(_turn.c.state, "received")),
        sa.not_(_is(_turn.c.state, "cancelled")),
        sa.func.coalesce(_turn.c.edited, sa.literal_column("''")) != _value(_turn.c.edited, "words"),
    )
    .values(edited=_value(_turn.c.edited, "words"))
    .returning(_turn.c.id)
)
WITHDRAW = Statement(
    sa.update(_turn)
    .where(_turn.c.message_key == _id("key"), _is(_turn.c.state, "received"))
    .values(
        state=sa.literal_column("'cancelled'"), outcome=sa.literal_column("'withdrawn'"), ended_at=_number("at")
    )
    .returning(_turn.c.id)
)

# --- decide -----------------------------------------------------------------------------------------------------

TURN_COLUMNS = columns(Turn)
THREAD_COLUMNS = columns(Thread)
TURN_OF_THREAD = Statement(
    sa.select(*_raw(_turn, TURN_COLUMNS), _thread.c.last_part, _thread.c.waiting_shown)
    .join(_thread, _thread.c.id == _turn.c.thread_id)
    .where(_turn.c.id == _id("turn_id"), _address)
)
# Only while nobody has decided yet.
SUPERSEDE = Statement(
    sa.update(_turn)
    .where(_turn.c.id == _id("turn_id"), _turn.c.state == _id("was"), _turn.c.superseded_by.is_(None))
    .values(state=_id("becomes"), superseded_by=_id("new_id"))
    .returning(_turn.c.id),
    fences=True,
)
DECIDE = Statement(
    sa.update(_turn)
    .where(_turn.c.id == _id("turn_id"), _turn.c.state == _id("was"), _turn.c.superseded_by.is_(None))
    # Who has a reply delivered again that was stopped wants it now.
    .values(
        state=_id("becomes"),
        outcome=_id("result"),
        stopped=sa.false(),
        settled=sa.func.coalesce(_turn.c.settled, _value(_turn.c.settled, "line")),
    )
    .returning(_turn.c.id),
    fences=True,
)
# Once: who comes second finds it settled.
SETTLE = Statement(
    sa.update(_turn)
    .where(_turn.c.id == _id("turn_id"), _turn.c.state == _id("was"), _turn.c.settled.is_(None))
    .values(settled=_value(_turn.c.settled, "line"))
    .returning(_turn.c.id),
    fences=True,
)
# A decision stands where what it decides was shown; it alone may run before that is settled.
HOLD_BEFORE = Statement(
    sa.update(_thread)
    .where(_thread.c.id == _number("thread_id"), _thread.c.waiting_turn == _id("turn_id"))
    .values(holds_until=_number("position") - 1)
)
EXPIRED = Statement(
    sa.select(*_raw(_turn, TURN_COLUMNS), _thread.c.last_part, _thread.c.waiting_shown)
    .join(_thread, _thread.c.id == _turn.c.thread_id)
    .where(
        _turn.c.expires_at.is_not(None),
        _turn.c.settled.is_(None),
        _turn.c.expires_at <= _number("at"),
        _is(_turn.c.state, "waiting", "failed"),
    )
    .order_by(_turn.c.expires_at)
    .limit(_number("most"))
)
# Nobody has written in the thread since that turn's message.
STILL_NEWEST = Statement(
    sa.select(_thread.c.id).where(
        _thread.c.id == _number("thread_id"), _thread.c.newest_position <= _number("position")
    ),
    fences=True,
)
WAITS_NO_MORE = Statement(
    sa.update(_thread)
    .where(_thread.c.id == _number("thread_id"), _thread.c.waiting_turn == _id("turn_id"))
    .values(waiting_turn=sa.null(), waiting_shown=sa.null(), holds_until=sa.null())
)

ANSWERING = Statement(
    sa.select(
        _thread.c.agent,
        sa.case((_is(_turn.c.outcome, "input_request"), _turn.c.person), else_=sa.null()),
    )
    .join(_turn, _turn.c.id == _thread.c.waiting_turn, isouter=True)
    .where(_address)
)
ASKER = Statement(
    sa.select(_turn.c.person)
    .join(_thread, _thread.c.id == _turn.c.thread_id)
    .where(_turn.c.id == _id("turn_id"), _address)
)
KNOWS = Statement(sa.select(_thread.c.id).where(_address))
ACTIVE_TURN = Statement(
    sa.select(_turn.c.id)
    .join(_thread, _thread.c.id == _turn.c.thread_id)
    .where(_address, _is(_turn.c.state, "asking", "replying"))
)
# Claimed, and not begun yet: attachments are being fetched, say.
NEXT_TURN = Statement(
    sa.select(_turn.c.id)
    .join(_thread, _thread.c.id == _turn.c.thread_id)
    .where(
        _address,
        _is(_thread.c.state, "running"),
        _is(_turn.c.state, "received"),
        _turn.c.position > sa.func.coalesce(_thread.c.holds_until, sa.literal_column("-1")),
    )
    .order_by(_turn.c.position, _turn.c.received_at)
    .limit(sa.literal_column("1"))
)
STOP = Statement(sa.update(_turn).where(_turn.c.id == _id("turn_id")).values(stopped=sa.true()))
STOPPED = Statement(
    sa.select(_turn.c.id)
    .join(_thread, _thread.c.id == _turn.c.thread_id)
    .where(
        _is(_thread.c.state, "running"),
        _thread.c.owner == _id("replica"),
        _is(_turn.c.state, "asking", "replying"),
        _turn.c.stopped,
    )
)
# The turn that the agent works on for a person who wrote again, if that message waits.
_written_after = _turn.alias("written_after")
INTERRUPT = Statement(
    sa.update(_turn)
    .where(
        _turn.c.id.in_(
            sa.select(_turn.c.id)
            .join(_thread, _thread.c.id == _turn.c.thread_id)
            .where(
                _address,
                _is(_turn.c.state, "asking"),
                _turn.c.person == _id("person"),
                _turn.c.position < _number("position"),
            )
        ),
        sa.exists(
            sa.select(sa.literal_column("1"))
            .select_from(_written_after)
            .where(_written_after.c.message_key == _id("message_key"), _is(_written_after.c.state, "received"))
        ),
    )
    .values(stopped=sa.true())
    .returning(_turn.c.id)
)
OVERTAKEN = Statement(
    sa.select(_turn.c.id)
    .where(
        _turn.c.thread_id == _number("thread_id"),
        _is(_turn.c.state, "received"),
        _turn.c.position > _number("position"),
        _turn.c.person == _id("person"),
    )
    .limit(sa.literal_column("1"))
)
SEEN = Statement(
    sa.select(
        _thread.c.platform, _thread.c.workspace, _thread.c.channel, _thread.c.thread, _thread.c.newest,
        _thread.c.direct,
    )
    .where(_thread.c.platform == _id("platform"), _thread.c.touched_at > _number("since"))
    .order_by(_thread.c.touched_at.desc())
    .limit(_number("most"))
)  # fmt: skip

# --- claim ------------------------------------------------------------------------------------------------------

CLAIM_COLUMNS = (
    "id", "token", "platform", "workspace", "channel", "thread", "agent", "conversation", "attempts", "several",
    "last_part", "waiting_turn", "recheck_turn", "seat", "spoke_at",
)  # fmt: skip


def _claim(suspicion: sa.ColumnElement[bool]) -> Statement:
    # As an expression, so that no index of all the platform's threads is taken for the small one of those ready.
    platform = sa.func.coalesce(_thread.c.platform, sa.literal_column("''"))
    picked = (
        sa.select(_thread.c.id)
        .where(
            _is(_thread.c.state, "ready"),
            sa.or_(platform == _id("platform_1"), platform == _id("platform_2")),
            suspicion,
        )
        .order_by(_thread.c.ready_at)
        .limit(_number("most"))
        .with_for_update(skip_locked=True)
        .cte("picked")
    )
    return Statement(
        sa.update(_thread)
        .where(_thread.c.id.in_(sa.select(picked.c.id)))
        .values(
            state=sa.literal_column("'running'"),
            owner=_id("replica"),
            token=_thread.c.token + 1,
            attempts=_thread.c.attempts + 1,
        )
        .returning(*_raw(_thread, CLAIM_COLUMNS))
    )


CLAIM = _claim(_thread.c.attempts < SUSPECT)
CLAIM_SUSPECT = _claim(_thread.c.attempts >= SUSPECT)

LOOK_THREAD = Statement(sa.select(*_raw(_thread, (*CLAIM_COLUMNS, "owner", "state"))).where(
    _thread.c.id == _number("thread_id")
))  # fmt: skip
LOOK_ACTIVE = Statement(
    sa.select(*_raw(_turn, TURN_COLUMNS)).where(
        _turn.c.thread_id == _number("thread_id"), _is(_turn.c.state, "asking", "replying")
    )
)
_can_run_now = (
    sa.select(*_raw(_turn, TURN_COLUMNS))
    .where(
        _turn.c.thread_id == _number("thread_id"),
        _is(_turn.c.state, "received"),
        _turn.c.position
        > sa.select(sa.func.coalesce(_thread.c.holds_until, sa.literal_column("-1")))
        .where(_thread.c.id == _number("thread_id"))
        .scalar_subquery(),
    )
    .order_by(_turn.c.position, _turn.c.received_at)
)
LOOK_RUNNABLE = Statement(_can_run_now.limit(sa.literal_column("1")))
LOOK_LINE = Statement(_can_run_now.limit(_number("most")))
LOOK_WAITING = Statement(
    sa.select(*_raw(_turn, TURN_COLUMNS), _thread.c.waiting_shown)
    .join(_thread, _thread.c.waiting_turn == _turn.c.id)
    .where(_thread.c.id == _number("thread_id"))
)
TURN = Statement(sa.select(*_raw(_turn, TURN_COLUMNS)).where(_turn.c.id == _id("turn_id")))

# --- record -----------------------------------------------------------------------------------------------------

FENCE = Statement(sa.select(_thread.c.id).where(_ours).with_for_update(), fences=True)
# Or begun already: under the same claim that was this very step, and only its answer was lost.
BEGIN = Statement(
    sa.update(_turn)
    .where(
        _turn.c.id == _id("turn_id"),
        sa.or_(_is(_turn.c.state, "received"), _turn.c.state == _id("becomes")),
        _turn.c.revision == _number("revised"),
    )
    .values(
        state=_id("becomes"),
        begun_at=sa.func.coalesce(_turn.c.begun_at, _number("at")),
        person_name=_value(_turn.c.person_name, "name"),
        text=_value(_turn.c.text, "words"),
        heard=_value(_turn.c.heard, "hears"),
        files=sa.func.coalesce(_value(_turn.c.files, "brought"), _turn.c.files),
        start=_value(_turn.c.start, "starts"),
        checkpoint=_value(_turn.c.checkpoint, "stands"),
        settles=_id("waiting_id"),
    )
    .returning(_turn.c.id),
    fences=True,
)
# Together with the turn that is begun, or not at all; joined already as with `BEGIN`.
JOIN = Statement(
    sa.update(_turn)
    .where(
        _turn.c.id == _id("joined_id"),
        sa.or_(
            sa.and_(_is(_turn.c.state, "received"), _turn.c.revision == _number("revised")),
            _turn.c.joined_into == _id("turn_id"),
        ),
    )
    .values(
        state=_id("becomes"),
        outcome=_id("result"),
        joined_into=_id("turn_id"),
        begun_at=sa.func.coalesce(_turn.c.begun_at, _number("at")),
        ended_at=sa.func.coalesce(_turn.c.ended_at, _number("at")),
    )
    .returning(_turn.c.id),
    fences=True,
)
SETTLE_WAITING = Statement(
    sa.update(_turn)
    .where(_turn.c.id == _id("waiting_id"), _is(_turn.c.state, "waiting"))
    .values(
        state=_id("settles"),
        outcome=_id("result"),
        settled=sa.func.coalesce(_turn.c.settled, _value(_turn.c.settled, "line")),
    )
)
CHECKPOINT = Statement(
    sa.update(_turn).where(_turn.c.id == _id("turn_id")).values(checkpoint=_value(_turn.c.checkpoint, "stands"))
)
# Fences and writes in one.
ADVANCE_THREAD = Statement(
    sa.update(_thread)
    .where(_ours)
    .values(
        conversation=sa.func.coalesce(_value(_thread.c.conversation, "known_as"), _thread.c.conversation),
        attempts=sa.case((_number("progress") == 1, sa.literal_column("0")), else_=_thread.c.attempts),
    )
    .returning(_thread.c.id),
    fences=True,
)
CONCLUDE = Statement(
    sa.update(_turn)
    .where(_turn.c.id == _id("turn_id"))
    .values(
        state=sa.literal_column("'replying'"),
        answer=_value(_turn.c.answer, "said"),
        request=_value(_turn.c.request, "asks_back"),
        expires_at=_number("until"),
        notice=_value(_turn.c.notice, "notes"),
        sources=_value(_turn.c.sources, "quotes"),
        outcome=_id("result"),
        detail=_value(_turn.c.detail, "details"),
    )
)
END = Statement(
    sa.update(_turn)
    .where(_turn.c.id == _id("turn_id"))
    .values(state=_id("becomes"), outcome=_id("result"), detail=_value(_turn.c.detail, "details"),
            ended_at=_number("at"))
)  # fmt: skip
# The thread goes on with its next turn, gives its seat up for another person's, or has none: decided under the lock
# that a turn which arrives waits for.
_next = _next_person(_thread.c.id, sa.func.coalesce(_number("holds"), _thread.c.holds_until))
_goes_on = sa.or_(
    _next == _thread.c.seat,
    sa.and_(_next.is_(None), _thread.c.recheck_turn.is_not(None)),  # asked for while the turn ran
)
GO_ON = Statement(
    sa.update(_thread)
    .where(_ours)
    .values(
        attempts=sa.literal_column("0"),
        last_part=sa.func.coalesce(_id("shown_last"), _thread.c.last_part),
        waiting_turn=sa.func.coalesce(_id("waits_with"), _thread.c.waiting_turn),
        waiting_shown=sa.func.coalesce(_number("shown_at"), _thread.c.waiting_shown),
        holds_until=sa.func.coalesce(_number("holds"), _thread.c.holds_until),
        state=sa.case(
            (_goes_on, sa.literal_column("'running'")),
            (_next.is_not(None), sa.literal_column("'queued'")),
            else_=sa.literal_column("'idle'"),
        ),
        owner=sa.case((_goes_on, _thread.c.owner), else_=sa.null()),
        seat=sa.case((_goes_on, _thread.c.seat), else_=_next),
        ready_at=sa.case((_goes_on, _thread.c.ready_at), else_=_number("at")),
    )
    .returning(_thread.c.state, _thread.c.seat)
)
RELEASE = Statement(
    sa.update(_thread)
    .where(_ours)
    .values(
        state=sa.literal_column("'ready'"),
        owner=sa.null(),
        ready_at=_number("at"),
        attempts=sa.case((_thread.c.attempts > 0, _thread.c.attempts - 1), else_=sa.literal_column("0")),
    )
)
_part_row = insert(_part).values({name: _value(_part.c[name]) for name in columns(Part)})
PUT_PART = Statement(
    _part_row.on_conflict_do_update(
        index_elements=["turn_id", "kind", "index"],
        set_={
            "message_id": _part_row.excluded.message_id,
            "ends": sa.func.coalesce(_part_row.excluded.ends, _part.c.ends),
            "shown": _part_row.excluded.shown,
            "digest": sa.func.coalesce(_part_row.excluded.digest, _part.c.digest),
        },
    )
)
PUT_STEPS = Statement(
    sa.update(_turn).where(_turn.c.id == _id("turn_id")).values(steps=_value(_turn.c.steps, "taken"))
)
FORGET_PART = Statement(
    sa.delete(_part).where(
        _part.c.turn_id == _id("turn_id"), _part.c.kind == _id("kind"), _part.c.index == _number("index")
    )
)
PUT_ARTIFACT = Statement(
    insert(_artifact)
    .values({name: _value(_artifact.c[name]) for name in columns(Artifact)})
    .on_conflict_do_nothing()
)
PARTS = Statement(sa.select(*_raw(_part, columns(Part))).where(_part.c.turn_id == _id("turn_id")))
ARTIFACTS = Statement(
    sa.select(*_raw(_artifact, columns(Artifact)))
    .where(_artifact.c.turn_id == _id("turn_id"))
    .order_by(_artifact.c.index)
)
# A new conversation knows nothing of the turns before it.
_conversation_begins = (
    sa.select(sa.func.coalesce(_thread.c.begins_after, sa.literal_column("-1")))
    .where(_thread.c.id == _number("thread_id"))
    .scalar_subquery()
)
EXCHANGES = Statement(
    sa.select(_turn.c.text, _turn.c.answer)
    .where(
        _turn.c.thread_id == _number("thread_id"),
        _is(_turn.c.state, "done"),
        _turn.c.position < _number("before"),
        _turn.c.position > _conversation_begins,
        _turn.c.answer.is_not(None),
    )
    .order_by(_turn.c.position.desc())
    .limit(_number("most"))
)
RECHECK = Statement(
    sa.update(_thread)
    .where(_thread.c.id == _number("thread_id"))
    .values(
        recheck_turn=_id("turn_id"),
        state=sa.case((_is(_thread.c.state, "idle"), sa.literal_column("'ready'")), else_=_thread.c.state),
        ready_at=_number("at"),
    )
)
RECHECKED = Statement(
    sa.update(_thread).where(_ours, _thread.c.recheck_turn == _id("turn_id")).values(recheck_turn=sa.null())
)

# --- messages that wait -----------------------------------------------------------------------------------------

_at_work = _turn.alias("at_work")
_in_line = (
    sa.select(_turn.c.id)
    .join(_thread, _thread.c.id == _turn.c.thread_id)
    .where(
        _is(_thread.c.state, "running"),
        _thread.c.owner == _id("replica"),
        _is(_turn.c.state, "received"),
        sa.not_(_turn.c.marked),
        _turn.c.spoken.is_(None),  # it is no message that stands there, and a press is none
        _turn.c.chosen.is_(None),
        _turn.c.received_at < _number("before"),
        sa.exists(
            sa.select(sa.literal_column("1"))
            .select_from(_at_work)
            .where(_at_work.c.thread_id == _thread.c.id, _is(_at_work.c.state, "asking", "replying"))
        ),
    )
    .order_by(_turn.c.received_at)
    .limit(_number("most"))
)
MARK = Statement(
    sa.update(_turn)
    .where(_turn.c.id.in_(_in_line), _is(_turn.c.state, "received"))
    .values(marked=sa.true())
    .returning(_turn.c.id, _turn.c.thread_id, _turn.c.message_id)
)
# What another replica works on is that one's.
MARKED_NO_MORE = Statement(
    sa.select(
        _turn.c.id, _turn.c.thread_id, _turn.c.message_id, _turn.c.person, _turn.c.outcome, _thread.c.platform,
        _thread.c.workspace, _thread.c.channel, _thread.c.thread,
    )
    .join(_thread, _thread.c.id == _turn.c.thread_id)
    .where(
        sa.text("turn.marked"),  # as the index has it: SQLite's own form of a boolean isn't recognized
        sa.not_(_is(_turn.c.state, "received")),
        sa.or_(_thread.c.owner.is_(None), _thread.c.owner == _id("replica")),
    )
    .limit(_number("most"))
)  # fmt: skip
UNMARK = Statement(sa.update(_turn).where(_turn.c.id == _id("turn_id")).values(marked=sa.false()))

# --- commands ---------------------------------------------------------------------------------------------------

OVERVIEW_COLUMNS = (
    "id", "agent", "conversation", "state", "waiting_turn", "begins_after", "newest_position",
)  # fmt: skip
OVERVIEW = Statement(sa.select(*_raw(_thread, OVERVIEW_COLUMNS)).where(_address))
# By who asked alone: a person's turns are in one index, newest first. A condition on their threads would have the
# planner read those.
RECENT = Statement(
    sa.select(_thread.c.platform, _thread.c.workspace, _thread.c.channel, _thread.c.thread, _turn.c.text)
    .join(_turn, _thread.c.id == _turn.c.thread_id)
    .where(_turn.c.person == _id("person"))
    .order_by(_turn.c.received_at.desc())
    .limit(_number("most"))
)
QUEUED = Statement(
    sa.select(_turn.c.person)
    .where(_turn.c.thread_id == _number("thread_id"), _is(_turn.c.state, "received"))
    .order_by(_turn.c.position, _turn.c.received_at)
    .limit(_number("most"))
)


def _last(*states: str) -> Statement:
    return Statement(
        sa.select(*_raw(_turn, TURN_COLUMNS))
        .where(
            _turn.c.thread_id == _number("thread_id"),
            _is(_turn.c.state, *states),
            _turn.c.position > _conversation_begins,
            _turn.c.spoken.is_(None),
            sa.func.coalesce(_turn.c.outcome, sa.literal_column("''")).not_in(
                [sa.literal_column("'withdrawn'"), sa.literal_column("'joined'")]
            ),
        )
        .order_by(_turn.c.position.desc(), _turn.c.received_at.desc())
        .limit(sa.literal_column("1"))
    )


ARTIFACTS_OF_THREAD = Statement(
    sa.select(*_raw(_artifact, columns(Artifact)))
    .join(_turn, _turn.c.id == _artifact.c.turn_id)
    .where(
        _turn.c.thread_id == _number("thread_id"),
        _is(_turn.c.state, "done"),
        _turn.c.position > _conversation_begins,
    )
    .order_by(_turn.c.position.desc(), _turn.c.received_at.desc(), _artifact.c.index.desc())
    .limit(_number("most"))
)
LAST_ANSWERED = _last("done")
LAST_UNANSWERED = _last("failed", "cancelled")
# Only while nothing is worked on: what runs would write its conversation down again.
BEGIN_ANEW = Statement(
    sa.update(_thread)
    .where(_thread.c.id == _number("thread_id"), _is(_thread.c.state, "idle"))
    .values(conversation=sa.null(), agent=_id("chosen_agent"), begins_after=_thread.c.newest_position)
    .returning(_thread.c.id),
    fences=True,
)

# --- what the agent says unasked ---------------------------------------------------------------------------------

# A thread that isn't on its platform yet; its turns move to the one that is opened for them. Seen by no catch-up.
_opening_given = {
    name: _value(_thread.c[name]).label(name)
    for name in ("platform", "workspace", "channel", "thread", "direct", "agent", "conversation", "created_at")
}
_opening_constants: dict[str, sa.ColumnElement[Any]] = {
    "state": sa.literal_column("'idle'"),
    "token": sa.literal_column("0"),
    "attempts": sa.literal_column("0"),
    "several": sa.false(),
    "person": _NOBODY,
    "newest": _NOBODY,
    "newest_position": sa.literal_column("0"),
    "touched_at": sa.literal_column("0"),
    "ready_at": sa.literal_column("0"),
}
_said_before = sa.exists(
    sa.select(sa.literal_column("1")).select_from(_turn).where(_turn.c.event_key == _id("event_key"))
)
PUT_OPENING = Statement(
    insert(_thread).from_select(
        [*_opening_given, *_opening_constants],
        sa.select(
            *_opening_given.values(), *(value.label(name) for name, value in _opening_constants.items())
        ).where(sa.not_(_said_before)),
    )
)
# Somebody else put the same in at the same time.
DROP_OPENING = Statement(
    sa.delete(_thread).where(
        _address,
        sa.not_(sa.exists(sa.select(sa.literal_column("1")).select_from(_turn).where(_turn.c.id == _id("id")))),
    )
)
# Of what holds the others up, where it is shown: an approval's `holds_until` is above every position.
_shown_or_held = sa.func.coalesce(_thread.c.waiting_shown, _thread.c.holds_until)
_after_all = sa.case(
    (
        sa.and_(_thread.c.holds_until.is_not(None), _shown_or_held > _thread.c.newest_position),
        _shown_or_held,
    ),
    else_=_thread.c.newest_position,
)


def _take_position(where: sa.ColumnElement[bool], *, fences: bool = False) -> Statement:
    """Makes room for a turn behind all that the thread has, and locks the thread's row."""
    return Statement(
        sa.update(_thread)
        .where(where)
        .values(
            newest_position=_after_all + 1,
            spoke_at=_after_all + 1,
            touched_at=sa.case((_thread.c.touched_at > 0, _number("at")), else_=_thread.c.touched_at),
        )
        .returning(_thread.c.id),
        fences=fences,
    )


TAKE_FIRST = _take_position(_address)
TAKE_POSITION = _take_position(
    sa.and_(_thread.c.id == _number("thread_id"), sa.not_(_is(_thread.c.state, "moved"))), fences=True
)
SPOKEN_GIVEN = (
    "id", "event_key", "message_key", "person_name", "person_workspace", "text", "files", "spoken", "answer",
    "received_at",
)  # fmt: skip


def _put_spoken(where: sa.ColumnElement[bool]) -> Statement:
    source = sa.select(
        _thread.c.id,
        *(_value(_turn.c[name]).label(name) for name in SPOKEN_GIVEN),
        _thread.c.newest_position.label("position"),
        _thread.c.newest.label("message_id"),
        _thread.c.direct,
        _NOBODY.label("person"),
        sa.false().label("mid_thread"),
        *_turn_constants,
    ).where(where)
    names = [
        "thread_id", *SPOKEN_GIVEN, "position", "message_id", "direct", "person", "mid_thread",
        "state", "stopped", "revision", "marked",
    ]  # fmt: skip
    return Statement(insert(_turn).from_select(names, source).on_conflict_do_nothing().returning(_turn.c.id))


PUT_SPOKEN = _put_spoken(_address)
PUT_SPOKEN_INTO = _put_spoken(_thread.c.id == _number("thread_id"))
SPOKEN_COLUMNS = ("platform", "workspace", "channel", "thread", "agent", "conversation")
_spoken = sa.select(*_raw(_turn, TURN_COLUMNS), *_raw(_thread, SPOKEN_COLUMNS)).join(
    _thread, _thread.c.id == _turn.c.thread_id
)
SPOKEN_BY_KEY = Statement(_spoken.where(_turn.c.event_key == _id("event_key")))
SPOKEN_BY_ID = Statement(_spoken.where(_turn.c.id == _id("turn_id"), _turn.c.spoken.is_not(None)))
SPOKEN_THREAD = Statement(sa.select(*_raw(_thread, ("id", *SPOKEN_COLUMNS))).where(_address))
SPOKEN_WAITING = Statement(
    sa.select(sa.func.count()).select_from(
        sa.select(_turn.c.id)
        .where(_turn.c.spoken.is_not(None), _is(_turn.c.state, "received"))
        .limit(_number("most"))
        .subquery()
    )
)
# What was said unasked just before a question, newest first, for an agent whose backend didn't hear it.
SAID_BEFORE = Statement(
    sa.select(_turn.c.spoken, _turn.c.answer)
    .where(
        _turn.c.thread_id == _number("thread_id"),
        _is(_turn.c.state, "done"),
        _turn.c.position < _number("before"),
        _turn.c.position > _conversation_begins,
    )
    .order_by(_turn.c.position.desc())
    .limit(_number("most"))
)
# The thread's first message goes out next: from now on it may be there.
BEGIN_OPENING = Statement(
    sa.update(_turn)
    .where(_turn.c.id == _id("turn_id"), _is(_turn.c.state, "received"))
    .values(begun_at=sa.func.coalesce(_turn.c.begun_at, _number("at")))
    .returning(_turn.c.id),
    fences=True,
)
_opened = insert(_thread).values(
    {name: _value(_thread.c[name]) for name in (*_THREAD_GIVEN, "conversation") if name != "person"}
    | {
        "person": _NOBODY,
        "state": sa.literal_column("'idle'"),
        "token": sa.literal_column("0"),
        "attempts": sa.literal_column("0"),
        "several": sa.false(),
    }
)
# First of its unit, as `TOUCH_THREAD`.
PUT_OPENED = Statement(
    _opened.on_conflict_do_update(
        index_elements=["platform", "workspace", "channel", "thread"],
        set_={
            "touched_at": _opened.excluded.touched_at,
            "conversation": sa.func.coalesce(_thread.c.conversation, _opened.excluded.conversation),
        },
    )
)
_there = sa.select(_thread.c.id).where(_address).scalar_subquery()
_end_there = sa.select(_after_all).where(_address).scalar_subquery()
MOVE_SPOKEN = Statement(
    sa.update(_turn)
    .where(_turn.c.thread_id == _number("opening"), _is(_turn.c.state, "received"))
    .values(
        thread_id=_there,
        position=_turn.c.position + _end_there,
        message_id=_value(_turn.c.message_id, "root"),
        begun_at=sa.null(),
    )
)
_moved = sa.table("thread", sa.column("id"), sa.column("newest_position")).alias("opening")
MOVED_SPOKEN = Statement(
    sa.update(_thread)
    .where(_address)
    .values(
        newest_position=_after_all
        + sa.select(_moved.c.newest_position).where(_moved.c.id == _number("opening")).scalar_subquery(),
        spoke_at=_after_all
        + sa.select(_moved.c.newest_position).where(_moved.c.id == _number("opening")).scalar_subquery(),
    )
)
# The row stays: to take it away, the database would look through all turns for one that still names it.
LEAVE_OPENING = Statement(
    sa.update(_thread)
    .where(_thread.c.id == _number("opening"))
    .values(state=sa.literal_column("'moved'"), owner=sa.null())
)

READ_COLUMNS = ("id", "position", "state", "person", "person_name", "text", "answer", "spoken", "received_at")


def _said_since(*states: str) -> Statement:
    return Statement(
        sa.select(*_raw(_turn, READ_COLUMNS))
        .where(
            _turn.c.thread_id == _number("thread_id"),
            _is(_turn.c.state, *states),
            _turn.c.position > _number("since"),
        )
        .order_by(_turn.c.position)
        .limit(_number("most"))
    )


SAID_SINCE = (
    _said_since("done"),
    _said_since("failed", "cancelled"),
    _said_since("received"),
    _said_since("asking", "replying"),
)

# --- replicas ---------------------------------------------------------------------------------------------------

HELD_BY = Statement(
    sa.select(_thread.c.id, _thread.c.token).where(
        _is(_thread.c.state, "running"), _thread.c.owner == _id("replica")
    )
)
_lost = (
    sa.select(_thread.c.id)
    .where(_is(_thread.c.state, "running"), _thread.c.owner == _id("dead"))
    .limit(RECLAIMED_AT_ONCE)
    .with_for_update(skip_locked=True)
    .cte("lost")
)
_freed: dict[str, Any] = {"state": sa.literal_column("'ready'"), "owner": sa.null(), "ready_at": _number("at")}
RECLAIM = Statement(
    sa.update(_thread).where(_thread.c.id.in_(sa.select(_lost.c.id))).values(_freed).returning(_thread.c.id)
)
OWNERS = Statement(sa.select(_thread.c.owner).distinct().where(_is(_thread.c.state, "running")))
FREE_ALL = Statement(
    sa.update(_thread).where(_is(_thread.c.state, "running")).values(_freed).returning(_thread.c.id)
)
FREE = Statement(sa.update(_thread).where(_ours, _is(_thread.c.state, "running")).values(_freed))
PING = Statement(sa.select(sa.literal_column("1")))

# --- feedback ---------------------------------------------------------------------------------------------------

_rates = insert(_feedback).from_select(
    ["turn_id", "person", "agent", "good", "words", "at", "due_at", "tries"],
    sa.select(
        _turn.c.id,
        _id("rater").label("person"),
        _thread.c.agent,
        _value(_feedback.c.good).label("good"),
        sa.literal_column("''").label("words"),
        _number("at").label("at"),
        _number("at").label("due_at"),
        sa.literal_column("0").label("tries"),
    )
    .join(_thread, _thread.c.id == _turn.c.thread_id)
    .where(
        _turn.c.id == _id("turn_id"),
        _is(_turn.c.state, "replying", "done"),
        _is(_turn.c.outcome, "answered"),
        _address,
    ),
)
# Words that were added to the other opinion don't fit this one.
RATE = Statement(
    _rates.on_conflict_do_update(
        index_elements=["turn_id", "person"],
        set_={
            "words": sa.case(
                (_feedback.c.good == _rates.excluded.good, _feedback.c.words), else_=_rates.excluded.words
            ),
            "good": _rates.excluded.good,
            "at": _rates.excluded.at,
            "due_at": _rates.excluded.due_at,
            "tries": _rates.excluded.tries,
        },
    ).returning(_feedback.c.turn_id)
)
ADD_WORDS = Statement(
    sa.update(_feedback)
    .where(
        _feedback.c.turn_id == _id("turn_id"),
        _feedback.c.person == _id("rater"),
        _feedback.c.turn_id.in_(
            sa.select(_turn.c.id)
            .join(_thread, _thread.c.id == _turn.c.thread_id)
            .where(_turn.c.id == _id("turn_id"), _address)
        ),
    )
    .values(
        words=_value(_feedback.c.words, "said"),
        at=_number("at"),
        due_at=_number("at"),
        tries=sa.literal_column("0"),
    )
    .returning(_feedback.c.turn_id)
)
# Whoever takes one up holds it until it is due again, and so does a process that died meanwhile.
_due = (
    sa.select(_feedback.c.turn_id, _feedback.c.person)
    .where(_feedback.c.due_at.is_not(None), _feedback.c.due_at <= _number("at"))
    .order_by(_feedback.c.due_at)
    .limit(_number("most"))
    .with_for_update(skip_locked=True)
    .cte("due")
)
TAKE_DUE_FEEDBACK = Statement(
    sa.update(_feedback)
    .where(_feedback.c.turn_id == _due.c.turn_id, _feedback.c.person == _due.c.person)
    .values(
        tries=_feedback.c.tries + sa.literal_column("1"),
        due_at=_number("at") + _number("pause") * (_feedback.c.tries + sa.literal_column("1")),
    )
    .returning(*_raw(_feedback, ("turn_id", "person", "good", "words", "at", "tries")))
)
# The agent that answered it, as far as that is known: of an earlier conversation it may have been another one.
RATED_TURN = Statement(
    sa.select(_thread.c.agent, *_raw(_turn, ("checkpoint",)))
    .join(_thread, _thread.c.id == _turn.c.thread_id)
    .where(
        _turn.c.id == _id("turn_id"),
        sa.or_(_thread.c.begins_after.is_(None), _turn.c.position > _thread.c.begins_after),
    )
)
FEEDBACK_TOLD = Statement(
    sa.update(_feedback)
    .where(
        _feedback.c.turn_id == _id("turn_id"), _feedback.c.person == _id("rater"), _feedback.c.at == _number("at")
    )
    .values(due_at=sa.null())
)
