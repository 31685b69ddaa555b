"""The database as the queue: put in, claim, record, cancel.

A replica claims threads, never turns, so one thread's turns can't run side by side. Each claim carries a fencing
token; every later write names it and fails with `Fenced` once another replica has taken the thread over. Whoever
changes a thread's state holds its row's lock first: reading the turns before the lock would miss one that arrives
in between, and strand it.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.base import Checkpoint, Exchange, RateLimited, TimedOut, Unavailable
from bridge.store.database import Database, undisturbed
from bridge.store.tables import (
    ACTIVE,
    Made,
    Part,
    Replica,
    Thread,
    ThreadState,
    Turn,
    TurnState,
    now,
)
from bridge.turns.inbound import Address, Inbound

# Outcomes after which the agent may still have the question, and its answer.
TAKEN_UP_AGAIN = (Unavailable.__name__, RateLimited.__name__, TimedOut.__name__)


class Fenced(Exception):
    """Another replica owns the thread now: stop at once, write nothing, post nothing."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A thread that this replica owns until it releases it or loses it."""

    thread: int
    token: int
    address: Address
    agent: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How asking ended: the whole reply, and the state that the turn ends in once it is delivered."""

    ends_as: TurnState
    outcome: str
    answer: str = ""
    notice: str = ""
    detail: str = ""
    made: tuple[Made, ...] = ()


def new_turn_id() -> str:
    return secrets.token_hex(8)


class Queue:
    """The port between the turns and the database, for one replica."""

    def __init__(self, database: Database, replica: str) -> None:
        self._database = database
        self.replica = replica

    # --- put in ---------------------------------------------------------------------------------------------

    @undisturbed
    async def put(self, inbound: Inbound, agent: str) -> bool:
        """Store a turn, and its thread with `agent` if it is new. False if the turn is known already."""
        async with self._database.transaction() as session:
            thread = await self._lock_thread(session, inbound.address, agent)
            row = Turn(**_turn_values(inbound), thread_id=thread.id).model_dump()
            insert = self._insert(Turn).values(row).on_conflict_do_nothing().returning(col(Turn.id))
            if (await session.exec(insert)).first() is None:
                return False
            await self._ready(session, thread.id)
            return True

    @undisturbed
    async def ask_again(self, turn_id: str, *, send: bool, thread: Address) -> bool:
        """A person's word on a turn that waits or failed: `send` puts it in once more, as a turn of its own with
        a reply of its own; else it is left. False if it isn't this thread's or the word was given before.

        Where the agent has merely not been reached or not been waited for long enough, the new turn goes on from
        the old one's checkpoint: the question may have arrived, and isn't asked twice."""
        async with self._database.transaction() as session:
            if (row := await self._locked(session, thread)) is None:
                return False
            turn = await session.get(Turn, turn_id)
            undecided = (TurnState.WAITING, TurnState.FAILED)
            if turn is None or turn.thread_id != row.id or turn.state not in undecided or turn.outcome == "left":
                return False
            values = turn.model_dump()
            checkpoint = turn.checkpoint if turn.outcome in TAKEN_UP_AGAIN else turn.question
            turn.state, turn.outcome = TurnState.FAILED, "left"
            await session.flush()
            if send:
                fresh = {
                    key: values[key]
                    for key in ("thread_id", "message_id", "position", "author", "author_name", "text",
                                "attachments", "direct", "mid_thread", "question")
                }  # fmt: skip
                key = f"again:{turn.id}"
                session.add(
                    Turn(
                        id=new_turn_id(),
                        event_key=key,
                        message_key=key,
                        checkpoint=checkpoint,
                        **fresh,
                    )
                )
                await self._ready(session, row.id)
            return True

    @undisturbed
    async def change_text(self, address: Address, message_id: str, text: str) -> bool:
        """New words for a turn that hasn't been asked yet."""
        async with self._database.transaction() as session:
            changed = await _execute(
                session,
                sa.update(Turn)
                .where(col(Turn.message_key) == _message_key(address, message_id), _is(TurnState.RECEIVED))
                .values(text=_storable(text)),
            )
            return bool(changed)

    @undisturbed
    async def withdraw(self, address: Address, message_id: str) -> bool:
        """Cancel a turn that hasn't been asked yet."""
        async with self._database.transaction() as session:
            changed = await _execute(
                session,
                sa.update(Turn)
                .where(col(Turn.message_key) == _message_key(address, message_id), _is(TurnState.RECEIVED))
                .values(state=TurnState.CANCELLED, outcome="deleted", ended_at=now()),
            )
            return bool(changed)

    @undisturbed
    async def knows(self, address: Address) -> bool:
        async with self._database.transaction() as session:
            found = await session.exec(select(Thread.id).where(*_at(address)))
            return found.first() is not None

    # --- claim ----------------------------------------------------------------------------------------------

    @undisturbed
    async def claim(self, limit: int, platforms: Collection[str]) -> Sequence[Claim]:
        """Take up to `limit` ready threads of these platforms, longest waiting first."""
        async with self._database.transaction() as session:
            rows = await session.exec(
                select(Thread)
                .where(col(Thread.state) == ThreadState.READY, col(Thread.platform).in_(platforms))
                .order_by(col(Thread.ready_at))
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
            claims = []
            for row in rows:
                row.state, row.owner, row.token = ThreadState.RUNNING, self.replica, row.token + 1
                claims.append(_claim(row))
            return claims

    @undisturbed
    async def next_turn(self, claim: Claim) -> Turn | None:
        """The turn to work on: one that was begun before, else the oldest. None released the thread."""
        async with self._database.transaction() as session:
            thread = await self._fence(session, claim)
            turn = await _first(session, claim.thread, ACTIVE) or await _first(
                session, claim.thread, (TurnState.RECEIVED,)
            )
            if turn is None:
                thread.state, thread.owner = ThreadState.IDLE, None
                return None
            if turn.state == TurnState.RECEIVED:
                await self._settle_waiting(session, turn)
                turn.state, turn.asked_at = TurnState.ASKING, now()
            turn.attempts += 1
            return turn

    async def _settle_waiting(self, session: AsyncSession, turn: Turn) -> None:
        """What a person writes next answers the agent's question, or leaves an uncertain turn behind."""
        waiting = await session.exec(
            select(Turn).where(col(Turn.thread_id) == turn.thread_id, _is(TurnState.WAITING))
        )
        for earlier in waiting:
            if earlier.outcome == "question":
                turn.question = turn.checkpoint = earlier.checkpoint
                earlier.state = TurnState.DONE
            else:
                earlier.state, earlier.outcome = TurnState.FAILED, "left"
            earlier.ended_at = now()

    @undisturbed
    async def conversation(self, claim: Claim) -> str | None:
        async with self._database.transaction() as session:
            return (await self._fence(session, claim)).conversation

    @undisturbed
    async def release(self, claims: Collection[Claim]) -> None:
        """Give threads back unfinished, for any replica to go on with."""
        for claim in claims:
            try:
                async with self._database.transaction() as session:
                    thread = await self._fence(session, claim)
                    thread.state, thread.owner, thread.ready_at = ThreadState.READY, None, now()
            except Fenced:
                continue

    # --- record ---------------------------------------------------------------------------------------------

    @undisturbed
    async def record_checkpoint(self, claim: Claim, turn: str, checkpoint: Checkpoint) -> None:
        async with self._database.transaction() as session:
            thread = await self._fence(session, claim)
            if checkpoint.conversation is not None:
                thread.conversation = checkpoint.conversation
            await _update(session, turn, checkpoint=asdict(checkpoint) | {"data": dict(checkpoint.data)})

    @undisturbed
    async def record_verdict(self, claim: Claim, turn: str, verdict: Verdict) -> None:
        """The whole reply is known: from here on it can be delivered without the agent."""
        async with self._database.transaction() as session:
            await self._fence(session, claim)
            await _update(
                session,
                turn,
                state=TurnState.REPLYING,
                answer=_storable(verdict.answer),
                notice=verdict.notice or None,
                ends_as=verdict.ends_as,
                outcome=verdict.outcome,
                detail=_storable(verdict.detail) or None,
            )
            session.add_all(verdict.made)

    @undisturbed
    async def record_end(self, claim: Claim, turn: str, state: TurnState) -> None:
        async with self._database.transaction() as session:
            await self._fence(session, claim)
            await _update(session, turn, state=state, ended_at=None if state == TurnState.WAITING else now())

    @undisturbed
    async def record_stop(self, turn: str) -> None:
        """A person pressed stop. Needs no claim: it only ever turns on."""
        async with self._database.transaction() as session:
            await _update(session, turn, stopped=True)

    @undisturbed
    async def record_part(self, claim: Claim, turn: str, name: str, **values: Any) -> None:
        """Write what is now known of a part; the row is made when it is first heard of."""
        async with self._database.transaction() as session:
            await self._fence(session, claim)
            part = await session.get(Part, (turn, name)) or Part(turn_id=turn, name=name)
            session.add(part.sqlmodel_update(values))

    @undisturbed
    async def forget_part(self, claim: Claim, turn: str, name: str) -> None:
        async with self._database.transaction() as session:
            await self._fence(session, claim)
            await _execute(session, sa.delete(Part).where(col(Part.turn_id) == turn, col(Part.name) == name))

    # --- read -----------------------------------------------------------------------------------------------

    @undisturbed
    async def parts(self, turn: str) -> Mapping[str, Part]:
        async with self._database.transaction() as session:
            rows = await session.exec(select(Part).where(col(Part.turn_id) == turn))
            return {row.name: row for row in rows}

    @undisturbed
    async def made(self, turn: str) -> Sequence[Made]:
        async with self._database.transaction() as session:
            rows = await session.exec(select(Made).where(col(Made.turn_id) == turn).order_by(col(Made.index)))
            return rows.all()

    @undisturbed
    async def posted_in(self, thread: int) -> set[str]:
        """Every message id that the replies of a thread have."""
        async with self._database.transaction() as session:
            rows = await session.exec(
                select(Part.message_id)
                .join(Turn, col(Turn.id) == col(Part.turn_id))
                .where(col(Turn.thread_id) == thread, col(Part.message_id).is_not(None))
            )
            return {row for row in rows if row is not None}

    @undisturbed
    async def people(self, thread: int) -> int:
        """How many people the agent has been asked by in a thread."""
        async with self._database.transaction() as session:
            rows = await session.exec(
                select(sa.func.count(sa.distinct(col(Turn.author)))).where(col(Turn.thread_id) == thread)
            )
            return int(rows.one())

    @undisturbed
    async def exchanges(self, thread: int, limit: int) -> tuple[Exchange, ...]:
        """The last `limit` questions that were answered, oldest first."""
        async with self._database.transaction() as session:
            rows = await session.exec(
                select(Turn.text, Turn.answer)
                .where(col(Turn.thread_id) == thread, _is(TurnState.DONE), col(Turn.answer).is_not(None))
                .order_by(col(Turn.position).desc())
                .limit(limit)
            )
            return tuple(Exchange(text, answer or "") for text, answer in reversed(rows.all()))

    @undisturbed
    async def active_turn(self, address: Address) -> str | None:
        """The id of the turn that runs in a thread."""
        async with self._database.transaction() as session:
            rows = await session.exec(
                select(Turn.id)
                .join(Thread, col(Thread.id) == col(Turn.thread_id))
                .where(*_at(address), col(Turn.state).in_(ACTIVE))
            )
            return rows.first()

    @undisturbed
    async def turn_at(self, turn: str, address: Address) -> Turn | None:
        """The turn, if it is one of this thread's."""
        async with self._database.transaction() as session:
            rows = await session.exec(
                select(Turn)
                .join(Thread, col(Thread.id) == col(Turn.thread_id))
                .where(*_at(address), col(Turn.id) == turn)
            )
            return rows.first()

    # --- replicas -------------------------------------------------------------------------------------------

    @undisturbed
    async def heartbeat(self) -> None:
        async with self._database.transaction() as session:
            replica = await session.get(Replica, self.replica) or Replica(id=self.replica)
            replica.heartbeat_at = now()
            session.add(replica)

    @undisturbed
    async def take_over(self) -> None:
        """This process serves the database alone: every other replica is dead, whatever its last heartbeat."""
        async with self._database.transaction() as session:
            await _execute(session, sa.delete(Replica).where(col(Replica.id) != self.replica))

    @undisturbed
    async def reclaim(self, held: Collection[int], lease: timedelta) -> int:
        """Make ready what nobody works on: threads of replicas without a heartbeat within `lease`, and this
        replica's own that it doesn't hold (a claim whose outcome could not be written)."""
        async with self._database.transaction() as session:
            alive = select(Replica.id).where(
                col(Replica.heartbeat_at) > now() - lease, col(Replica.id) != self.replica
            )
            lost = sa.or_(
                sa.and_(col(Thread.owner) == self.replica, col(Thread.id).not_in(held)),
                sa.and_(col(Thread.owner) != self.replica, col(Thread.owner).not_in(alive)),
            )
            found = await _execute(
                session,
                sa.update(Thread)
                .where(col(Thread.state) == ThreadState.RUNNING, lost)
                .values(state=ThreadState.READY, owner=None, ready_at=now()),
            )
            await _execute(
                session,
                sa.delete(Replica).where(
                    col(Replica.heartbeat_at) < now() - 10 * lease, col(Replica.id) != self.replica
                ),
            )
            return found

    @undisturbed
    async def leave(self) -> None:
        """Take this replica's row away at a clean end."""
        async with self._database.transaction() as session:
            await _execute(session, sa.delete(Replica).where(col(Replica.id) == self.replica))

    # --- within a transaction -------------------------------------------------------------------------------

    def _insert(self, table: type[Turn] | type[Thread]) -> Any:
        # Both dialects spell ON CONFLICT alike; SQLAlchemy has no common name for it.
        sqlite_here = self._database.engine.dialect.name == "sqlite"
        return (sqlite.insert if sqlite_here else postgresql.insert)(table)

    async def _lock_thread(self, session: AsyncSession, address: Address, agent: str) -> Thread:
        row = Thread(**asdict(address), agent=agent).model_dump(exclude={"id"})
        await _execute(session, self._insert(Thread).values(row).on_conflict_do_nothing())
        thread = await self._locked(session, address)
        assert thread is not None  # inserted above, and threads are never deleted  # noqa: S101
        return thread

    async def _locked(self, session: AsyncSession, address: Address) -> Thread | None:
        found = await session.exec(select(Thread).where(*_at(address)).with_for_update())
        return found.first()

    async def _fence(self, session: AsyncSession, claim: Claim) -> Thread:
        found = await session.exec(
            select(Thread)
            .where(
                col(Thread.id) == claim.thread,
                col(Thread.token) == claim.token,
                col(Thread.owner) == self.replica,
            )
            .with_for_update()
        )
        if (thread := found.first()) is None:
            raise Fenced(f"thread {claim.thread} is no longer ours")
        return thread

    async def _ready(self, session: AsyncSession, thread: int | None) -> None:
        await _execute(
            session,
            sa.update(Thread)
            .where(col(Thread.id) == thread, col(Thread.state) == ThreadState.IDLE)
            .values(state=ThreadState.READY, ready_at=now()),
        )


def _at(address: Address) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        col(Thread.platform) == address.platform,
        col(Thread.workspace) == address.workspace,
        col(Thread.channel) == address.channel,
        col(Thread.thread) == address.thread,
    )


