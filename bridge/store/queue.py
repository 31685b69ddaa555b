"""The database as the queue, for one replica: claim threads, record what comes of their turns, give them back.

A replica claims threads, never turns, so one thread's turns can't run side by side. Each claim carries a fencing
token; every later write names it and fails with `Fenced` once another replica has taken the thread over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.base import Checkpoint, Exchange
from bridge.inbound import Address
from bridge.store.database import Database, undisturbed
from bridge.store.rows import AGAIN, execute, in_state, storable, update_turn
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
class Work:
    """A turn to work on, with what its thread has to do with it."""

    turn: Turn
    conversation: str | None
    parts: Mapping[str, Part]  # of this turn, from earlier attempts
    posted: frozenset[str]  # message ids of every reply in the thread
    people: int  # who have asked in the thread


@dataclass(frozen=True, slots=True)
class Verdict:
    """How asking ended: the whole reply, and the state that the turn ends in once it is delivered."""

    ends_as: TurnState
    outcome: str
    answer: str = ""
    notice: str = ""
    detail: str = ""
    made: tuple[Made, ...] = ()


class Queue:
    """The port between the runner and the database."""

    def __init__(self, database: Database, replica: str) -> None:
        self._database = database
        self.replica = replica

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
    async def next_turn(self, claim: Claim) -> Work | None:
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
            await session.flush()
            return await _work(session, turn, thread.conversation)

    async def _settle_waiting(self, session: AsyncSession, turn: Turn) -> None:
        """What a person writes next answers the agent's question, or leaves an uncertain turn behind that they
        were asked about before they wrote. Sent again is not written next."""
        if turn.event_key.startswith(AGAIN):
            return
        waiting = await session.exec(
            select(Turn).where(col(Turn.thread_id) == turn.thread_id, in_state(TurnState.WAITING))
        )
        for earlier in waiting:
            if earlier.outcome == "question":
                turn.question = turn.checkpoint = earlier.checkpoint
                earlier.state = TurnState.DONE
            elif earlier.ended_at is None or earlier.ended_at < turn.received_at:
                earlier.state, earlier.outcome = TurnState.FAILED, "left"

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
            await update_turn(session, turn, checkpoint=asdict(checkpoint) | {"data": dict(checkpoint.data)})

    @undisturbed
    async def record_verdict(self, claim: Claim, turn: str, verdict: Verdict) -> None:
        """The whole reply is known: from here on it can be delivered without the agent."""
        async with self._database.transaction() as session:
            await self._fence(session, claim)
            await update_turn(
                session,
                turn,
                state=TurnState.REPLYING,
                answer=storable(verdict.answer),
                notice=storable(verdict.notice) or None,
                ends_as=verdict.ends_as,
                outcome=verdict.outcome,
                detail=storable(verdict.detail) or None,
            )
            session.add_all(verdict.made)

    @undisturbed
    async def record_end(self, claim: Claim, turn: str, state: TurnState) -> None:
        async with self._database.transaction() as session:
            await self._fence(session, claim)
            await update_turn(session, turn, state=state, ended_at=now())

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
            await execute(session, sa.delete(Part).where(col(Part.turn_id) == turn, col(Part.name) == name))

    # --- read -----------------------------------------------------------------------------------------------

    @undisturbed
    async def made(self, turn: str) -> Sequence[Made]:
        async with self._database.transaction() as session:
            rows = await session.exec(select(Made).where(col(Made.turn_id) == turn).order_by(col(Made.index)))
            return rows.all()

    @undisturbed
    async def stopped(self) -> Sequence[str]:
        """The turns of this replica that a person stopped, maybe through another one."""
        async with self._database.transaction() as session:
            rows = await session.exec(
                select(Turn.id)
                .join(Thread, col(Thread.id) == col(Turn.thread_id))
                .where(col(Thread.owner) == self.replica, in_state(TurnState.ASKING), col(Turn.stopped).is_(True))
            )
            return rows.all()

    @undisturbed
    async def exchanges(self, thread: int, limit: int) -> tuple[Exchange, ...]:
        """The last `limit` questions that were answered, oldest first."""
        async with self._database.transaction() as session:
            rows = await session.exec(
                select(Turn.text, Turn.answer)
                .where(col(Turn.thread_id) == thread, in_state(TurnState.DONE), col(Turn.answer).is_not(None))
                .order_by(col(Turn.position).desc())
                .limit(limit)
            )
            return tuple(Exchange(text, answer or "") for text, answer in reversed(rows.all()))

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
            await execute(session, sa.delete(Replica).where(col(Replica.id) != self.replica))

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
            found = await execute(
                session,
                sa.update(Thread)
                .where(col(Thread.state) == ThreadState.RUNNING, lost)
                .values(state=ThreadState.READY, owner=None, ready_at=now()),
            )
            await execute(
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
            await execute(session, sa.delete(Replica).where(col(Replica.id) == self.replica))

    # --- within a transaction -------------------------------------------------------------------------------

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


def _claim(row: Thread) -> Claim:
    address = Address(row.platform, row.workspace, row.channel, row.thread)  # type: ignore[arg-type]
    return Claim(thread=row.id, token=row.token, address=address, agent=row.agent)


async def _first(session: AsyncSession, thread: int, states: Sequence[TurnState]) -> Turn | None:
    found = await session.exec(
        select(Turn)
        .where(col(Turn.thread_id) == thread, col(Turn.state).in_(states))
        .order_by(col(Turn.position), col(Turn.received_at))
        .limit(1)
    )
    return found.first()


async def _work(session: AsyncSession, turn: Turn, conversation: str | None) -> Work:
    of_thread = col(Turn.thread_id) == turn.thread_id
    rows = await session.exec(select(Part).join(Turn, col(Turn.id) == col(Part.turn_id)).where(of_thread))
    parts = rows.all()
    people = await session.exec(select(sa.func.count(sa.distinct(col(Turn.author)))).where(of_thread))
    return Work(
        turn=turn,
        conversation=conversation,
        parts={part.name: part for part in parts if part.turn_id == turn.id},
        posted=frozenset(part.message_id for part in parts if part.message_id is not None),
        people=int(people.one()),
    )