def _is(state: TurnState) -> sa.ColumnElement[bool]:
    return col(Turn.state) == state


def _claim(row: Thread) -> Claim:
    address = Address(row.platform, row.workspace, row.channel, row.thread)  # type: ignore[arg-type]
    return Claim(thread=row.id, token=row.token, address=address, agent=row.agent)


def _message_key(address: Address, message_id: str) -> str:
    return f"{address.platform}:{address.workspace}:{address.channel}:{message_id}"


def _storable(text: str) -> str:
    return text.replace("\0", "")  # PostgreSQL's text can't hold it, and nobody means it


def _turn_values(inbound: Inbound) -> dict[str, Any]:
    return {
        "id": new_turn_id(),
        "event_key": f"{inbound.address.platform}:{inbound.event_id}",
        "message_key": _message_key(inbound.address, inbound.message_id),
        "message_id": inbound.message_id,
        "position": inbound.position,
        "author": inbound.author,
        "author_name": _storable(inbound.author_name[:255]),
        "text": _storable(inbound.text),
        "attachments": [asdict(file) for file in inbound.files],
        "direct": inbound.direct,
        "mid_thread": inbound.mid_thread,
    }


async def _first(session: AsyncSession, thread: int, states: Sequence[TurnState]) -> Turn | None:
    found = await session.exec(
        select(Turn)
        .where(col(Turn.thread_id) == thread, col(Turn.state).in_(states))
        .order_by(col(Turn.position), col(Turn.received_at))
        .limit(1)
    )
    return found.first()


async def _execute(session: AsyncSession, statement: sa.UpdateBase) -> int:
    """How many rows the statement changed."""
    return (await (await session.connection()).execute(statement)).rowcount


async def _update(session: AsyncSession, turn: str, **values: Any) -> None:
    await _execute(session, sa.update(Turn).where(col(Turn.id) == turn).values(**values))
